//! The numbers of a norm, as its kernel takes them.

use candle_core::Tensor;

/// A norm's numbers: `weight (D)` and, of a layer norm, `bias (D)`, of x's dtype or f32.
pub(in crate::nn) struct NormWeights<'a> {
    pub(in crate::nn) weight: &'a Tensor,
    pub(in crate::nn) bias: Option<&'a Tensor>,
    pub(in crate::nn) eps: f64,
}
