//! The projector: from the tower's width to the language model's.

use candle_core::{DType, Device, Tensor};

use super::error::Error;
use super::read::{layer_norm, linear};
use crate::nn::{Activation, Backend, Hooks, Layout, Linear, Norm, Point, Site, Stack, digest};
use crate::weights::Tensors;

/// LLaVA-1.5's two-layer MLP, ViP-LLaVA's with a norm before it, the original LLaVA's of other
/// depths, or nothing.
#[derive(Debug, Clone)]
pub enum Projector {
    /// `act(x W1 + b1) W2 + b2`; with more layers the activation stands between each two, with one
    /// nowhere.
    Mlp {
        /// Before all layers, with its name in the checkpoint.
        norm: Option<(&'static str, Norm)>,
        /// `linear_1`, `linear_2`, ...; at least one.
        layers: Vec<Linear>,
        /// Between the layers.
        activation: Activation,
    },
    /// Hands the tower's output on.
    Identity,
}

impl Projector {
    /// Reads `multi_modal_projector.linear_1` to `linear_{layers}`; none is the identity, whose
    /// widths must be equal. Where `norm` (its name and its eps) is given, it stands before them.
    pub fn load(
        (input, output): (usize, usize),
        layers: usize,
        activation: Activation,
        bias: bool,
        norm: Option<(&'static str, f64)>,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        if layers == 0 {
            let message = format!(
                "an identity projector from {input} wide to {output}; the widths must be equal"
            );
            return if input == output {
                Ok(Self::Identity)
            } else {
                Err(Error::Config(message))
            };
        }
        // As wide as the tower's rows: it stands before the first layer.
        let norm = norm.map(|(name, eps)| {
            let at = format!("multi_modal_projector.{name}");
            layer_norm(weights, &at, input, eps).map(|norm| (name, norm))
        });
        let read = (1..=layers).map(|number| {
            let name = format!("multi_modal_projector.linear_{number}");
            // Both layers of LLaVA's MLP end at the language model's width; there is no bottleneck.
            let from = if number == 1 { input } else { output };
            linear(weights, &name, output, from, bias)
        });
        Ok(Self::Mlp {
            norm: norm.transpose()?,
            layers: read.collect::<Result<_, _>>()?,
            activation,
        })
    }

    /// Tells whether it has a hook point of this kind: with one layer or none there is nothing
    /// before or after an activation.
    pub fn has_site(&self, site: Site) -> bool {
        match (self, site) {
            (Self::Mlp { layers, .. }, Site::Pre | Site::Post) => layers.len() > 1,
            (Self::Identity, Site::Pre | Site::Post) => false,
            _ => true,
        }
    }

    /// Returns the bytes of its tensors.
    pub fn bytes(&self) -> u64 {
        let Self::Mlp { norm, layers, .. } = self else {
            return 0;
        };
        let of = |count: usize, dtype: DType| (count * dtype.size_in_bytes()) as u64;
        let of_tensor = |tensor: &Tensor| of(tensor.elem_count(), tensor.dtype());
        let norms = norm.iter().flat_map(|(_, norm)| norm.tensors());
        let biases = layers.iter().filter_map(Linear::bias);
        let weights = layers.iter().map(|layer| {
            let (output, input) = layer.sizes();
            of(output * input, layer.dtype())
        });
        weights.sum::<u64>() + norms.chain(biases).map(of_tensor).sum::<u64>()
    }

    /// Reads a projector of the same shapes from `weights`.
    pub fn reload(&self, weights: &Tensors<'_>) -> Result<Self, Error> {
        let Self::Mlp {
            norm,
            layers,
            activation,
        } = self
        else {
            return Ok(Self::Identity);
        };
        let norm = norm.as_ref().map(|(name, norm)| (*name, norm.eps()));
        // `load` makes no MLP without layers.
        let Some(first) = layers.first() else {
            return Ok(Self::Identity);
        };
        let (output, input) = first.sizes();
        Self::load(
            (input, output),
            layers.len(),
            *activation,
            // `load` gives all layers a bias, or none.
            first.bias().is_some(),
            norm,
            weights,
        )
    }

    /// Creates a projector of the same shapes whose values come from `draw(count, fan_in)`, tensor by
    /// tensor: `linear_1.weight`, `linear_1.bias`, `linear_2.weight`, `linear_2.bias`, each row by
    /// row. A norm has weights of 1 and biases of 0, as PyTorch begins with.
    pub fn like(&self, mut draw: impl FnMut(usize, usize) -> Vec<f32>) -> Result<Self, Error> {
        self.map(
            |norm| Ok(norm.untrained()?),
            |layer| drawn_like(layer, &mut draw),
        )
    }

    /// Returns the same projector on `device`.
    pub(super) fn to_device(&self, device: &Device) -> Result<Self, Error> {
        self.map(
            |norm| norm_to(norm, device),
            |layer| linear_to(layer, device),
        )
    }

