//! The dtypes that weights are kept as, and their names.

use candle_core::{DType, Device};

/// Parses the name of a dtype: f32, bf16 or f16.
pub fn parse_dtype(name: &str) -> Option<DType> {
    match name {
        "f32" => Some(DType::F32),
        "bf16" => Some(DType::BF16),
        "f16" => Some(DType::F16),
        _ => None,
    }
}

/// Returns the dtype of weights where none is asked for: f32 on the CPU, which has no fast
/// arithmetic of narrower types, and bf16 on a GPU.
pub fn default_dtype(device: &Device) -> DType {
    if device.is_cpu() {
        DType::F32
    } else {
        DType::BF16
    }
}
