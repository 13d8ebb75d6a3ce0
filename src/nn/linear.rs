//! The linear layer: the only caller of a weight matmul, and the keeper of row invariance.
//!
//! **Law.** The result of a row depends on that row alone, never on how many rows share the call. candle's CPU GEMM (the
//! `gemm` crate, 0.19) sums in another order for very few rows and for outputs of at most 16 x 16 values; from four rows on,
//! and above 256 values, a row has the same bits for every M (measured, f32 and bf16, 8 to 4096 columns). So prefill rows
//! never run with fewer, and decode rows always run one by one.

use candle_core::{D, Tensor};

use super::{Layout, Result};

const FEWEST_ROWS: usize = 4;
const SMALL_OUTPUT: usize = 16 * 16;

/// `y = x W^T + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `weight (out, in)`, `bias (out)`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// `(out, in)`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `(out)`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// `x (R, in) -> (R, out)`; `layout` says which rows are prefill and which decode.
    pub fn forward(&self, x: &Tensor, layout: &Layout) -> Result<Tensor> {
        self.forward_rows(x, layout.prefill_rows)
    }

    /// As `forward`, for `prefill_rows` prefill rows followed by decode rows.
    pub fn forward_rows(&self, x: &Tensor, prefill_rows: usize) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let mut parts = Vec::with_capacity(1 + rows - prefill_rows);
        if prefill_rows > 0 {
            parts.push(self.prefill(&x.narrow(0, 0, prefill_rows)?)?);
        }
        for row in prefill_rows..rows {
            parts.push(x.narrow(0, row, 1)?.matmul(&self.weight.t()?)?);
        }
        let y = if parts.len() == 1 { parts.swap_remove(0) } else { Tensor::cat(&parts, 0)? }; // (R, out)
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    fn prefill(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let weight = self.weight.t()?; // (in, out)
        let fewest = FEWEST_ROWS.max(SMALL_OUTPUT / weight.dim(1)? + 1);
        if rows >= fewest {
            return x.contiguous()?.matmul(&weight);
        }
        let padding = Tensor::zeros((fewest - rows, x.dim(D::Minus1)?), x.dtype(), x.device())?;
        Tensor::cat(&[x, &padding], 0)?.matmul(&weight)?.narrow(0, 0, rows)
    }
}
