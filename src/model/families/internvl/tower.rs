//! InternViT (Chen et al. 2024): a vision transformer whose blocks scale what they add to the
//! stream (layer scale, Touvron et al. 2021), and may norm queries and keys over all heads.

use std::sync::Arc;

use candle_core::{IndexOp, Tensor};
use serde::Deserialize;

use crate::model::error::Error;
use crate::model::read::{layer_norm, linear, rms_norm, weights_of};
use crate::model::vision_tower::{
    SelectStrategy, TowerConfig, TowerInfo, ViewInfo, VisionTower, matrices_of,
};
use crate::model::vit::{MAX_IMAGE_SIZE, check_sizes, cut_patches, refuse, square};
use crate::nn::{Activation, Attention, Backend, Block, Linear, Mlp, Norm, Stack, Transformer};
use crate::weights::Tensors;

/// Patches along a side of the square that becomes one visual token; more would be a fault of the
/// configuration.
const MOST_MERGED: usize = 16;

/// `vision_config` of config.json; absent fields have the defaults of Hugging Face's
/// `InternVLVisionConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the file")]
pub(super) struct InternVitConfig {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    attention_bias: bool,
    use_qk_norm: bool,
    hidden_act: Activation,
    norm_type: NormType,
    layer_norm_eps: f64,
    #[serde(deserialize_with = "square")]
    image_size: usize,
    #[serde(deserialize_with = "square")]
    patch_size: usize,
    use_absolute_position_embeddings: bool,
    use_mask_token: bool,
    use_mean_pooling: bool,
    /// Patches along a side of the square that becomes one visual token.
    #[serde(skip)]
    merge: usize,
}

/// The norms of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NormType {
    LayerNorm,
    RmsNorm,
}

impl Default for InternVitConfig {
    fn default() -> Self {
        Self {
            model_type: "internvl_vision".into(),
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            attention_bias: false,
            use_qk_norm: false,
            hidden_act: Activation::Gelu,
            norm_type: NormType::LayerNorm,
            layer_norm_eps: 1e-6,
            image_size: 448,
            patch_size: 14,
            use_absolute_position_embeddings: true,
            use_mask_token: false,
            use_mean_pooling: true,
            merge: 1,
        }
    }
}

impl InternVitConfig {
    /// Fails on shapes that no tower can have, and on a `downsample_ratio` that is not one over the
    /// side of a square of patches.
    pub(super) fn check(&self, ratio: f64) -> Result<(), Error> {
        if self.model_type != "internvl_vision" {
            return refuse(format!(
                "model_type {:?}; internvl has an internvl_vision tower",
                self.model_type
            ));
        }
        let sizes = [
            self.hidden_size,
            self.intermediate_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.patch_size,
        ];
        check_sizes(&sizes, self.hidden_size, self.num_attention_heads)?;
        let (image, patch) = (self.image_size, self.patch_size);
        if image / patch == 0 || image > MAX_IMAGE_SIZE {
            return refuse(format!("image_size {image} with patches of {patch}"));
        }
        let merge = side_of(ratio);
        // A third has no exact f64; 1e-9 lets it pass and refuses 0.34.
        let whole = merge > 0 && (merge as f64 * ratio - 1.0).abs() < 1e-9;
        if !whole || merge > MOST_MERGED || !(image / patch).is_multiple_of(merge) {
            let side = image / patch;
            let message = format!("downsample_ratio {ratio}; one over a side that divides {side}");
            return Err(Error::Config(format!("{message} is supported")));
        }
        Ok(())
    }

    /// Sets how many patches become one visual token.
    pub(super) fn merging(mut self, ratio: f64) -> Self {
        self.merge = side_of(ratio);
        self
    }

    fn block(&self, weights: &Tensors<'_>, layer: usize) -> Result<Block, Error> {
        let at = format!("vision_tower.encoder.layer.{layer}");
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        Ok(Block {
            ln1: self.norm(weights, &format!("{at}.layernorm_before"))?,
            attention: self.attention(weights, &format!("{at}.attention"))?,
            // The scale stands where Gemma 2 has a norm: on what a part is about to add to the
            // stream.
            ln1_post: Some(layer_scale(weights, &format!("{at}.lambda_1"), width)?),
            ln2: self.norm(weights, &format!("{at}.layernorm_after"))?,
            mlp: Mlp {
                pre: linear(weights, &format!("{at}.mlp.fc1"), inner, width, true)?,
                linear: None,
                out: linear(weights, &format!("{at}.mlp.fc2"), width, inner, true)?,
                activation: self.hidden_act,
                joined: None,
            },
            ln2_post: Some(layer_scale(weights, &format!("{at}.lambda_2"), width)?),
        })
    }

