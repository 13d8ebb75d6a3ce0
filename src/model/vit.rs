//! The vision transformers of CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023), and the
//! plain ViT.

use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Deserializer};

use super::error::Error;
use super::read::{layer_norm, linear, weights_of};
use super::vision_tower::{SelectStrategy, TowerConfig, TowerInfo, VisionTower, matrices_of};
use crate::nn::{Activation, Attention, Block, Linear, Mlp, Norm, Stack, Transformer};
use crate::weights::Tensors;

/// `vision_config` of config.json; absent fields have the defaults of Hugging Face's
/// `CLIPVisionConfig`, or what `Config::parse` filled in for SigLIP.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct VitConfig {
    pub(super) model_type: String,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    #[serde(deserialize_with = "square")]
    pub(super) image_size: usize,
    #[serde(deserialize_with = "square")]
    pub(super) patch_size: usize,
    pub(super) hidden_act: Activation,
    pub(super) layer_norm_eps: f64,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            model_type: "clip_vision_model".into(),
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 32,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl VitConfig {
    /// Tells whether it has a class token; SigLIP has none.
    fn has_class(&self) -> bool {
        self.model_type != "siglip_vision_model"
    }

    /// Tells whether it is CLIP, which alone has a norm before the first layer, and no bias in the
    /// patch embedding.
    fn is_clip(&self) -> bool {
        self.model_type == "clip_vision_model"
    }

    /// Tells whether it is the ViT of Dosovitskiy et al. 2021 and of DINO (Caron et al. 2021), for
    /// saliency.
    fn is_vit(&self) -> bool {
        self.model_type == "vit"
    }

    /// Returns the patches along each side.
    fn side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Fails on shapes that no tower can have.
    pub(super) fn check(&self) -> Result<(), Error> {
        if !["clip_vision_model", "siglip_vision_model", "vit"].contains(&self.model_type.as_str())
        {
            // "vit" is left out of the advice: only saliency models are.
            let message = "clip_vision_model and siglip_vision_model are supported";
            return refuse(format!("model_type {:?}; {message}", self.model_type));
        }
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
        if self.side() == 0 || self.image_size > MAX_IMAGE_SIZE {
            return refuse(format!(
                "image_size {} with patches of {}",
                self.image_size, self.patch_size
            ));
        }
        Ok(())
    }
}

/// Reads a side, or the height and the width of a square.
pub(super) fn square<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Sides {
        Side(usize),
        Both([usize; 2]),
    }
    match Sides::deserialize(deserializer)? {
        Sides::Side(side) => Ok(side),
        Sides::Both([height, width]) if height == width => Ok(height),
        Sides::Both([height, width]) => {
            let message = format!("{height} x {width} is not square, which is not supported");
            Err(serde::de::Error::custom(message))
        }
    }
}

/// Longest side of a view, in pixels: beyond it a configuration is at fault.
pub(super) const MAX_IMAGE_SIZE: usize = 1 << 14;

/// The largest size of a configuration; products of a few are within 64 bits.
pub(super) const MAX_SIZE: usize = 1 << 20;

/// Fails where one of `sizes` is 0 or beyond all models, or heads do not divide the width.
pub(super) fn check_sizes(sizes: &[usize], width: usize, heads: usize) -> Result<(), Error> {
    if sizes.contains(&0) {
        return refuse("sizes must be at least 1".into());
    }
    if let Some(size) = sizes.iter().find(|size| **size > MAX_SIZE) {
        return refuse(format!("a size of {size}; at most {MAX_SIZE} is supported"));
    }
    if !width.is_multiple_of(heads) {
        return refuse(format!("hidden_size {width} over {heads} heads"));
    }
    Ok(())
}

/// Refuses a `vision_config`.
pub(super) fn refuse(message: String) -> Result<(), Error> {
    Err(Error::Config(format!("vision_config: {message}")))
}

impl TowerConfig for VitConfig {
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
        Ok(Arc::new(Vit::load(self, features, strategy, weights)?))
    }
}

/// A tower of CLIP's kind: square views, learned positions.
#[derive(Debug)]
pub(super) struct Vit {
    pub(super) info: TowerInfo,
    pub(super) patches: Linear,
    /// `(1, D)`.
    pub(super) class: Option<Tensor>,
    /// `(G, D)`: put between class token and patches after positions are added, which they have
    /// none of.
    pub(super) registers: Option<Tensor>,
    /// `(R, D)`, registers left out.
    pub(super) position: Tensor,
    pub(super) pre_norm: Option<Norm>,
    pub(super) blocks: Transformer,
}

