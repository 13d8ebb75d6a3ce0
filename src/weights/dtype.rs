//! The dtypes that weights are kept as, and their names.

use candle_core::DType;

/// Parses the name of a dtype: f32, bf16 or f16.
pub fn parse_dtype(name: &str) -> Option<DType> {
    match name {
        "f32" => Some(DType::F32),
        "bf16" => Some(DType::BF16),
        "f16" => Some(DType::F16),
        _ => None,
    }
}