    fn attention(&self, weights: &Tensors<'_>, at: &str) -> Result<Attention, Error> {
        let (width, heads, bias) = (
            self.hidden_size,
            self.num_attention_heads,
            self.attention_bias,
        );
        let head_dim = width / heads;
        Ok(Attention {
            q: linear(weights, &format!("{at}.q_proj"), width, width, bias)?,
            k: linear(weights, &format!("{at}.k_proj"), width, width, bias)?,
            v: linear(weights, &format!("{at}.v_proj"), width, width, bias)?,
            qkv: None,
            // It has a bias whatever `attention_bias` says.
            o: linear(
                weights,
                &format!("{at}.projection_layer"),
                width,
                width,
                true,
            )?,
            q_norm: self.qk_norm(weights, &format!("{at}.q_norm"))?,
            k_norm: self.qk_norm(weights, &format!("{at}.k_norm"))?,
            heads,
            kv_heads: heads,
            head_dim,
            scale: (head_dim as f64).sqrt().recip(),
            softcap: None,
            causal: false,
            window: None,
        })
    }

    fn norm(&self, weights: &Tensors<'_>, name: &str) -> Result<Norm, Error> {
        match self.norm_type {
            NormType::LayerNorm => layer_norm(weights, name, self.hidden_size, self.layer_norm_eps),
            NormType::RmsNorm => rms_norm(weights, name, self.hidden_size, self.layer_norm_eps),
        }
    }

    fn qk_norm(&self, weights: &Tensors<'_>, name: &str) -> Result<Option<Norm>, Error> {
        // transformers gives them no eps of the configuration's.
        let norm = || rms_norm(weights, name, self.hidden_size, 1e-6);
        // Over all heads together, `(D)`; Qwen3 norms each head by itself.
        let norm = self.use_qk_norm.then(norm);
        norm.transpose()
    }
}

/// Reads what a part of a block is multiplied with before it is added to the stream.
fn layer_scale(weights: &Tensors<'_>, name: &str, width: usize) -> Result<Norm, Error> {
    let weight = weights.get(name, &[width])?;
    Ok(Norm::Scale { weight })
}

/// Returns the side of the square of patches that `downsample_ratio` makes one token of; 0 where
/// there is none.
fn side_of(ratio: f64) -> usize {
    // Truncated as transformers does it.
    if ratio > 0.0 {
        (1.0 / ratio) as usize
    } else {
        0
    }
}

impl TowerConfig for InternVitConfig {
    fn image_size(&self) -> usize {
        self.image_size
    }

    fn patch_size(&self) -> usize {
        self.patch_size
    }

    fn layers(&self) -> usize {
        self.num_hidden_layers
    }

    fn parameters(&self) -> u64 {
        matrices_of(self, self.hidden_size, self.intermediate_size, 2)
    }

    fn load(
        &self,
        features: Vec<usize>,
        strategy: SelectStrategy,
        weights: &Tensors<'_>,
    ) -> Result<Arc<dyn VisionTower>, Error> {
        Ok(Arc::new(InternVit::load(
            self, features, strategy, weights,
        )?))
    }
}

/// The tower.
#[derive(Debug)]
struct InternVit {
    info: TowerInfo,
    patches: Linear,
    class: Tensor,
    position: Option<Tensor>,
    blocks: Transformer,
    /// Norms the output of the last layer, where no mean is pooled of it.
    last_norm: Option<Norm>,
    merge: usize,
}