    /// Makes a projector of what `norm_of` and `layer_of` make of the parts of this one.
    fn map(
        &self,
        norm_of: impl Fn(&Norm) -> Result<Norm, Error>,
        layer_of: impl FnMut(&Linear) -> Result<Linear, Error>,
    ) -> Result<Self, Error> {
        let Self::Mlp {
            norm,
            layers,
            activation,
        } = self
        else {
            return Ok(Self::Identity);
        };
        let norm = match norm {
            Some((name, norm)) => Some((*name, norm_of(norm)?)),
            None => None,
        };
        Ok(Self::Mlp {
            norm,
            layers: layers.iter().map(layer_of).collect::<Result<_, _>>()?,
            activation: *activation,
        })
    }

    /// Digests its values, as little-endian f32, by BLAKE3; "identity" without any.
    pub fn digest(&self) -> Result<String, Error> {
        let Self::Mlp { norm, layers, .. } = self else {
            return Ok("identity".into());
        };
        let mut tensors: Vec<Tensor> = norm
            .iter()
            .flat_map(|(_, norm)| norm.tensors())
            .cloned()
            .collect();
        for layer in layers {
            // Weight, then bias, layer after layer: the order is part of the digest.
            tensors.push(layer.weight()?);
            tensors.extend(layer.bias().cloned());
        }
        let mut hasher = blake3::Hasher::new();
        for tensor in tensors {
            // In f32: the digest of equal values must not depend on dtype or device.
            digest::update(&mut hasher, &tensor)?;
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Returns how many numbers a row of input is multiplied with, biases aside.
    pub fn weights(&self) -> usize {
        let Self::Mlp { layers, .. } = self else {
            return 0;
        };
        layers
            .iter()
            .map(|layer| layer.sizes().0 * layer.sizes().1)
            .sum()
    }

    /// Maps `x (R, D_vision) -> (R, D)`. The hooks before and after an activation are those of the
    /// last one.
    pub fn forward(
        &self,
        x: &Tensor,
        layout: &Layout,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        let mut at =
            |site, value| hooks.on(Point::of(Stack::Projector, site), &layout.spans, value);
        let mut x = x.clone();
        if let Self::Mlp {
            norm,
            layers,
            activation,
        } = self
        {
            if let Some((_, norm)) = norm {
                // (R, n D_vision).
                x = norm.forward(&x, Backend::of(x.device()))?;
            }
            for (number, layer) in layers.iter().enumerate() {
                // (R, n D_vision) -> (R, D) in the first layer, (R, D) -> (R, D) in the others.
                x = layer.forward(&x)?;
                // The hooks are those of the last activation: LLaVA-1.5 has one.
                let left = layers.len() - 1 - number;
                if left == 1 {
                    x = at(Site::Pre, x)?;
                }
                if left > 0 {
                    x = activation.forward(&x, layer.backend())?;
                }
                if left == 1 {
                    x = at(Site::Post, x)?;
                }
            }
        }
        Ok(at(Site::Out, x)?)
    }
}

fn linear_to(layer: &Linear, device: &Device) -> Result<Linear, Error> {
    // The kernels of a CPU keep biases in f32.
    let bias = layer
        .bias()
        .map(|b| b.to_dtype(layer.dtype())?.to_device(device));
    Ok(Linear::new(
        layer.weight()?.to_device(device)?,
        bias.transpose()?,
    )?)
}

fn norm_to(norm: &Norm, device: &Device) -> Result<Norm, Error> {
    Ok(match norm {
        Norm::Layer { weight, bias, eps } => Norm::Layer {
            weight: weight.to_device(device)?,
            bias: bias.to_device(device)?,
            eps: *eps,
        },
        Norm::Rms { weight, eps } => Norm::Rms {
            weight: weight.to_device(device)?,
            eps: *eps,
        },
        Norm::Scale { weight } => Norm::Scale {
            weight: weight.to_device(device)?,
        },
    })
}

/// Returns a layer of the sizes of `old` whose values come from `draw(count, fan_in)`.
fn drawn_like(
    old: &Linear,
    draw: &mut impl FnMut(usize, usize) -> Vec<f32>,
) -> Result<Linear, Error> {
    let (out, input) = old.sizes();
    let (dtype, device) = (old.dtype(), old.device());
    // Drawn in f32 whatever the model's type is: all types round the same numbers.
    let weight = Tensor::from_vec(draw(out * input, input), (out, input), device)?;
    let bias = match old.bias() {
        Some(_) => Some(Tensor::from_vec(draw(out, input), out, device)?.to_dtype(dtype)?),
        None => None,
    };
    Ok(Linear::new(weight.to_dtype(dtype)?, bias)?)
}
