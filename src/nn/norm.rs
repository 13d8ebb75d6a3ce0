//! Normalisation over the last dimension.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::backend::is_ours;
use super::cpu::simd::{as_floats, floats, run};

/// Rows that one thread normalises at a time.
const ROWS: usize = 16;

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
    /// What is added to the variance, or to the mean square.
    pub fn eps(&self) -> f64 {
        match self {
            Self::Layer { eps, .. } | Self::Rms { eps, .. } => *eps,
        }
    }

    /// Its weights `(D)`, and its biases `(D)` where it has some.
    pub fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Self::Layer { weight, bias, .. } => vec![weight, bias],
            Self::Rms { weight, .. } => vec![weight],
        }
    }

    /// One of the same width with weights of 1 and biases of 0.
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
        })
    }

    /// `(R, D) -> (R, D)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !is_ours(x.device()) {
            let x = x.contiguous()?;
            return match self {
                Self::Layer { weight, bias, eps } => {
                    candle_nn::ops::layer_norm(&x, weight, bias, *eps as f32)
                }
                Self::Rms { weight, eps } if weight.dtype() == x.dtype() => {
                    candle_nn::ops::rms_norm(&x, weight, *eps as f32)
                }
                // A weight that is kept more precise than the rows.
                Self::Rms { weight, eps } => {
                    candle_nn::ops::rms_norm(&x.to_dtype(weight.dtype())?, weight, *eps as f32)?
                        .to_dtype(x.dtype())
                }
            };
        }
        let values = |t: &Tensor| as_floats(t)?.to_vec1::<f32>();
        let rows = match self {
            Self::Layer { weight, bias, eps } => RowNorm {
                weight: values(weight)?,
                bias: Some(values(bias)?),
                eps: *eps as f32,
            },
            Self::Rms { weight, eps } => RowNorm {
                weight: values(weight)?,
                bias: None,
                eps: *eps as f32,
            },
        };
        as_floats(x)?.apply_op1_no_bwd(&rows)?.to_dtype(x.dtype())
    }
}

/// A layer norm where there is a bias, an RMS norm where there is none.
struct RowNorm {
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    eps: f32,
}

impl CustomOp1 for RowNorm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage, layout)?;
        let width = self.weight.len();
        if layout.shape().dims().last() != Some(&width) {
            candle_core::bail!("a norm over {width} of {:?}", layout.shape());
        }
        let mut y = vec![0.0; x.len()];
        let parts = y
            .par_chunks_mut(ROWS * width)
            .zip(x.par_chunks(ROWS * width));
        parts.for_each(|(y, x)| run(Rows { norm: self, x, y }));
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}

struct Rows<'a> {
    norm: &'a RowNorm,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl NullaryFnOnce for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let RowNorm { weight, bias, eps } = self.norm;
        let width = weight.len();
        for (x, y) in self
            .x
            .chunks_exact(width)
            .zip(self.y.chunks_exact_mut(width))
        {
            match bias {
                None => {
                    let scale = 1.0 / (sum(x, |x| x * x) / width as f32 + eps).sqrt();
                    for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                        *y = x * scale * w;
                    }
                }
                Some(bias) => {
                    let mean = sum(x, |x| x) / width as f32;
                    let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
                    let scale = 1.0 / (variance + eps).sqrt();
                    for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                        *y = ((x - mean) * scale).mul_add(*w, *b);
                    }
                }
            }
        }
    }
}

/// The sum of `f`, in 16 chains and then over these.
#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut chains = [0.0; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for chunk in whole {
        for (chain, &x) in chains.iter_mut().zip(chunk) {
            *chain += f(x);
        }
    }
    for (chain, &x) in chains.iter_mut().zip(rest) {
        *chain += f(x);
    }
    chains.iter().sum()
}
