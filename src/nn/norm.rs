//! Normalisation over the last dimension.

use candle_core::Tensor;

use super::Result;

/// Layer norm (Ba et al. 2016) or RMS norm (Zhang and Sennrich 2019).
#[derive(Debug, Clone)]
pub enum Norm {
    /// `(x - mean) / sqrt(var + eps) * weight + bias`.
    Layer {
        /// `(D)`.
        weight: Tensor,
        /// `(D)`.
        bias: Tensor,
        /// Added to the variance.
        eps: f64,
    },
    /// `x / sqrt(mean(x^2) + eps) * weight`.
    Rms {
        /// `(D)`.
        weight: Tensor,
        /// Added to the mean square.
        eps: f64,
    },
}

impl Norm {
    /// `(R, D) -> (R, D)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        match self {
            Self::Layer { weight, bias, eps } => candle_nn::ops::layer_norm(&x, weight, bias, *eps as f32),
            Self::Rms { weight, eps } => candle_nn::ops::rms_norm(&x, weight, *eps as f32),
        }
    }
}
