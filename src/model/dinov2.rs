//! DINOv2 (Oquab et al. 2024), with and without registers (Darcet et al. 2024): a ViT whose blocks
//! scale what they add to the stream, and whose positions are stretched to the grid of the picture.
//!
//! Agrees with `Dinov2Model` and `Dinov2WithRegistersModel` of transformers 5.17.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde::Deserialize;

use super::error::Error;
use super::read::{layer_norm, linear, weights_of};
use super::vision_tower::{SelectStrategy, TowerConfig, TowerInfo, VisionTower, matrices_of};
use super::vit::{MAX_IMAGE_SIZE, MAX_SIZE, Vit, check_sizes, refuse, square};
use crate::nn::{Activation, Attention, Block, Linear, Mlp, Norm, Stack, Transformer};
use crate::vision;
use crate::weights::Tensors;

/// The `model_type` of the one with registers.
pub(super) const WITH_REGISTERS: &str = "dinov2_with_registers";

/// Patches of a picture: positions are stretched to as many rows before a weight contradicts them.
const MOST_PATCHES: usize = 1 << 16;

/// config.json; absent fields have the defaults of Hugging Face's `Dinov2Config`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Dinov2Config {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    mlp_ratio: f64,
    hidden_act: Activation,
    layer_norm_eps: f64,
    /// Side of the pictures that it was trained on, for which it has positions.
    #[serde(deserialize_with = "square")]
    image_size: usize,
    #[serde(deserialize_with = "square")]
    patch_size: usize,
    qkv_bias: bool,
    use_swiglu_ffn: bool,
    num_register_tokens: usize,
    /// Side of the pictures that it sees, which its image processor says.
    #[serde(skip)]
    seen_side: usize,
}

impl Default for Dinov2Config {
    fn default() -> Self {
        Self {
            model_type: "dinov2".into(),
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4.0,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-6,
            image_size: 224,
            patch_size: 14,
            qkv_bias: true,
            use_swiglu_ffn: false,
            num_register_tokens: 4,
            seen_side: 224,
        }
    }
}

impl Dinov2Config {
    /// Sets the side of the pictures that it sees, and fails on shapes that no model can have.
    pub(super) fn seeing(mut self, side: usize) -> Result<Self, Error> {
        self.seen_side = side;
        let patch = self.patch_size;
        let sizes = [
            self.hidden_size,
            self.inner(),
            self.num_hidden_layers,
            self.num_attention_heads,
            patch,
        ];
        check_sizes(&sizes, self.hidden_size, self.num_attention_heads)?;
        if self.num_register_tokens > MAX_SIZE {
            refuse(format!("num_register_tokens {}", self.num_register_tokens))?;
        }
        for (field, size) in [("image_size", self.image_size), ("pictures of", side)] {
            let grid = size / patch;
            if grid == 0 || size > MAX_IMAGE_SIZE || grid * grid > MOST_PATCHES {
                let message = format!("{field} {size} with patches of {patch}");
                refuse(format!("{message}; 1 to {MOST_PATCHES} patches are read"))?;
            }
        }
        Ok(self)
    }

    /// Returns the width within the MLP; of SwiGLU's two halves each.
    fn inner(&self) -> usize {
        // Truncated, and rounded up to eight, as transformers does both. A ratio that is no number
        // becomes 0, which is refused.
        let plain = (self.hidden_size as f64 * self.mlp_ratio) as usize;
        if self.use_swiglu_ffn {
            ((plain as f64 * 2.0 / 3.0) as usize).next_multiple_of(8)
        } else {
            plain
        }
    }

    fn registers(&self) -> usize {
        if self.model_type == WITH_REGISTERS {
            self.num_register_tokens
        } else {
            0
        }
    }

