//! What becomes one embedding of the rows that a tower leaves of a picture.

use candle_core::Tensor;
use serde::Deserialize;
use serde_json::Value;

use super::tower::{TowerFiles, TowerKind};
use crate::model::error::Error;
use crate::model::read::{layer_norm, linear};
use crate::nn::{Activation, AttentionPool, Backend, Linear, Norm};
use crate::weights::Tensors;

/// The last layers of an encoder of pictures.
#[derive(Debug)]
pub(super) enum Pooling {
    /// Takes the class token's row, normed.
    Class(Norm),
    /// And projects it to where texts are (CLIP).
    Projected(Norm, Linear),
    /// And takes the tanh of its projection (ViT).
    Tanh(Norm, Linear),
    /// Attends to all rows, normed, and adds an MLP (SigLIP).
    Probe(Box<ProbeHead>),
}

/// SigLIP's head.
#[derive(Debug)]
pub(super) struct ProbeHead {
    norm: Norm,
    pool: AttentionPool,
    pool_norm: Norm,
    fc1: Linear,
    activation: Activation,
    fc2: Linear,
}

/// Fields that the pooled output depends on; absent ones have the defaults of their classes.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default = "width")]
    hidden_size: usize,
    #[serde(default = "inner")]
    intermediate_size: usize,
    #[serde(default = "heads")]
    num_attention_heads: usize,
    #[serde(default = "eps")]
    layer_norm_eps: f64,
    hidden_act: Option<Activation>,
    #[serde(rename = "vision_use_head")]
    is_used: Option<bool>,
    pooler_output_size: Option<usize>,
    pooler_act: Option<String>,
}

// Of base models, which all kinds have as defaults.
fn width() -> usize {
    768
}

fn inner() -> usize {
    3072
}

fn heads() -> usize {
    12
}

fn eps() -> f64 {
    1e-5
}

impl Pooling {
    /// Reads the layers behind the tower; `None` for a SigLIP that was saved without its head.
    /// `projection` is the width of CLIP's embeddings.
    pub(super) fn load(
        files: &TowerFiles,
        projection: Option<usize>,
        weights: &Tensors<'_>,
    ) -> Result<Option<Self>, Error> {
        let head = Head::deserialize(&files.fields).map_err(|e| Error::Config(e.to_string()))?;
        let (width, eps) = (head.hidden_size, head.layer_norm_eps);
        let norm = |name: &str| layer_norm(weights, &format!("vision_tower.{name}"), width, eps);
        Ok(Some(match files.kind {
            TowerKind::Clip => match projection {
                Some(dim) => {
                    let linear = linear(weights, "visual_projection", dim, width, false)?;
                    Self::Projected(norm("post_layernorm")?, linear)
                }
                None => Self::Class(norm("post_layernorm")?),
            },
            TowerKind::Siglip if head.is_used == Some(false) => return Ok(None),
            TowerKind::Siglip => Self::Probe(Box::new(head.probe(weights)?)),
            TowerKind::Vit => head.of_vit(norm("post_layernorm")?, weights)?,
            TowerKind::Dinov2 | TowerKind::Dinov2WithRegisters => Self::Class(norm("layernorm")?),
        }))
    }

    /// Maps the rows of pictures `x (B, R, D)` to `(B, P)`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let backend = Backend::of(x.device());
        let class = |norm: &Norm| {
            // The class token's row alone: norms see rows, so that it is the same as of all.
            let rows = x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?; // (B, D)
            norm.forward(&rows, backend)
        };
        Ok(match self {
            Self::Class(norm) => class(norm)?,
            Self::Projected(norm, linear) => linear.forward(&class(norm)?)?,
            Self::Tanh(norm, linear) => linear.forward(&class(norm)?)?.tanh()?,
            Self::Probe(head) => head.forward(x, backend)?,
        })
    }
}

impl Head {
    /// Reads ViT's pooler, which models have that were trained to classify.
    fn of_vit(&self, norm: Norm, weights: &Tensors<'_>) -> Result<Pooling, Error> {
        let name = "vision_tower.pooler.dense";
        if !weights.has(&format!("{name}.weight")) {
            return Ok(Pooling::Class(norm));
        }
        if let Some(act) = self.pooler_act.as_deref().filter(|act| *act != "tanh") {
            let message = format!("pooler_act {act:?}; tanh is supported");
            return Err(Error::Config(message));
        }
        let out = self.pooler_output_size.unwrap_or(self.hidden_size);
        Ok(Pooling::Tanh(
            norm,
            linear(weights, name, out, self.hidden_size, true)?,
        ))
    }

    /// Reads SigLIP's head.
    fn probe(&self, weights: &Tensors<'_>) -> Result<ProbeHead, Error> {
        let (width, eps) = (self.hidden_size, self.layer_norm_eps);
        let at = "vision_tower.head";
        // torch's `MultiheadAttention` keeps queries, keys and values in one matrix.
        let weight = weights.get(
            &format!("{at}.attention.in_proj_weight"),
            &[3 * width, width],
        )?;
        let bias = weights.get(&format!("{at}.attention.in_proj_bias"), &[3 * width])?;
        let third = |i: usize| {
            let weight = weight.narrow(0, i * width, width)?.contiguous()?;
            let bias = bias.narrow(0, i * width, width)?.contiguous()?;
            Ok::<_, Error>(Linear::new(weight, Some(bias))?)
        };
        let out = format!("{at}.attention.out_proj");
        let projections = [
            third(1)?,
            third(2)?,
            linear(weights, &out, width, width, true)?,
        ];
        let probe = weights.get(&format!("{at}.probe"), &[1, 1, width])?;
        let (heads, inner) = (self.num_attention_heads, self.intermediate_size);
        let fc =
            |name: &str, out, input| linear(weights, &format!("{at}.mlp.{name}"), out, input, true);
        Ok(ProbeHead {
            norm: layer_norm(weights, "vision_tower.post_layernorm", width, eps)?,
            pool: AttentionPool::new(&probe.squeeze(0)?, &third(0)?, projections, heads)?,
            pool_norm: layer_norm(weights, &format!("{at}.layernorm"), width, eps)?,
            fc1: fc("fc1", inner, width)?,
            activation: self.hidden_act.unwrap_or(Activation::GeluPytorchTanh),
            fc2: fc("fc2", width, inner)?,
        })
    }
}

impl ProbeHead {
    fn forward(&self, x: &Tensor, backend: Backend) -> Result<Tensor, Error> {
        let shape = x.dims3()?;
        let normed = self.norm.forward(&x.flatten_to(1)?, backend)?; // (B R, D)
        let pooled = self.pool.forward(&normed.reshape(shape)?)?; // (B, D)
        let inner = self
            .fc1
            .forward(&self.pool_norm.forward(&pooled, backend)?)?;
        let inner = self.activation.forward(&inner, backend)?;
        Ok((pooled + self.fc2.forward(&inner)?)?)
    }
}

/// Returns the width of CLIP's embeddings; `None` where its tower stands without the projection.
pub(super) fn projection(files: &TowerFiles, weights: &Tensors<'_>) -> Option<usize> {
    if files.kind != TowerKind::Clip {
        return None;
    }
    // Of the tower alone only `CLIPVisionModelWithProjection` has it.
    if !files.has_text && !weights.has("visual_projection.weight") {
        return None;
    }
    // Hugging Face's default; of the whole model the field stands beside both towers.
    let dim = files.json.get("projection_dim").and_then(Value::as_u64);
    Some(dim.unwrap_or(512) as usize)
}