/// Reads a block of CLIP's, of which both of its towers are made: (width, inner width, heads), and
/// (eps, activation).
pub(super) fn encoder_block(
    weights: &Tensors<'_>,
    at: &str,
    (width, inner, heads): (usize, usize, usize),
    (eps, activation): (f64, Activation),
    causal: bool,
) -> Result<Block, Error> {
    let norm = |name: &str| layer_norm(weights, &format!("{at}.{name}"), width, eps);
    let name = |name| format!("{at}.self_attn.{name}");
    // All four projections have a bias; one that lacks it is an error by name.
    let project = |own| linear(weights, &name(own), width, width, true);
    Ok(Block {
        ln1: norm("layer_norm1")?,
        attention: Attention {
            q: project("q_proj")?,
            k: project("k_proj")?,
            v: project("v_proj")?,
            // Laid out beside one another later, on a GPU; see `Block::join`.
            qkv: None,
            o: project("out_proj")?,
            q_norm: None,
            k_norm: None,
            heads,
            kv_heads: heads,
            head_dim: width / heads,
            scale: ((width / heads) as f64).sqrt().recip(),
            softcap: None,
            causal,
            window: None,
        },
        ln1_post: None,
        ln2: norm("layer_norm2")?,
        mlp: Mlp {
            pre: linear(weights, &format!("{at}.mlp.fc1"), inner, width, true)?,
            linear: None,
            out: linear(weights, &format!("{at}.mlp.fc2"), width, inner, true)?,
            activation,
            joined: None,
        },
        ln2_post: None,
    })
}

impl Vit {
    /// Reads the tower from `vision_tower.*`; see [`TowerConfig::load`].
    pub(super) fn load(
        config: &VitConfig,
        features: Vec<usize>,
        strategy: SelectStrategy,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        let (width, patch, side) = (config.hidden_size, config.patch_size, config.side());
        let embeddings = "vision_tower.embeddings";
        // (D, 3, P, P).
        let kernel = weights.get(
            &format!("{embeddings}.patch_embedding.weight"),
            &[width, 3, patch, patch],
        )?;
        // CLIP's convolution is made with `bias=False`.
        let bias = || weights.get(&format!("{embeddings}.patch_embedding.bias"), &[width]);
        let bias = (!config.is_clip()).then(bias).transpose()?;
        let class = config.has_class().then(|| {
            embedding(
                config,
                weights,
                &format!("{embeddings}.class_embedding"),
                1,
                &[width],
            )
        });
        // One learned position for each row of the square: only DINOv2 interpolates to other sizes.
        let rows = side * side + usize::from(config.has_class());
        let position = embedding(
            config,
            weights,
            &format!("{embeddings}.position_embedding.weight"),
            rows,
            &[rows, width],
        )?;
        let mut blocks: Vec<Block> = Vec::with_capacity(config.num_hidden_layers);
        for layer in 0..config.num_hidden_layers {
            let at = format!("vision_tower.encoder.layers.{layer}");
            let sizes = (width, config.intermediate_size, config.num_attention_heads);
            let kind = (config.layer_norm_eps, config.hidden_act);
            blocks.push(encoder_block(weights, &at, sizes, kind, false)?);
        }
        // Part of every checkpoint; it serves the pooled output, which LLaVA does not read.
        weights.ignore_all("vision_tower.post_layernorm.");
        weights.ignore_all("vision_tower.head.");
        weights.ignore_all("vision_tower.pooler.");
        // Spelled so in every CLIP checkpoint.
        let pre_norm = "vision_tower.pre_layrnorm";
        let pre_norm = config
            .is_clip()
            .then(|| layer_norm(weights, pre_norm, width, config.layer_norm_eps))
            .transpose()?;
        Ok(Self {
            info: info(config, features, strategy, &blocks),
            patches: Linear::new(kernel.flatten_from(1)?, bias)?, // (D, 3 P P)
            class: class.transpose()?,
            registers: None,
            position,
            pre_norm,
            blocks: Transformer::new(Stack::VisionTower, blocks, None)?,
        })
    }
}

