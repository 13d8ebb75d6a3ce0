//! The vision transformers of CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023), and the
//! plain ViT.

use candle_core::{IndexOp, Tensor};
use serde::Deserialize;

use super::Error;
use crate::nn::{
    Activation, Attention, Block, Hooks, Layout, Linear, MemoryTracker, Mlp, Norm, Point,
    SequenceCache, Site, Stack, Transformer,
};
use crate::weights::Tensors;

/// `vision_config` of config.json; absent fields have the defaults of Hugging Face's
/// `CLIPVisionConfig`, or what `Config::parse` filled in for SigLIP.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are Hugging Face's")]
pub struct TowerConfig {
    pub model_type: String,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub image_size: usize,
    pub patch_size: usize,
    pub hidden_act: Activation,
    pub layer_norm_eps: f64,
}

impl Default for TowerConfig {
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

impl TowerConfig {
    /// SigLIP has no class token.
    fn has_class(&self) -> bool {
        self.model_type != "siglip_vision_model"
    }

    /// CLIP alone has a norm before the first layer, and no bias in the patch embedding.
    fn is_clip(&self) -> bool {
        self.model_type == "clip_vision_model"
    }

    /// The ViT of Dosovitskiy et al. 2021 and of DINO (Caron et al. 2021), for saliency.
    fn is_vit(&self) -> bool {
        self.model_type == "vit"
    }

    /// Patches along each side.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Fails on shapes that no tower can have.
    pub fn check(&self) -> Result<(), Error> {
        let config = |m: String| Err(Error::Config(format!("vision_config: {m}")));
        if !["clip_vision_model", "siglip_vision_model", "vit"].contains(&self.model_type.as_str())
        {
            let message = "clip_vision_model and siglip_vision_model are supported";
            return config(format!("model_type {:?}; {message}", self.model_type));
        }
        let sizes = [
            self.hidden_size,
            self.intermediate_size,
            self.num_hidden_layers,
            self.num_attention_heads,
        ];
        if sizes.contains(&0) || self.patch_size == 0 {
            return config("sizes must be at least 1".into());
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return config(format!(
                "hidden_size {} over {} heads",
                self.hidden_size, self.num_attention_heads
            ));
        }
        if self.grid() == 0 || self.image_size > 1 << 14 {
            return config(format!(
                "image_size {} with patches of {}",
                self.image_size, self.patch_size
            ));
        }
        Ok(())
    }
}

/// `vision_feature_select_strategy` of config.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelectStrategy {
    /// The CLS token is dropped.
    Default,
    /// The CLS token is kept.
    Full,
}

impl SelectStrategy {
    /// Hugging Face's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Full => "full",
        }
    }
}

/// Whose view: the sequence, and (picture, view) within it.
pub type Owner = (usize, (usize, usize));

/// A vision tower.
#[derive(Debug)]
pub struct VisionTower {
    config: TowerConfig,
    patches: Linear,
    class: Option<Tensor>,
    position: Tensor,
    pre_norm: Option<Norm>,
    blocks: Transformer,
    /// The entries of `hidden_states` that are read, in the order in which they stand side by side;
    /// entry i needs i layers.
    features: Vec<usize>,
    strategy: SelectStrategy,
}

pub(super) fn linear(
    weights: &Tensors<'_>,
    name: &str,
    out: usize,
    input: usize,
    bias: bool,
) -> Result<Linear, Error> {
    let weight = weights.get(&format!("{name}.weight"), &[out, input])?;
    let bias = if bias {
        Some(weights.get(&format!("{name}.bias"), &[out])?)
    } else {
        None
    };
    Ok(Linear::new(weight, bias)?)
}

/// A block of CLIP's, of which both of its towers are made: (width, inner width, heads), and (eps,
/// activation).
pub(super) fn encoder_block(
    weights: &Tensors<'_>,
    at: &str,
    (width, inner, heads): (usize, usize, usize),
    (eps, activation): (f64, Activation),
    causal: bool,
) -> Result<Block, Error> {
    let norm = |name: &str| -> Result<Norm, Error> {
        let get = |part: &str| weights.get(&format!("{at}.{name}.{part}"), &[width]);
        Ok(Norm::Layer {
            weight: get("weight")?,
            bias: get("bias")?,
            eps,
        })
    };
    let project = |name: &str| {
        linear(
            weights,
            &format!("{at}.self_attn.{name}"),
            width,
            width,
            true,
        )
    };
    Ok(Block {
        ln1: norm("layer_norm1")?,
        attention: Attention {
            q: project("q_proj")?,
            k: project("k_proj")?,
            v: project("v_proj")?,
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
        },
        ln2_post: None,
    })
}

