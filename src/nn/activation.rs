//! Activation functions, by Hugging Face's names.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use serde::Deserialize;

use super::backend::Backend;
use super::cpu::activation::Function;
use super::cuda;
use super::storage::{as_floats, floats, rounded_to};

/// The value of `hidden_act` and its like in config.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x Phi(x)`, exact.
    Gelu,
    /// The tanh approximation of GELU.
    #[serde(alias = "gelu_new")]
    GeluPytorchTanh,
    /// `x sigmoid(1.702 x)`, as CLIP has it.
    QuickGelu,
    /// `x sigmoid(x)`.
    #[serde(alias = "swish")]
    Silu,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// Applies the function to each value.
    pub fn forward(self, x: &Tensor, backend: Backend) -> Result<Tensor> {
        // Where gradients flow, in f32 by candle's operations, which have a backward.
        if x.track_op() {
            return self.by_candle(&as_floats(x)?);
        }
        if backend == Backend::Cpu {
            return rounded_to(as_floats(x)?.apply_op1_no_bwd(&self)?, x.dtype());
        }
        // The kernel reads 16 bytes at a time: 8 values in half precision.
        if cuda::serves(x) && x.dims2().is_ok_and(|(_, width)| width.is_multiple_of(8)) {
            return cuda::activate(x, self.function(), false);
        }
        self.by_candle(x)
    }

    fn by_candle(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => x.gelu_erf(),
            // candle's `gelu` is the tanh approximation.
            Self::GeluPytorchTanh => x.gelu(),
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Self::Silu => x.silu(),
            Self::Relu => x.relu(),
        }
    }

    /// Computes `act(gate) * x`, on a CPU in one pass.
    pub fn gated(self, gate: &Tensor, x: &Tensor, backend: Backend) -> Result<Tensor> {
        if backend == Backend::Cpu && !gate.track_op() && !x.track_op() {
            let y = as_floats(gate)?.apply_op2_no_bwd(&as_floats(x)?, &self)?;
            return rounded_to(y, x.dtype());
        }
        // Two kernels on a GPU: the one for both wants them side by side, as `gated_joined` has
        // them.
        self.forward(gate, backend)? * x
    }

    /// Computes [`gated`](Self::gated) of joined rows `(R, 2 F)`, the gates beside the values.
    pub fn gated_joined(self, joined: &Tensor, backend: Backend) -> Result<Tensor> {
        let width = joined.dim(1)? / 2;
        if cuda::serves(joined) && width.is_multiple_of(8) {
            return cuda::activate(joined, self.function(), true);
        }
        // (R, F) each.
        let (gate, x) = (joined.narrow(1, 0, width)?, joined.narrow(1, width, width)?);
        self.gated(&gate.contiguous()?, &x.contiguous()?, backend)
    }

    fn function(self) -> Function {
        match self {
            Self::Gelu => Function::Gelu,
            Self::GeluPytorchTanh => Function::GeluTanh,
            Self::QuickGelu => Function::QuickGelu,
            Self::Silu => Function::Silu,
            Self::Relu => Function::Relu,
        }
    }
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = self.function().apply(floats(storage, layout)?);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

impl CustomOp2 for Activation {
    fn name(&self) -> &'static str {
        "gated activation"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, x) = (floats(s1, l1)?, floats(s2, l2)?);
        if gate.len() != x.len() {
            bail!("{} gates for {} values", gate.len(), x.len());
        }
        let out = self.function().apply_gated(gate, x);
        Ok((CpuStorage::F32(out), l2.shape().clone()))
    }
}
