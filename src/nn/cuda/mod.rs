//! Kernels for NVIDIA GPUs, in half precision; `*.cu` beside this file. Each computes what a few of
//! candle's operations compute, in one launch, and keeps the law of rows: the bits of a row depend on
//! that row alone. Elsewhere, and in f32, candle's operations serve.

pub(super) mod attention;
mod device;
mod launch;
pub(super) mod product;
pub(super) mod rows;
#[cfg(test)]
mod tests;

use candle_core::{DType, Device, Tensor};

pub(super) use device::open;

/// Returns whether the kernels serve tensors of the device and dtype of `x`.
pub(super) fn serves(x: &Tensor) -> bool {
    matches!(x.device(), Device::Cuda(_)) && matches!(x.dtype(), DType::BF16 | DType::F16)
}
