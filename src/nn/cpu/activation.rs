//! Activation functions, element by element.

use super::simd::{Pointwise, exp, map};

/// An activation function.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) enum Function {
    Gelu,
    GeluTanh,
    QuickGelu,
    Silu,
    Relu,
}

impl Function {
    /// Returns the function of each of `x`.
    pub(in crate::nn) fn apply(self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        self.fill([x], &mut out);
        out
    }

    /// Returns the function of each of `gate`, times `x`.
    pub(in crate::nn) fn apply_gated(self, gate: &[f32], x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        self.fill([gate, x], &mut out);
        out
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
            Self::GeluTanh => map(inputs, out, GeluTanh),
            Self::QuickGelu => map(inputs, out, QuickGelu),
            Self::Silu => map(inputs, out, Silu),
            Self::Relu => map(inputs, out, Relu),
        }
    }
}

/// Defines a function of one value, and the same times a second value.
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
// A comparison, not `max`, which would make 0 of a NaN.
pointwise!(Relu, x => if x < 0.0 { 0.0 } else { x });

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Computes GELU by `tanh(u) = 2 sigmoid(2 u) - 1`.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    // 0.797... is sqrt(2 / pi).
    x * sigmoid(2.0 * 0.797_884_6 * x * (0.044_715 * x).mul_add(x, 1.0))
}

/// Computes `x Phi(x) = x erfc(-x / sqrt 2) / 2`, erfc by the Chebyshev fit of Numerical Recipes (Press et
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
    // The tail itself where x is below 0: 1 - (1 - tail) would cancel.
    x * if x < 0.0 { tail } else { 1.0 - tail }
}
