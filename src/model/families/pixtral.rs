//! Pixtral (Agrawal et al. 2024): a tower with rotary places that sees pictures of any shape, each
//! row of patches ended by a token of the language model.
//!
//! The reference is Hugging Face's `LlavaForConditionalGeneration` over `PixtralVisionModel`, with
//! `PixtralProcessor`.

use std::sync::Arc;

use candle_core::Tensor;
use serde::Deserialize;
use serde_json::Value;

use super::family::{Family, RowEnd};
use crate::model::error::Error;
use crate::model::fields;
use crate::model::image_tokens::ImageTokens;
use crate::model::read::{linear, rms_norm, weights_of};
use crate::model::vision_tower::{
    SelectStrategy, TowerConfig, TowerInfo, ViewInfo, VisionTower, matrices_of,
};
use crate::model::vit::{MAX_IMAGE_SIZE, check_sizes, cut_patches, refuse};
use crate::nn::{Activation, Attention, Block, Linear, Mlp, Norm, Rope, Stack, Transformer};
use crate::vision::{Picture, Tiling};
use crate::weights::Tensors;

/// The family.
#[derive(Debug)]
pub(super) struct Pixtral;

impl Family for Pixtral {
    fn name(&self) -> &'static str {
        "pixtral"
    }

    fn model_type(&self) -> &'static str {
        "llava"
    }

    fn is_of(&self, config: &Value) -> bool {
        config["model_type"] == "llava" && config["vision_config"]["model_type"] == "pixtral"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn tower(&self, config: &Value) -> Result<Box<dyn TowerConfig>, Error> {
        let config: PixtralConfig = fields::of_config("vision_config", &config["vision_config"])?;
        config.check()?;
        Ok(Box::new(config))
    }

    fn tiling(&self, tower: &dyn TowerConfig) -> Tiling {
        Tiling::AnySize {
            patch: tower.patch_size(),
        }
    }

    fn image_marker(&self) -> &'static str {
        "[IMG]"
    }

    fn row_end(&self) -> RowEnd {
        RowEnd::Tokens(&[
            ("image_break_token", "[IMG_BREAK]"),
            ("image_end_token", "[IMG_END]"),
        ])
    }

    fn tokens(&self, _: &Picture, view: ViewInfo, _: bool, _: Option<usize>) -> ImageTokens {
        ImageTokens::of_ended_rows(view)
    }
}

/// `vision_config` of config.json; absent fields have the defaults of `PixtralVisionConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct PixtralConfig {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    image_size: usize,
    patch_size: usize,
    hidden_act: Activation,
    /// The base of older files, which have no `rope_parameters`.
    rope_theta: f64,
    rope_parameters: Option<RopeParameters>,
}

#[derive(Debug, Clone, Deserialize)]
struct RopeParameters {
    rope_type: Option<String>,
    rope_theta: Option<f64>,
}

impl Default for PixtralConfig {
    fn default() -> Self {
        Self {
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            num_channels: 3,
            image_size: 1024,
            patch_size: 16,
            hidden_act: Activation::Gelu,
            rope_theta: 10_000.0,
            rope_parameters: None,
        }
    }
}

/// `PixtralRMSNorm`s are made with this, whatever the configuration says.
const NORM_EPS: f64 = 1e-5;

impl PixtralConfig {
    /// Fails on shapes that no tower can have.
    fn check(&self) -> Result<(), Error> {
        check_sizes(
            &[
                self.hidden_size,
                self.intermediate_size,
                self.num_hidden_layers,
                self.num_attention_heads,
                self.patch_size,
            ],
            self.hidden_size,
            self.num_attention_heads,
        )?;
        // Half of a head is turned by the row and half by the column, and each half in pairs.
        if !self.head_width().is_multiple_of(4) {
            let width = self.head_width();
            return refuse(format!("heads are {width} wide; a multiple of 4 is needed"));
        }
        // Pictures are RGB: a tower of other channels has nothing to read.
        if self.num_channels != 3 {
            return refuse(format!(
                "num_channels {}; 3 are supported",
                self.num_channels
            ));
        }
        if self.image_size < self.patch_size || self.image_size > MAX_IMAGE_SIZE {
            return refuse(format!(
                "image_size {} with patches of {}",
                self.image_size, self.patch_size
            ));
        }
        let kind = self.rope_parameters.as_ref();
        let kind = kind.and_then(|rope| rope.rope_type.as_deref());
        // Both spellings occur in files; transformers knows one embedding for this tower.
        if let Some(other) = kind.filter(|kind| !["axial", "default"].contains(kind)) {
            return refuse(format!("rope_type {other:?}; axial is supported"));
        }
        if !(self.theta().is_finite() && self.theta() > 0.0) {
            return refuse(format!("rope_theta {}", self.theta()));
        }
        Ok(())
    }

