//! The functions of a block by operations that candle's autograd goes back through.
//!
//! Neither the kernels of this crate nor candle's fused ones have a backward. A layer takes these
//! in their place where its input is tracked, that is where it depends on a `Var`: the same
//! functions in f32, whatever the dtype of the model, and so the same values within rounding.
//! [`GradientPass`](crate::model::GradientPass) alone makes variables.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor};

use super::activation::Activation;
use super::backend::Backend;
use super::linear::Linear;
use super::norm::Norm;

/// Maps `x (R, in)` to `(R, out)` by a frozen layer.
pub(super) fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor> {
    let x = floats(x)?;
    if layer.backend() == Backend::Cpu {
        return x.apply_op1(FrozenProduct(layer.clone()));
    }
    // candle makes the gradient of the weight, too, which nobody reads: twice the work, and memory
    // for one layer's weights at a time.
    let y = x.matmul(&floats(&layer.weight()?)?.t()?)?;
    match layer.bias() {
        Some(bias) => y.broadcast_add(&floats(bias)?),
        None => Ok(y),
    }
}

/// Norms the rows of `x`.
pub(super) fn norm(x: &Tensor, norm: &Norm) -> Result<Tensor> {
    let x = floats(x)?;
    let mean_of = |t: &Tensor| t.mean_keepdim(D::Minus1);
    match norm {
        Norm::Layer { weight, bias, eps } => {
            let centred = x.broadcast_sub(&mean_of(&x)?)?;
            let deviation = (mean_of(&centred.sqr()?)? + *eps)?.sqrt()?;
            centred
                .broadcast_div(&deviation)?
                .broadcast_mul(&floats(weight)?)?
                .broadcast_add(&floats(bias)?)
        }
        Norm::Rms { weight, eps } => {
            let size = (mean_of(&x.sqr()?)? + *eps)?.sqrt()?;
            x.broadcast_div(&size)?.broadcast_mul(&floats(weight)?)
        }
        Norm::Scale { weight } => x.broadcast_mul(&floats(weight)?),
    }
}

/// Applies an activation to each value.
pub(super) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let x = floats(x)?;
    match activation {
        Activation::Gelu => x.gelu_erf(),
        // candle's `gelu` is the tanh approximation.
        Activation::GeluPytorchTanh => x.gelu(),
        Activation::QuickGelu => &x * candle_nn::ops::sigmoid(&(&x * 1.702)?)?,
        Activation::Silu => x.silu(),
        Activation::Relu => x.relu(),
    }
}

/// Takes the softmax over the last dimension.
pub(super) fn softmax(scores: &Tensor) -> Result<Tensor> {
    let scores = floats(scores)?;
    // The highest score cancels out: as a constant it costs no backward of a maximum.
    let highest = scores.detach().max_keepdim(D::Minus1)?;
    let powers = scores.broadcast_sub(&highest)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}

/// Rotates all dimensions of each head of `x (R, H, Dr)` by `cos` and `sin`, `(R, Dr/2)` each.
pub(super) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let x = floats(x)?;
    let half = cos.dim(D::Minus1)?;
    let (cos, sin) = (floats(cos)?.unsqueeze(1)?, floats(sin)?.unsqueeze(1)?); // (R, 1, Dr/2)
    let left = x.narrow(D::Minus1, 0, half)?;
    let right = x.narrow(D::Minus1, half, half)?;
    let turned = |by: &Tensor, t: &Tensor| t.broadcast_mul(by);
    Tensor::cat(
        &[
            (turned(&cos, &left)? - turned(&sin, &right)?)?,
            (turned(&cos, &right)? + turned(&sin, &left)?)?,
        ],
        D::Minus1,
    )
}

fn floats(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::F32)?.contiguous()
}

/// A linear layer of the CPU's kernels, whose weight is a constant: the forward has their bits.
struct FrozenProduct(Linear);

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.product(storage, layout)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        // dL/dx = dL/dy W.
        let weight = self.0.weight()?.to_dtype(DType::F32)?; // (out, in)
        gradient.contiguous()?.matmul(&weight).map(Some)
    }
}