    fn block(&self, weights: &Tensors<'_>, layer: usize) -> Result<Block, Error> {
        let at = format!("vision_tower.encoder.layer.{layer}");
        let (width, eps) = (self.hidden_size, self.layer_norm_eps);
        Ok(Block {
            ln1: layer_norm(weights, &format!("{at}.norm1"), width, eps)?,
            attention: self.attention(weights, &format!("{at}.attention"))?,
            ln1_post: Some(layer_scale(
                weights,
                &format!("{at}.layer_scale1.lambda1"),
                width,
            )?),
            ln2: layer_norm(weights, &format!("{at}.norm2"), width, eps)?,
            mlp: if self.use_swiglu_ffn {
                self.swiglu(weights, &format!("{at}.mlp"))?
            } else {
                self.mlp(weights, &format!("{at}.mlp"))?
            },
            ln2_post: Some(layer_scale(
                weights,
                &format!("{at}.layer_scale2.lambda1"),
                width,
            )?),
        })
    }

    fn attention(&self, weights: &Tensors<'_>, at: &str) -> Result<Attention, Error> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        let project = |name: &str| {
            let name = format!("{at}.attention.{name}");
            linear(weights, &name, width, width, self.qkv_bias)
        };
        let head_dim = width / heads;
        Ok(Attention {
            q: project("query")?,
            k: project("key")?,
            v: project("value")?,
            qkv: None,
            // It has a bias whatever `qkv_bias` says.
            o: linear(weights, &format!("{at}.output.dense"), width, width, true)?,
            q_norm: None,
            k_norm: None,
            heads,
            kv_heads: heads,
            head_dim,
            scale: (head_dim as f64).sqrt().recip(),
            softcap: None,
            causal: false,
            window: None,
        })
    }

    fn mlp(&self, weights: &Tensors<'_>, at: &str) -> Result<Mlp, Error> {
        let (width, inner) = (self.hidden_size, self.inner());
        Ok(Mlp {
            pre: linear(weights, &format!("{at}.fc1"), inner, width, true)?,
            linear: None,
            out: linear(weights, &format!("{at}.fc2"), width, inner, true)?,
            activation: self.hidden_act,
            joined: None,
        })
    }

    /// Reads an MLP whose gate and values stand in one matrix, the gate first.
    fn swiglu(&self, weights: &Tensors<'_>, at: &str) -> Result<Mlp, Error> {
        let (width, inner) = (self.hidden_size, self.inner());
        let weight = weights.get(&format!("{at}.weights_in.weight"), &[2 * inner, width])?;
        let bias = weights.get(&format!("{at}.weights_in.bias"), &[2 * inner])?;
        let half = |first| {
            let weight = weight.narrow(0, first, inner)?.contiguous()?;
            let bias = bias.narrow(0, first, inner)?.contiguous()?;
            Ok::<_, Error>(Linear::new(weight, Some(bias))?)
        };
        Ok(Mlp {
            pre: half(0)?,
            linear: Some(half(inner)?),
            out: linear(weights, &format!("{at}.weights_out"), width, inner, true)?,
            // Whatever `hidden_act` says.
            activation: Activation::Silu,
            joined: None,
        })
    }

    /// Reads the positions `(R, D)`, those of the patches stretched to the pictures that it sees.
    fn position(&self, weights: &Tensors<'_>) -> Result<Tensor, Error> {
        let (width, grid) = (self.hidden_size, self.image_size / self.patch_size);
        let rows = grid * grid + 1;
        let name = "vision_tower.embeddings.position_embeddings";
        let table = weights.get(name, &[1, rows, width])?.squeeze(0)?;
        let seen = self.seen_side / self.patch_size;
        if seen == grid {
            return Ok(table);
        }
        let (class, patches) = (table.narrow(0, 0, 1)?, table.narrow(0, 1, rows - 1)?);
        // The model with registers was released later, and its code shrinks otherwise.
        let antialias = self.model_type == WITH_REGISTERS;
        let patches = stretched(&patches, (grid, seen), antialias)?;
        Ok(Tensor::cat(
            &[&class, &patches.to_dtype(class.dtype())?],
            0,
        )?)
    }

    fn info(&self, features: Vec<usize>, strategy: SelectStrategy, blocks: &[Block]) -> TowerInfo {
        let (width, patch) = (self.hidden_size, self.patch_size);
        TowerInfo {
            image_size: self.seen_side,
            patch_size: patch,
            width,
            inner: self.inner(),
            heads: self.num_attention_heads,
            layers: self.num_hidden_layers,
            has_class: true,
            registers: self.registers(),
            has_rotary: false,
            has_gate: self.use_swiglu_ffn,
            feature_width: features.len() * width,
            features,
            strategy,
            layer_weights: blocks.first().map_or(0, weights_of),
            patch_weights: width * 3 * patch * patch,
            merge: None,
        }
    }
}

