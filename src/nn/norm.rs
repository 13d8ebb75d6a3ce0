//! Normalisation over the last dimension.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};

use super::backend::Backend;
use super::cpu::norm::RowNorm;
use super::cuda;
use super::storage::{as_floats, floats, rounded_to};

/// Layer norm (Ba et al. 2016), RMS norm (Zhang and Sennrich 2019) or a layer scale, which stands
/// where other models norm what a part adds to the stream.
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
    /// `x * weight` (Touvron et al. 2021).
    Scale {
        /// `(D)`.
        weight: Tensor,
    },
}

impl Norm {
    /// Returns the number that is added to the variance, or to the mean square.
    pub fn eps(&self) -> f64 {
        match self {
            Self::Layer { eps, .. } | Self::Rms { eps, .. } => *eps,
            Self::Scale { .. } => 0.0,
        }
    }

    /// Returns the width that it works on.
    pub fn width(&self) -> usize {
        let (Self::Layer { weight, .. } | Self::Rms { weight, .. } | Self::Scale { weight }) = self;
        weight.elem_count()
    }

    /// Returns the weights `(D)`, and the biases `(D)` of a layer norm.
    pub fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Self::Layer { weight, bias, .. } => vec![weight, bias],
            Self::Rms { weight, .. } | Self::Scale { weight } => vec![weight],
        }
    }

    /// Creates one of the same width with weights of 1 and biases of 0.
    pub fn untrained(&self) -> Result<Self> {
        Ok(match self {
            Self::Layer { weight, bias, eps } => Self::Layer {
                weight: weight.ones_like()?,
                bias: bias.zeros_like()?,
                eps: *eps,
            },
            Self::Rms { weight, eps } => Self::Rms {
                weight: weight.ones_like()?,
                eps: *eps,
            },
            Self::Scale { weight } => Self::Scale {
                weight: weight.ones_like()?,
            },
        })
    }

    /// Maps `x (R, D)` to `(R, D)`.
    pub fn forward(&self, x: &Tensor, backend: Backend) -> Result<Tensor> {
        if x.track_op() {
            return self.forward_tracked(x);
        }
        match backend {
            Backend::Cpu => self.forward_cpu(x),
            // candle's fused norms take contiguous tensors alone.
            Backend::Candle => self.forward_candle(&x.contiguous()?),
        }
    }

    /// Adds `delta (R, D)` to `x (R, D)`: returns the sum and [`forward`](Self::forward) of it.
    pub fn forward_sum(
        &self,
        x: &Tensor,
        delta: &Tensor,
        backend: Backend,
    ) -> Result<(Tensor, Tensor)> {
        if let Some(weights) = self.on_gpu(x) {
            return cuda::norm(x, Some(delta), &weights);
        }
        // Rounded to the dtype of the rows before it is normed, as the kernel for GPUs rounds it.
        let sum = (x + delta)?;
        let normed = self.forward(&sum, backend)?;
        Ok((sum, normed))
    }

    /// Returns the numbers of the norm where the kernel for GPUs takes `x`.
    fn on_gpu(&self, x: &Tensor) -> Option<cuda::NormWeights<'_>> {
        let (weight, bias, eps) = match self {
            Self::Layer { weight, bias, eps } => (weight, Some(bias), *eps),
            Self::Rms { weight, eps } => (weight, None, *eps),
            // A product alone, which candle does in one kernel.
            Self::Scale { .. } => return None,
        };
        // F32 beside half precision: Gemma's weights, which have 1 added to them.
        let has_dtype = |t: &Tensor| [x.dtype(), candle_core::DType::F32].contains(&t.dtype());
        let serves = cuda::serves(x)
            && cuda::norms(self.width())
            && has_dtype(weight)
            && bias.is_none_or(|b| b.dtype() == weight.dtype());
        serves.then_some(cuda::NormWeights { weight, bias, eps })
    }

    /// Norms a tracked `x`, in f32, by operations that have a backward.
    fn forward_tracked(&self, x: &Tensor) -> Result<Tensor> {
        let x = as_floats(x)?;
        let mean_of = |t: &Tensor| t.mean_keepdim(D::Minus1);
        match self {
            Self::Layer { weight, bias, eps } => {
                let centred = x.broadcast_sub(&mean_of(&x)?)?;
                // By D, not D - 1: the biased variance, as torch's layer norm takes it.
                let deviation = (mean_of(&centred.sqr()?)? + *eps)?.sqrt()?;
                centred
                    .broadcast_div(&deviation)?
                    .broadcast_mul(&as_floats(weight)?)?
                    .broadcast_add(&as_floats(bias)?)
            }
            Self::Rms { weight, eps } => {
                let size = (mean_of(&x.sqr()?)? + *eps)?.sqrt()?;
                x.broadcast_div(&size)?.broadcast_mul(&as_floats(weight)?)
            }
            Self::Scale { weight } => x.broadcast_mul(&as_floats(weight)?),
        }
    }

    fn forward_cpu(&self, x: &Tensor) -> Result<Tensor> {
        let values = |t: &Tensor| as_floats(t)?.to_vec1::<f32>();
        let (weight, bias) = match self {
            Self::Layer { weight, bias, .. } => (values(weight)?, Some(values(bias)?)),
            Self::Rms { weight, .. } => (values(weight)?, None),
            // In the dtype of the rows, as InternVL's lambda_1 and lambda_2 are.
            Self::Scale { weight } => return x.broadcast_mul(weight),
        };
        let norm = Rows(RowNorm {
            weight,
            bias,
            eps: self.eps() as f32,
        });
        // In f32 whatever the dtype, as Hugging Face norms.
        rounded_to(as_floats(x)?.apply_op1_no_bwd(&norm)?, x.dtype())
    }

    fn forward_candle(&self, x: &Tensor) -> Result<Tensor> {
        if let Some(weights) = self.on_gpu(x) {
            return Ok(cuda::norm(x, None, &weights)?.1);
        }
        match self {
            Self::Layer { weight, bias, eps } => {
                candle_nn::ops::layer_norm(x, weight, bias, *eps as f32)
            }
            Self::Rms { weight, eps } if weight.dtype() == x.dtype() => {
                candle_nn::ops::rms_norm(x, weight, *eps as f32)
            }
            // Gemma's weights are kept in f32, more precise than the rows.
            Self::Rms { weight, eps } => {
                candle_nn::ops::rms_norm(&x.to_dtype(weight.dtype())?, weight, *eps as f32)?
                    .to_dtype(x.dtype())
            }
            Self::Scale { weight } => x.broadcast_mul(weight),
        }
    }
}

struct Rows(RowNorm);

impl CustomOp1 for Rows {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = self.0.weight.len();
        if layout.shape().dims().last() != Some(&width) {
            bail!("a norm over {width} of {:?}", layout.shape());
        }
        let y = self.0.apply(floats(storage, layout)?);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}
