//! Enum numbers, oneofs and tensors, which several messages share.

use candle_core::DType;

use super::super::{Error, v1};
use crate::model;
use crate::nn::{HostTensor, Stack};

/// Returns the error of an enum number that the contract does not have.
pub(super) fn unknown(field: String, number: i32, valid: &[&str]) -> Error {
    Error::invalid(
        field,
        format!("unknown number {number}; valid: {}", valid.join(", ")),
    )
}

/// Returns the error of a oneof that is not set.
pub(super) fn unset(field: &str, valid: &str) -> Error {
    Error::invalid(field, format!("unset; one of {valid} is needed"))
}

/// Returns the error of a field that only another choice, `by`, reads: what nobody reads is a
/// mistake of whoever wrote it.
pub(super) fn unread(path: &str, name: &str, by: &str) -> Error {
    let message = format!("{by} alone takes it; leave it unset");
    Error::invalid(format!("{path}.{name}"), message)
}

/// Returns a stack; the language model where it is unspecified.
pub(super) fn stack(path: &str, number: i32) -> Result<Stack, Error> {
    match v1::Stack::try_from(number) {
        Ok(v1::Stack::Unspecified | v1::Stack::LanguageModel) => Ok(Stack::LanguageModel),
        Ok(v1::Stack::VisionTower) => Ok(Stack::VisionTower),
        Err(_) => Err(unknown(
            format!("{path}.stack"),
            number,
            &["STACK_VISION_TOWER", "STACK_LANGUAGE_MODEL"],
        )),
    }
}

/// Returns whether a constant is the mean, not zero.
pub(super) fn is_mean(field: &str, number: i32) -> Result<bool, Error> {
    match v1::Constant::try_from(number) {
        Ok(v1::Constant::Unspecified | v1::Constant::Zero) => Ok(false),
        Ok(v1::Constant::Mean) => Ok(true),
        Err(_) => Err(unknown(
            field.into(),
            number,
            &["CONSTANT_ZERO", "CONSTANT_MEAN"],
        )),
    }
}

/// Returns a dtype; f32 where it is unspecified.
pub(crate) fn dtype(field: &str, number: i32) -> Result<DType, Error> {
    match v1::DataType::try_from(number) {
        Ok(v1::DataType::Unspecified | v1::DataType::F32) => Ok(DType::F32),
        Ok(v1::DataType::Bf16) => Ok(DType::BF16),
        Ok(v1::DataType::F16) => Ok(DType::F16),
        Err(_) => Err(unknown(
            field.into(),
            number,
            &["DATA_TYPE_F32", "DATA_TYPE_BF16", "DATA_TYPE_F16"],
        )),
    }
}

/// Returns the numbers of a message, on the CPU in f32; all of them are finite.
pub(super) fn tensor(path: &str, message: &v1::Tensor) -> Result<HostTensor, Error> {
    let dtype = dtype(&format!("{path}.dtype"), message.dtype)?;
    // The sizes are whatever a client sends: their product may overflow.
    let count = message
        .shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d as usize))
        // Sizes that overflow fail below, as sizes that no message has bytes for.
        .unwrap_or(usize::MAX);
    let needed = count.saturating_mul(dtype.size_in_bytes());
    if !(1..=3).contains(&message.shape.len()) || count == 0 || needed != message.data.len() {
        let message = format!(
            "{} bytes for shape {:?}; 1 to 3 sizes from 1 up are needed, and as many bytes as they \
             make",
            message.data.len(),
            message.shape
        );
        return Err(Error::invalid(format!("{path}.data"), message));
    }
    let shape: Vec<usize> = message.shape.iter().map(|&d| d as usize).collect();
    let tensor = HostTensor::from_bytes(&message.data, dtype, &shape)
        .and_then(|t| t.to_dtype(DType::F32))
        .map_err(model::Error::from)?;
    if is_finite(&tensor).map_err(model::Error::from)? {
        Ok(tensor)
    } else {
        Err(Error::invalid(
            format!("{path}.data"),
            "not all numbers are finite",
        ))
    }
}

fn is_finite(tensor: &HostTensor) -> candle_core::Result<bool> {
    let largest = tensor.abs()?.max_all()?.to_scalar::<f32>()?;
    // A maximum may pass over NaN; a sum carries a single one to its end.
    let sum = tensor.sum_all()?.to_scalar::<f32>()?;
    // Not `is_finite` of the sum: large numbers may add up to infinity, and are no mistake.
    Ok(largest.is_finite() && !sum.is_nan())
}