    fn head_width(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    fn theta(&self) -> f64 {
        let own = self.rope_parameters.as_ref();
        own.and_then(|rope| rope.rope_theta)
            .unwrap_or(self.rope_theta)
    }
}

impl TowerConfig for PixtralConfig {
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
        matrices_of(self, self.hidden_size, self.intermediate_size, 3)
    }

    fn load(
        &self,
        features: Vec<usize>,
        strategy: SelectStrategy,
        weights: &Tensors<'_>,
    ) -> Result<Arc<dyn VisionTower>, Error> {
        // transformers would drop the first patch of the first picture alone.
        if strategy == SelectStrategy::Default {
            return Err(Error::Config(
                "vision_feature_select_strategy: Pixtral's tower has no class token; \
                 full is supported"
                    .into(),
            ));
        }
        Ok(Arc::new(PixtralTower::load(self, features, weights)?))
    }
}

/// The tower.
#[derive(Debug)]
struct PixtralTower {
    info: TowerInfo,
    patches: Linear,
    pre_norm: Norm,
    blocks: Transformer,
}

impl PixtralTower {
    /// Reads the tower from `vision_tower.*`.
    fn load(
        config: &PixtralConfig,
        features: Vec<usize>,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        let (width, patch) = (config.hidden_size, config.patch_size);
        // (D, 3, P, P), without a bias.
        let kernel = weights.get("vision_tower.patch_conv.weight", &[width, 3, patch, patch])?;
        let pre_norm = rms_norm(weights, "vision_tower.ln_pre", width, NORM_EPS)?;
        let blocks: Vec<Block> = (0..config.num_hidden_layers)
            .map(|layer| block(config, weights, layer))
            .collect::<Result<_, _>>()?;
        // No table of positions: pictures have grids of any size.
        let rope = Rope::axial(config.theta(), config.head_width(), weights.dtype());
        Ok(Self {
            info: TowerInfo {
                image_size: config.image_size,
                patch_size: patch,
                width,
                inner: config.intermediate_size,
                heads: config.num_attention_heads,
                layers: config.num_hidden_layers,
                has_class: false,
                registers: 0,
                has_rotary: true,
                has_gate: true,
                feature_width: features.len() * width,
                features,
                strategy: SelectStrategy::Full,
                // All layers are alike, so that the first one prices them.
                layer_weights: blocks.first().map_or(0, weights_of),
                patch_weights: width * 3 * patch * patch,
                merge: None,
            },
            patches: Linear::new(kernel.flatten_from(1)?, None)?, // (D, 3 P P)
            pre_norm,
            blocks: Transformer::new(Stack::VisionTower, blocks, Some(rope))?,
        })
    }
}

fn block(config: &PixtralConfig, weights: &Tensors<'_>, layer: usize) -> Result<Block, Error> {
    let at = format!("vision_tower.transformer.layers.{layer}");
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let norm = |name: &str| rms_norm(weights, &format!("{at}.{name}"), width, NORM_EPS);
    let linear =
        // No layer of this tower has a bias.
        |name: &str, out, input| linear(weights, &format!("{at}.{name}"), out, input, false);
    let project = |name: &str| linear(&format!("attention.{name}"), width, width);
    let mlp = |name: &str, out, input| linear(&format!("feed_forward.{name}"), out, input);
    Ok(Block {
        ln1: norm("attention_norm")?,
        attention: Attention {
            q: project("q_proj")?,
            k: project("k_proj")?,
            v: project("v_proj")?,
            qkv: None,
            o: project("o_proj")?,
            q_norm: None,
            k_norm: None,
            heads: config.num_attention_heads,
            kv_heads: config.num_attention_heads,
            head_dim: config.head_width(),
            scale: (config.head_width() as f64).sqrt().recip(),
            softcap: None,
            // Spans part the pictures of a pass, as the block mask of the reference does.
            causal: false,
            window: None,
        },
        ln1_post: None,
        ln2: norm("ffn_norm")?,
        mlp: Mlp {
            pre: mlp("gate_proj", inner, width)?,
            linear: Some(mlp("up_proj", inner, width)?),
            out: mlp("down_proj", width, inner)?,
            activation: config.hidden_act,
            joined: None,
        },
        ln2_post: None,
    })
}

impl VisionTower for PixtralTower {
    fn info(&self) -> &TowerInfo {
        &self.info
    }

    fn blocks(&self) -> &Transformer {
        &self.blocks
    }

    fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor, Error> {
        let cut = cut_patches(pixels, self.info.patch_size)?; // (V N, 3 P P)
        let x = self.patches.forward(&cut)?; // (V N, D)
        // `ln_pre`. No positions are added: they turn queries and keys in every layer.
        Ok(self.pre_norm.forward(&x, self.patches.backend())?)
    }
}
