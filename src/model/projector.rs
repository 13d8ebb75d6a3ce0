//! The projector: from the tower's width to the language model's.

use candle_core::{DType, Device, Tensor};

use super::Error;
use super::tower::linear;
use crate::nn::{Activation, Hooks, Layout, Linear, Point, Site, Stack};
use crate::weights::Tensors;

/// LLaVA-1.5's two-layer MLP, or nothing.
#[derive(Debug, Clone)]
pub enum Projector {
    /// `act(x W1 + b1) W2 + b2`.
    Mlp {
        /// `linear_1`.
        first: Linear,
        /// Between the layers.
        activation: Activation,
        /// `linear_2`.
        second: Linear,
    },
    /// Hands the tower's output on.
    Identity,
}

impl Projector {
    /// Reads `multi_modal_projector.linear_1|2`.
    pub fn load(
        input: usize,
        output: usize,
        activation: Activation,
        bias: bool,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        Ok(Self::Mlp {
            first: linear(weights, "multi_modal_projector.linear_1", output, input, bias)?,
            activation,
            second: linear(weights, "multi_modal_projector.linear_2", output, output, bias)?,
        })
    }

    /// A projector of the same shapes, read from `weights`.
    pub fn reload(&self, weights: &Tensors<'_>) -> Result<Self, Error> {
        let Self::Mlp { first, activation, .. } = self else { return Ok(Self::Identity) };
        let (output, input) = first.sizes();
        Self::load(input, output, *activation, first.bias().is_some(), weights)
    }

    /// A projector of the same shapes whose values come from `draw(count, fan_in)`, tensor by tensor: `linear_1.weight`,
    /// `linear_1.bias`, `linear_2.weight`, `linear_2.bias`, each row by row.
    pub fn like(&self, mut draw: impl FnMut(usize, usize) -> Vec<f32>) -> Result<Self, Error> {
        let Self::Mlp { first, activation, second } = self else { return Ok(Self::Identity) };
        let mut redraw = |old: &Linear| -> Result<Linear, Error> {
            let (out, input) = old.sizes();
            let (dtype, device) = (old.dtype(), old.device());
            let make = |values: Vec<f32>, shape: &[usize]| -> Result<Tensor, Error> {
                Ok(Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)
            };
            let weight = make(draw(out * input, input), &[out, input])?;
            let bias = old.bias().map(|_| make(draw(out, input), &[out])).transpose()?;
            Ok(Linear::new(weight, bias)?)
        };
        Ok(Self::Mlp { first: redraw(first)?, activation: *activation, second: redraw(second)? })
    }

    /// BLAKE3 over its values as little-endian f32, or "identity".
    pub fn digest(&self) -> Result<String, Error> {
        let Self::Mlp { first, second, .. } = self else { return Ok("identity".into()) };
        let mut hasher = blake3::Hasher::new();
        for tensor in [Some(first.weight()?), first.bias().cloned(), Some(second.weight()?), second.bias().cloned()]
            .into_iter()
            .flatten()
        {
            let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            for value in values {
                hasher.update(&value.to_le_bytes());
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// `x (R, D_vision) -> (R, D)`.
    pub fn forward(&self, x: &Tensor, layout: &Layout, hooks: &mut dyn Hooks) -> Result<Tensor, Error> {
        let mut at = |site, value| hooks.on(Point::of(Stack::Projector, site), &layout.spans, value);
        let out = match self {
            Self::Identity => x.clone(),
            Self::Mlp { first, activation, second } => {
                let pre = at(Site::Pre, first.forward(x)?)?;
                let post = at(Site::Post, activation.forward(&pre)?)?;
                second.forward(&post)?
            }
        };
        Ok(at(Site::Out, out)?)
    }
}
