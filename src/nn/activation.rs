//! Activation functions, by Hugging Face's names.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use serde::Deserialize;

use super::backend::is_ours;
use super::cpu::simd::{Pointwise, as_floats, exp, floats, map};

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
    /// Element by element.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        if is_ours(x.device()) {
            return as_floats(x)?.apply_op1_no_bwd(&self)?.to_dtype(x.dtype());
        }
        match self {
            Self::Gelu => x.gelu_erf(),
            Self::GeluPytorchTanh => x.gelu(),
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Self::Silu => x.silu(),
            Self::Relu => x.relu(),
        }
    }

    /// `act(gate) * x`, in one pass.
    pub fn gated(self, gate: &Tensor, x: &Tensor) -> Result<Tensor> {
        if is_ours(x.device()) {
            return as_floats(gate)?
                .apply_op2_no_bwd(&as_floats(x)?, &self)?
                .to_dtype(x.dtype());
        }
        self.forward(gate)? * x
    }

    fn fill<const N: usize>(self, inputs: [&[f32]; N], out: &mut [f32])
    where
        Gelu: Pointwise<N>,
        GeluTanh: Pointwise<N>,
        QuickGelu: Pointwise<N>,
        Silu: Pointwise<N>,
        Relu: Pointwise<N>,
    {
        match self {
            Self::Gelu => map(inputs, out, Gelu),
            Self::GeluPytorchTanh => map(inputs, out, GeluTanh),
            Self::QuickGelu => map(inputs, out, QuickGelu),
            Self::Silu => map(inputs, out, Silu),
            Self::Relu => map(inputs, out, Relu),
        }
    }
}

/// A function of one value, and the same times a second value.
macro_rules! pointwise {
    ($name:ident, $x:ident => $value:expr) => {
        #[derive(Clone, Copy)]
        struct $name;

        impl Pointwise<1> for $name {
            #[inline(always)]
            fn at(self, [$x]: [f32; 1]) -> f32 {
                $value
            }
        }

        impl Pointwise<2> for $name {
            #[inline(always)]
            fn at(self, [$x, by]: [f32; 2]) -> f32 {
                let value: f32 = $value;
                value * by
            }
        }
    };
}

pointwise!(Gelu, x => gelu(x));
pointwise!(GeluTanh, x => gelu_tanh(x));
pointwise!(QuickGelu, x => x * sigmoid(1.702 * x));
pointwise!(Silu, x => x * sigmoid(x));
pointwise!(Relu, x => if x < 0.0 { 0.0 } else { x });

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `tanh(u) = 2 sigmoid(2 u) - 1`.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    x * sigmoid(2.0 * 0.797_884_6 * x * (0.044_715 * x).mul_add(x, 1.0))
}

/// `x Phi(x) = x erfc(-x / sqrt 2) / 2`, erfc by the Chebyshev fit of Numerical Recipes (Press et
/// al., 6.2), whose relative error is 1.2e-7 everywhere.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / 0.5f32.mul_add(z, 1.0);
    let p = 0.170_872_77_f32;
    let p = p.mul_add(t, -0.822_152_23);
    let p = p.mul_add(t, 1.488_515_9);
    let p = p.mul_add(t, -1.135_204);
    let p = p.mul_add(t, 0.278_868_07);
    let p = p.mul_add(t, -0.186_288_06);
    let p = p.mul_add(t, 0.096_784_18);
    let p = p.mul_add(t, 0.374_091_96);
    let p = p.mul_add(t, 1.000_023_7);
    let p = p.mul_add(t, -1.265_512_2);
    let tail = 0.5 * t * exp((-z).mul_add(z, p)); // Phi(-|x|)
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage, layout)?;
        let mut out = vec![0.0; x.len()];
        self.fill([x], &mut out);
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
            candle_core::bail!("{} gates for {} values", gate.len(), x.len());
        }
        let mut out = vec![0.0; x.len()];
        self.fill([gate, x], &mut out);
        Ok((CpuStorage::F32(out), l2.shape().clone()))
    }
}