impl InternVit {
    fn load(
        config: &InternVitConfig,
        features: Vec<usize>,
        strategy: SelectStrategy,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        let (width, patch) = (config.hidden_size, config.patch_size);
        let at = "vision_tower.embeddings";
        let kernel = format!("{at}.patch_embeddings.projection.weight");
        let kernel = weights.get(&kernel, &[width, 3, patch, patch])?;
        let bias = weights.get(&format!("{at}.patch_embeddings.projection.bias"), &[width])?;
        let class = weights.get(&format!("{at}.cls_token"), &[1, 1, width])?;
        let position = if config.use_absolute_position_embeddings {
            // One more for the class token, which is in front.
            let rows = (config.image_size / patch).pow(2) + 1;
            Some(weights.get(&format!("{at}.position_embeddings"), &[1, rows, width])?)
        } else {
            None
        };
        if config.use_mask_token {
            // Serves training alone.
            weights.ignore(&format!("{at}.mask_token"));
        }
        let blocks: Vec<Block> = (0..config.num_hidden_layers)
            .map(|layer| config.block(weights, layer))
            .collect::<Result<_, _>>()?;
        // `nn.Identity` in the reference where the mean is pooled, else a layer norm whatever
        // `norm_type` says.
        let last_norm = if config.use_mean_pooling {
            None
        } else {
            let name = "vision_tower.layernorm";
            Some(layer_norm(weights, name, width, config.layer_norm_eps)?)
        };
        Ok(Self {
            info: TowerInfo {
                image_size: config.image_size,
                patch_size: patch,
                width,
                inner: config.intermediate_size,
                heads: config.num_attention_heads,
                layers: config.num_hidden_layers,
                has_class: true,
                registers: 0,
                has_rotary: false,
                has_gate: false,
                features,
                strategy,
                feature_width: width * config.merge.pow(2),
                // All layers of a tower are alike, so that the first one prices them.
                layer_weights: blocks.first().map_or(0, weights_of),
                patch_weights: width * 3 * patch * patch,
                merge: Some(config.merge),
            },
            patches: Linear::new(kernel.flatten_from(1)?, Some(bias))?, // (D, 3 P P)
            class,
            position,
            blocks: Transformer::new(Stack::VisionTower, blocks, None)?,
            last_norm,
            merge: config.merge,
        })
    }
}

impl VisionTower for InternVit {
    fn info(&self) -> &TowerInfo {
        &self.info
    }

    fn blocks(&self) -> &Transformer {
        &self.blocks
    }

    fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor, Error> {
        let (batch, width) = (pixels.dim(0)?, self.info.width);
        let cut = cut_patches(pixels, self.info.patch_size)?; // (V N, 3 P P)
        let patches = self.patches.forward(&cut)?.reshape((batch, (), width))?; // (V, N, D)
        // Both tables in the dtype of the patches, which gradients flow through in f32.
        let class = self.class.to_dtype(patches.dtype())?;
        // (1, 1, D) -> (V, 1, D): all views begin with the same row.
        let class = class.broadcast_as((batch, 1, width))?;
        let x = Tensor::cat(&[&class, &patches], 1)?; // (V, N + 1, D)
        let x = match &self.position {
            // (1, N + 1, D): the class token has a position, too.
            Some(position) => x.broadcast_add(&position.to_dtype(x.dtype())?)?,
            None => x,
        };
        Ok(x.flatten_to(1)?) // (V R, D)
    }

    /// Drops the class token and puts the patches of each square side by side, row by row within
    /// it (there: `pixel_shuffle`): `(V R, D)` -> `(V N, M M D)`.
    fn select(&self, x: Tensor, views: &[ViewInfo]) -> Result<Tensor, Error> {
        let x = match &self.last_norm {
            // transformers norms what the last layer leaves, but no entry of the hidden states.
            Some(norm) if self.info.layers_run() == self.info.layers => {
                norm.forward(&x, Backend::of(x.device()))?
            }
            _ => x,
        };
        // All of its views are squares of `image_size`.
        let ((rows, columns), merge) = (views.first().map_or((0, 0), |v| v.grid), self.merge);
        let width = self.info.width;
        let x = x.reshape((views.len(), rows * columns + 1, width))?; // (V, R, D)
        // Each side in two dimensions: which square a patch is in, and its place within it.
        let split = vec![
            views.len() * rows / merge,
            merge,
            columns / merge,
            merge,
            width,
        ];
        // `check` has made sure that squares fill the grid.
        let x = x.i((.., 1..))?.contiguous()?.reshape(split)?; // (V H/M, M, W/M, M, D)
        let x = x.transpose(1, 2)?.contiguous()?; // (V H/M, W/M, M, M, D)
        Ok(x.reshape(((), merge * merge * width))?) // (V N, M M D)
    }
}
