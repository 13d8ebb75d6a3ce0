//! Numbers as the bytes that go over the wire and to disks.

use candle_core::DType;

use super::error::Error;
use crate::nn::HostTensor;

/// Returns the numbers of a tensor as little-endian bytes of `dtype`.
pub(super) fn tensor_bytes(values: &HostTensor, dtype: DType) -> Result<Vec<u8>, Error> {
    let flat = values
        // Rounded to nearest, where the wire's type is narrower than the model's.
        .to_dtype(dtype)
        .and_then(|v| v.flatten_all())
        .map_err(crate::model::Error::from)?;
    // Little-endian on every machine, as the contract says.
    let bytes = match dtype {
        DType::BF16 => flat
            .to_vec1::<half::bf16>()
            .map(|v| v.into_iter().flat_map(half::bf16::to_le_bytes).collect()),
        DType::F16 => flat
            .to_vec1::<half::f16>()
            .map(|v| v.into_iter().flat_map(half::f16::to_le_bytes).collect()),
        // f32, which holds every other type of models exactly.
        _ => flat
            .to_vec1::<f32>()
            .map(|v| v.into_iter().flat_map(f32::to_le_bytes).collect()),
    };
    Ok(bytes.map_err(crate::model::Error::from)?)
}
