//! Activation functions, by Hugging Face's names.

use candle_core::Tensor;
use serde::Deserialize;

use super::Result;

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
        match self {
            Self::Gelu => x.gelu_erf(),
            Self::GeluPytorchTanh => x.gelu(),
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Self::Silu => x.silu(),
            Self::Relu => x.relu(),
        }
    }
}