/// Reads what a part of a block is multiplied with before it is added to the stream.
fn layer_scale(weights: &Tensors<'_>, name: &str, width: usize) -> Result<Norm, Error> {
    let weight = weights.get(name, &[width])?;
    Ok(Norm::Scale { weight })
}

/// Stretches a grid `(S S, D)` to `(T T, D)`, in f32: rows first, then columns.
fn stretched(grid: &Tensor, (from, to): (usize, usize), antialias: bool) -> Result<Tensor, Error> {
    let width = grid.dim(1)?;
    let weights = vision::bicubic(from, to, antialias);
    let weights = Tensor::from_vec(weights, (to, from), grid.device())?;
    let x = grid.to_dtype(DType::F32)?.reshape((from, from * width))?;
    let x = weights.matmul(&x)?.reshape((to, from, width))?; // (T, S, D)
    let x = x.transpose(0, 1)?.contiguous()?;
    let x = weights.matmul(&x.reshape((from, to * width))?)?; // (T, T D), columns first
    let x = x.reshape((to, to, width))?.transpose(0, 1)?;
    Ok(x.contiguous()?.reshape((to * to, width))?)
}

impl TowerConfig for Dinov2Config {
    #[expect(
        clippy::misnamed_getters,
        reason = "a tower sees pictures of one size, and was trained on another"
    )]
    fn image_size(&self) -> usize {
        self.seen_side
    }

    fn patch_size(&self) -> usize {
        self.patch_size
    }

    fn layers(&self) -> usize {
        self.num_hidden_layers
    }

    fn parameters(&self) -> u64 {
        let matrices = if self.use_swiglu_ffn { 3 } else { 2 };
        matrices_of(self, self.hidden_size, self.inner(), matrices)
    }

    fn load(
        &self,
        features: Vec<usize>,
        strategy: SelectStrategy,
        weights: &Tensors<'_>,
    ) -> Result<Arc<dyn VisionTower>, Error> {
        let (width, patch) = (self.hidden_size, self.patch_size);
        let at = "vision_tower.embeddings";
        let kernel = format!("{at}.patch_embeddings.projection.weight");
        let kernel = weights.get(&kernel, &[width, 3, patch, patch])?;
        let bias = weights.get(&format!("{at}.patch_embeddings.projection.bias"), &[width])?;
        let class = weights.get(&format!("{at}.cls_token"), &[1, 1, width])?;
        let registers = match self.registers() {
            0 => None,
            count => {
                let name = format!("{at}.register_tokens");
                Some(weights.get(&name, &[1, count, width])?.squeeze(0)?)
            }
        };
        // Serves training alone; some configurations go without.
        weights.ignore(&format!("{at}.mask_token"));
        // What follows the last block serves who reads the pooled output.
        weights.ignore_all("vision_tower.layernorm.");
        let blocks: Vec<Block> = (0..self.num_hidden_layers)
            .map(|layer| self.block(weights, layer))
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(Vit {
            info: self.info(features, strategy, &blocks),
            patches: Linear::new(kernel.flatten_from(1)?, Some(bias))?, // (D, 3 P P)
            class: Some(class.squeeze(0)?),
            registers,
            position: self.position(weights)?,
            pre_norm: None,
            blocks: Transformer::new(Stack::VisionTower, blocks, None)?,
        }))
    }
}