/// Describes the tower of `config` that has `blocks`.
fn info(
    config: &VitConfig,
    features: Vec<usize>,
    strategy: SelectStrategy,
    blocks: &[Block],
) -> TowerInfo {
    let (width, patch) = (config.hidden_size, config.patch_size);
    TowerInfo {
        image_size: config.image_size,
        patch_size: patch,
        width,
        inner: config.intermediate_size,
        heads: config.num_attention_heads,
        layers: config.num_hidden_layers,
        has_class: config.has_class(),
        registers: 0,
        has_rotary: false,
        has_gate: false,
        feature_width: features.len() * width,
        features,
        strategy,
        layer_weights: blocks.first().map_or(0, weights_of),
        patch_weights: width * 3 * patch * patch,
        merge: None,
    }
}

/// Reads an embedding of `rows` rows; a ViT writes its own as `(1, N, D)`.
fn embedding(
    config: &VitConfig,
    weights: &Tensors<'_>,
    name: &str,
    rows: usize,
    shape: &[usize],
) -> Result<Tensor, Error> {
    // The class token's (1, 1, D) as well.
    let whole = [1, rows, config.hidden_size];
    let shape = if config.is_vit() { &whole } else { shape };
    let table = weights.get(name, shape)?;
    Ok(table.reshape((rows, config.hidden_size))?)
}

impl VisionTower for Vit {
    fn info(&self) -> &TowerInfo {
        &self.info
    }

    fn blocks(&self) -> &Transformer {
        &self.blocks
    }

    fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor, Error> {
        let (batch, width) = (pixels.dim(0)?, self.info.width);
        let cut = cut_patches(pixels, self.info.patch_size)?; // (V N, 3 P P)
        let patches = self.patches.forward(&cut)?; // (V N, D)
        let patches = patches.reshape((batch, (), width))?; // (V, N, D)
        let x = match &self.class {
            Some(class) => {
                // Both tables in the dtype of the patches, which gradients flow through in f32.
                let class = class.to_dtype(patches.dtype())?.unsqueeze(0)?;
                let class = class.broadcast_as((batch, 1, width))?;
                Tensor::cat(&[&class, &patches], 1)? // (V, N + 1, D)
            }
            None => patches,
        };
        // (R, D), the same for all views.
        let position = self.position.to_dtype(x.dtype())?;
        let x = x.broadcast_add(&position)?; // (V, N + 1, D)
        let x = match &self.registers {
            Some(registers) => behind_first(&x, registers)?,
            None => x,
        };
        let x = x.flatten_to(1)?; // (V R, D)
        // SigLIP, ViT and DINOv2 hand the sum on as it is.
        match &self.pre_norm {
            Some(norm) => Ok(norm.forward(&x, self.patches.backend())?),
            None => Ok(x),
        }
    }
}

/// Puts `registers (G, D)` behind the first row of each view: `x (V, N + 1, D)` ->
/// `(V, N + 1 + G, D)`.
fn behind_first(x: &Tensor, registers: &Tensor) -> Result<Tensor, Error> {
    let (views, rows, width) = x.dims3()?;
    let registers = registers.to_dtype(x.dtype())?.unsqueeze(0)?;
    let registers = registers.broadcast_as((views, registers.dim(1)?, width))?;
    let (class, patches) = (x.narrow(1, 0, 1)?, x.narrow(1, 1, rows - 1)?);
    Ok(Tensor::cat(&[&class, &registers, &patches], 1)?)
}

/// Cuts views into whole patches, row by row: `pixels (V, 3, H, W)` -> `(V N, 3 P P)`. A
/// convolution whose stride is its kernel is a linear layer over these.
pub(super) fn cut_patches(pixels: &Tensor, patch: usize) -> Result<Tensor, Error> {
    let (batch, _, height, width) = pixels.dims4()?;
    let (rows, columns) = (height / patch, width / patch);
    Ok(pixels
        // A convolution passes over what is no whole patch.
        .narrow(2, 0, rows * patch)?
        .narrow(3, 0, columns * patch)?
        // (V, 3, H/P, P, W/P, P).
        .reshape(vec![batch, 3, rows, patch, columns, patch])?
        // (V, H/P, W/P, 3, P, P): within a patch in the order of the flattened kernel.
        .permute(vec![0, 2, 4, 1, 3, 5])?
        .reshape((batch * rows * columns, 3 * patch * patch))?) // (V N, 3 P P)
}