impl VisionTower {
    /// Reads the tower from `vision_tower.*`. `feature_layers` follow Hugging Face's rule:
    /// `hidden_states` counts the embeddings as entry 0, negative numbers count from the end.
    pub fn load(
        config: TowerConfig,
        feature_layers: &[i64],
        strategy: SelectStrategy,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        let entries = config.num_hidden_layers as i64 + 1;
        let entry = |&layer: &i64| {
            let entry = if layer < 0 { layer + entries } else { layer };
            if (0..entries).contains(&entry) {
                return Ok(entry as usize);
            }
            Err(Error::Config(format!(
                "vision_feature_layer {layer} is not in {}..{}",
                -entries,
                entries - 1
            )))
        };
        let features = feature_layers
            .iter()
            .map(entry)
            .collect::<Result<Vec<_>, _>>()?;
        let (width, patch) = (config.hidden_size, config.patch_size);
        let norm = |name: &str| -> Result<Norm, Error> {
            Ok(Norm::Layer {
                weight: weights.get(&format!("{name}.weight"), &[width])?,
                bias: weights.get(&format!("{name}.bias"), &[width])?,
                eps: config.layer_norm_eps,
            })
        };
        let block = |layer: usize| {
            let at = format!("vision_tower.encoder.layers.{layer}");
            let sizes = (width, config.intermediate_size, config.num_attention_heads);
            encoder_block(
                weights,
                &at,
                sizes,
                (config.layer_norm_eps, config.hidden_act),
                false,
            )
        };
        let embeddings = "vision_tower.embeddings";
        let kernel = weights.get(
            &format!("{embeddings}.patch_embedding.weight"),
            &[width, 3, patch, patch],
        )?;
        let bias = || weights.get(&format!("{embeddings}.patch_embedding.bias"), &[width]);
        let bias = (!config.is_clip()).then(bias).transpose()?;
        // A ViT writes its embeddings as (1, N, D).
        let embedding = |name: &str, rows: usize, shape: &[usize]| -> Result<Tensor, Error> {
            let whole = [1, rows, width];
            let shape = if config.is_vit() { &whole } else { shape };
            Ok(weights
                .get(&format!("{embeddings}.{name}"), shape)?
                .reshape((rows, width))?)
        };
        let class = || embedding("class_embedding", 1, &[width]);
        let class = config.has_class().then(class).transpose()?;
        let rows = config.grid() * config.grid() + usize::from(config.has_class());
        let position = embedding("position_embedding.weight", rows, &[rows, width])?;
        let blocks = (0..config.num_hidden_layers)
            .map(block)
            .collect::<Result<_, _>>()?;
        // Part of every checkpoint; it serves the pooled output, which LLaVA does not read.
        weights.ignore_all("vision_tower.post_layernorm.");
        weights.ignore_all("vision_tower.head.");
        weights.ignore_all("vision_tower.pooler.");
        Ok(Self {
            patches: Linear::new(kernel.flatten_from(1)?, bias)?, // (D, 3 P P)
            class,
            position,
            // Spelled so in every CLIP checkpoint.
            pre_norm: config
                .is_clip()
                .then(|| norm("vision_tower.pre_layrnorm"))
                .transpose()?,
            blocks: Transformer {
                stack: Stack::VisionTower,
                blocks,
                rope: None,
            },
            features,
            strategy,
            config,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &TowerConfig {
        &self.config
    }

    /// Says how many layers run: up to the highest one whose output is read.
    pub fn feature_layers(&self) -> usize {
        self.features.iter().copied().max().unwrap_or_default()
    }

    /// The entries of `hidden_states` that the projector reads side by side, the embeddings being
    /// entry 0.
    pub fn features(&self) -> &[usize] {
        &self.features
    }

    /// Width of what the projector reads.
    pub fn feature_width(&self) -> usize {
        self.features.len() * self.config.hidden_size
    }

    /// After how many layers of `path` each feature is read: entry i holds what the last pass
    /// through any layer below i has left.
    pub fn reads(&self, path: &[usize]) -> Vec<usize> {
        let read = |&entry: &usize| {
            path.iter()
                .rposition(|&layer| layer < entry)
                .map_or(0, |last| last + 1)
        };
        self.features.iter().map(read).collect()
    }

    /// Tells whether CLS reaches the projector.
    pub fn strategy(&self) -> SelectStrategy {
        self.strategy
    }

    /// Tells whether there is a class token before the patches.
    pub fn has_class(&self) -> bool {
        self.class.is_some()
    }

    /// Rows of one view within the tower.
    pub fn rows(&self) -> usize {
        self.config.grid() * self.config.grid() + usize::from(self.has_class())
    }

    /// Tells whether "default" drops a patch, for want of a class token.
    pub fn drops_a_patch(&self) -> bool {
        self.strategy == SelectStrategy::Default && !self.has_class()
    }

    /// Rows of one view that reach the projector.
    pub fn tokens(&self) -> usize {
        match self.strategy {
            SelectStrategy::Default => self.rows() - 1,
            SelectStrategy::Full => self.rows(),
        }
    }

    /// `pixels (B, 3, S, S)` -> the selected layers side by side, `(B N, n D)`, with their layout.
    /// `owners[i]` is the (sequence, (picture, view)) of view i, for the hooks.
    pub fn forward(
        &self,
        pixels: &Tensor,
        owners: &[Owner],
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        let layout = Self::layout(owners, self.rows());
        let x = self.embed(pixels, &layout, hooks)?;
        let meter = MemoryTracker::default();
        let mut caches: Vec<SequenceCache> = owners
            .iter()
            .map(|_| SequenceCache::new(0, 0, &meter, &meter))
            .collect();
        self.climb(x, &layout, &mut caches, &|_, _| None, hooks)
    }

    /// From rows `x (R, D)` of whole views, which may have passed some layers (their span's
    /// `layers_done`), to the selected layers `(B N, n D)` with their layout. `caches[i]` belongs to
    /// `layout.spans[i]`; `earlier(i, slot)` gives the rows of that view after `slot` layers, fewer
    /// than it begins with, where a feature is read there.
    pub fn climb(
        &self,
        x: Tensor,
        layout: &Layout,
        caches: &mut [SequenceCache],
        earlier: &dyn Fn(usize, usize) -> Option<Tensor>,
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        let owners: Vec<Owner> = layout
            .spans
            .iter()
            .map(|s| (s.sequence, (s.image, s.view)))
            .collect();
        let all: Vec<usize> = (0..self.feature_layers()).collect();
        let reads = |sequence| self.reads(hooks.path(Stack::VisionTower, sequence).unwrap_or(&all));
        let reads: Vec<Vec<usize>> = layout.spans.iter().map(|s| reads(s.sequence)).collect();
        // One feature is the output of the last layer that runs.
        let several = self.features.len() > 1;
        if several {
            for (cache, (span, reads)) in caches.iter_mut().zip(layout.spans.iter().zip(&reads)) {
                reads
                    .iter()
                    .filter(|&&slot| slot >= span.layers_done)
                    .for_each(|&slot| cache.request_checkpoint(slot, 0));
            }
        }
        let mut own: Vec<Option<&mut SequenceCache>> = caches.iter_mut().map(Some).collect();
        let (mut x, _) = self
            .blocks
            .forward(x, self.feature_layers(), layout, &mut own, hooks)?;
        if several {
            let mut views = Vec::with_capacity(owners.len());
            for (i, (span, reads)) in layout.spans.iter().zip(&reads).enumerate() {
                let mut parts = Vec::with_capacity(reads.len());
                for &slot in reads {
                    let kept = caches
                        .get(i)
                        .and_then(|cache| cache.checkpoints(slot).first());
                    let rows = if slot < span.layers_done {
                        earlier(i, slot)
                    } else {
                        kept.map(|c| c.rows.clone())
                    };
                    let missing =
                        || Error::Config(format!("the tower has no rows after {slot} layers"));
                    parts.push(rows.ok_or_else(missing)?);
                }
                views.push(Tensor::cat(&parts, 1)?); // (N, n D)
            }
            x = Tensor::cat(&views, 0)?;
        }
        let x = match self.strategy {
            SelectStrategy::Full => x,
            SelectStrategy::Default => {
                let rows = self.rows();
                x.reshape((owners.len(), rows, ()))?
                    .i((.., 1..))?
                    .flatten_to(1)? // (B N, n D)
            }
        };
        let layout = Self::layout(&owners, self.tokens());
        let x = hooks.on(
            Point::of(Stack::Projector, Site::In),
            &layout.spans,
            x.contiguous()?,
        )?;
        Ok((x, layout))
    }

    /// The share of attention that the CLS token of the last block pays to each patch (without a
    /// CLS token the mean over all patches that look), of one head or the mean over heads:
    /// `(B, N)`, row by row of the grid. All layers run.
    pub fn attention(&self, pixels: &Tensor, head: Option<usize>) -> Result<Tensor, Error> {
        struct Keep {
            layer: usize,
            class: bool,
            head: Option<usize>,
            found: Vec<Tensor>,
        }
        impl Hooks for Keep {
            fn on(
                &mut self,
                point: Point,
                _: &[crate::nn::Span],
                value: Tensor,
            ) -> crate::nn::Result<Tensor> {
                if point == Point::at(Stack::VisionTower, self.layer, Site::Pattern) {
                    let looks = if self.class {
                        value.i((.., 0, 1..))?
                    } else {
                        value.mean(1)?
                    }; // (H, N)
                    self.found.push(match self.head {
                        Some(head) => looks.i(head)?,
                        None => looks.mean(0)?,
                    }); // (N)
                }
                Ok(value)
            }

            fn wants(&self, point: Point, _: usize) -> bool {
                point == Point::at(Stack::VisionTower, self.layer, Site::Pattern)
            }
        }
        let owners: Vec<_> = (0..pixels.dim(0)?).map(|i| (i, (0, 0))).collect();
        let layout = Self::layout(&owners, self.rows());
        let layers = self.config.num_hidden_layers;
        let mut keep = Keep {
            layer: layers - 1,
            class: self.has_class(),
            head,
            found: Vec::new(),
        };
        let x = self.embed(pixels, &layout, &mut keep)?;
        self.blocks
            .forward(x, layers, &layout, &mut [], &mut keep)?;
        Ok(Tensor::stack(&keep.found, 0)?)
    }

    /// The layout of whole views.
    pub fn layout(owners: &[Owner], rows: usize) -> Layout {
        let mut layout = Layout::default();
        for &(sequence, view) in owners {
            layout.push_sequence(sequence, view, rows);
        }
        layout
    }

    /// `pixels (B, 3, S, S)` -> the input of the first layer, `(B N, D)`.
    pub fn embed(
        &self,
        pixels: &Tensor,
        layout: &Layout,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        let (batch, grid, patch) = (pixels.dim(0)?, self.config.grid(), self.config.patch_size);
        let side = grid * patch;
        // A convolution whose stride is its kernel is a linear layer over cut-out patches.
        let cut = pixels
            .narrow(2, 0, side)?
            .narrow(3, 0, side)?
            .reshape(vec![batch, 3, grid, patch, grid, patch])?
            .permute(vec![0, 2, 4, 1, 3, 5])?
            .reshape((batch * grid * grid, 3 * patch * patch))?; // (B N, 3 P P)
        let patches = self.patches.forward(&cut)?;
        let patches = patches.reshape((batch, grid * grid, self.config.hidden_size))?;
        let x = match &self.class {
            Some(class) => {
                let class =
                    class
                        .unsqueeze(0)?
                        .broadcast_as((batch, 1, self.config.hidden_size))?;
                Tensor::cat(&[&class, &patches], 1)? // (B, N + 1, D)
            }
            None => patches,
        };
        let x = x.broadcast_add(&self.position)?.flatten_to(1)?; // (B N', D)
        let x = match &self.pre_norm {
            Some(norm) => norm.forward(&x, self.patches.backend())?,
            None => x,
        };
        Ok(hooks.on(Point::of(Stack::VisionTower, Site::Embed), &layout.spans, x)?)
    }
}
