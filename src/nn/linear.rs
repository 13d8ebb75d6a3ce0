//! The linear layer: the only caller of a weight matmul, and so the keeper of row invariance: the
//! result of a row depends on that row alone, never on how many rows share the call. On a CPU
//! [`gemm`](super::cpu::gemm) holds it to the bit.

use candle_core::{DType, Device, Result, Tensor};

use super::backend::is_ours;
use super::cpu::gemm::{self, Product};
use super::cpu::simd::as_floats;

/// `y = x W^T + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    dtype: DType,
}

#[derive(Debug, Clone)]
enum Weight {
    /// On a CPU: `(P, in, PANEL)`, and how many outputs are not padding.
    Packed(Tensor, usize),
    /// Elsewhere: `(out, in)`.
    Plain(Tensor),
}

impl Linear {
    /// `weight (out, in)`, `bias (out)`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        let dtype = weight.dtype();
        if !is_ours(weight.device()) {
            return Ok(Self {
                weight: Weight::Plain(weight),
                bias,
                dtype,
            });
        }
        let bias = bias.map(|b| as_floats(&b)).transpose()?;
        Ok(Self {
            weight: Weight::Packed(gemm::pack(&weight)?, weight.dim(0)?),
            bias,
            dtype,
        })
    }

    /// `(out, in)`.
    pub fn sizes(&self) -> (usize, usize) {
        match &self.weight {
            Weight::Packed(panels, out) => (*out, panels.dims()[1]),
            Weight::Plain(weight) => (weight.dims()[0], weight.dims()[1]),
        }
    }

    /// `(out, in)`, unpacked.
    pub fn weight(&self) -> Result<Tensor> {
        match &self.weight {
            Weight::Packed(panels, out) => gemm::unpack(panels, *out),
            Weight::Plain(weight) => Ok(weight.clone()),
        }
    }

    /// `(out)`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// What the weight is kept as.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the weight is.
    pub fn device(&self) -> &Device {
        match &self.weight {
            Weight::Packed(weight, _) | Weight::Plain(weight) => weight.device(),
        }
    }

    /// `x (R, in) -> (R, out)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.weight {
            Weight::Packed(panels, out) => {
                let product = Product {
                    panels,
                    bias: self.bias.as_ref(),
                    out: *out,
                };
                as_floats(x)?
                    .apply_op1_no_bwd(&product)?
                    .to_dtype(x.dtype())
            }
            Weight::Plain(weight) => {
                let y = x.matmul(&weight.t()?)?;
                match &self.bias {
                    Some(bias) => y.broadcast_add(bias),
                    None => Ok(y),
                }
            }
        }
    }
}
