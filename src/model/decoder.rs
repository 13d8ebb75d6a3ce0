//! The decoder of Llama (Touvron et al. 2023), Mistral (Jiang et al. 2023) and Qwen2 (Yang et al. 2024).

use candle_core::Tensor;
use serde::Deserialize;

use super::Error;
use super::tower::linear;
use crate::nn::{
    Activation, Attention, Block, Hooks, Layout, Linear, Mlp, Norm, Point, Rope, RopeConfig, Site, Span, Stack, Track,
    Transformer,
};
use crate::weights::Tensors;

/// `text_config` of config.json; absent fields have the defaults of Hugging Face's `LlamaConfig`, or what
/// `Config::parse` filled in for the other types.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are Hugging Face's")]
pub struct DecoderConfig {
    pub model_type: String,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: Option<usize>,
    pub head_dim: Option<usize>,
    pub hidden_act: Activation,
    pub max_position_embeddings: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub rope_parameters: Option<RopeConfig>,
    pub rope_scaling: Option<RopeConfig>,
    pub tie_word_embeddings: Option<bool>,
    pub attention_bias: bool,
    pub mlp_bias: bool,
    pub sliding_window: Option<usize>,
    pub use_sliding_window: bool,
    pub max_window_layers: usize,
    pub layer_types: Option<Vec<String>>,
    pub eos_token_id: Option<serde_json::Value>,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            model_type: "llama".into(),
            vocab_size: 32_000,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            hidden_act: Activation::Silu,
            max_position_embeddings: 2048,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_parameters: None,
            rope_scaling: None,
            tie_word_embeddings: None,
            attention_bias: false,
            mlp_bias: false,
            sliding_window: None,
            use_sliding_window: false,
            max_window_layers: 28,
            layer_types: None,
            eos_token_id: None,
        }
    }
}

impl DecoderConfig {
    /// Key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    pub fn head_width(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// `(theta, factor)` of the rotary embedding.
    fn rope(&self) -> Result<(f64, f64), Error> {
        let config = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let theta = config.and_then(|c| c.rope_theta).unwrap_or(self.rope_theta);
        match config.map(|c| (c.rope_type.as_str(), c.factor)) {
            None | Some(("default", _)) => Ok((theta, 1.0)),
            Some(("linear", Some(factor))) if factor > 0.0 => Ok((theta, factor)),
            Some((kind, factor)) => Err(Error::Config(format!(
                "text_config: rope_type {kind:?} with factor {factor:?}; default, and linear with a factor, are supported"
            ))),
        }
    }

    /// How many keys a query of layer `layer` sees, itself included; all without a window.
    fn window(&self, layer: usize) -> Option<usize> {
        let slides = match self.model_type.as_str() {
            "mistral" => true,
            "qwen2" if self.use_sliding_window => match &self.layer_types {
                Some(types) => types.get(layer).is_some_and(|t| t == "sliding_attention"),
                None => layer >= self.max_window_layers,
            },
            _ => false,
        };
        self.sliding_window.filter(|_| slides)
    }

    /// Whether the projections to queries, keys and values, and the one back, have a bias.
    fn attention_biases(&self) -> (bool, bool) {
        if self.model_type == "qwen2" { (true, false) } else { (self.attention_bias, self.attention_bias) }
    }

    /// Fails on shapes that no decoder can have.
    pub fn check(&self) -> Result<(), Error> {
        let config = |m: String| Err(Error::Config(format!("text_config: {m}")));
        if !["llama", "mistral", "qwen2"].contains(&self.model_type.as_str()) {
            return config(format!("model_type {:?}; llama, mistral and qwen2 are supported", self.model_type));
        }
        if self.sliding_window == Some(0) {
            return config("sliding_window 0; at least 1, or null".into());
        }
        let sizes = [self.vocab_size, self.hidden_size, self.intermediate_size, self.num_hidden_layers];
        if sizes.contains(&0) || self.num_attention_heads == 0 || self.kv_heads() == 0 || self.head_width() == 0 {
            return config("sizes must be at least 1".into());
        }
        if !self.num_attention_heads.is_multiple_of(self.kv_heads()) || self.head_width() % 2 == 1 {
            return config(format!(
                "{} heads over {} key-value heads of width {}",
                self.num_attention_heads,
                self.kv_heads(),
                self.head_width()
            ));
        }
        if !(1..=1 << 20).contains(&self.max_position_embeddings) {
            return config(format!("max_position_embeddings {}", self.max_position_embeddings));
        }
        Ok(())
    }
}

/// A decoder over input embeddings.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    embed_tokens: Tensor,
    blocks: Transformer,
    norm: Norm,
    head: Linear,
}

impl Decoder {
    /// Reads `language_model.*` and `lm_head.weight`; with `tied` the head is the embedding table where the checkpoint has none,
    /// or an equal one.
    pub fn load(config: DecoderConfig, tied: bool, weights: &Tensors<'_>) -> Result<Self, Error> {
        let (width, inner, head_dim) = (config.hidden_size, config.intermediate_size, config.head_width());
        let norm = |name: &str| -> Result<Norm, Error> {
            Ok(Norm::Rms { weight: weights.get(&format!("{name}.weight"), &[width])?, eps: config.rms_norm_eps })
        };
        let block = |layer: usize| -> Result<Block, Error> {
            let at = format!("language_model.layers.{layer}");
            let (queries, keys) = (config.num_attention_heads * head_dim, config.kv_heads() * head_dim);
            let (bias, back) = config.attention_biases();
            let attn =
                |name: &str, out, input, bias| linear(weights, &format!("{at}.self_attn.{name}"), out, input, bias);
            let mlp =
                |name: &str, out, input| linear(weights, &format!("{at}.mlp.{name}"), out, input, config.mlp_bias);
            Ok(Block {
                ln1: norm(&format!("{at}.input_layernorm"))?,
                attention: Attention {
                    q: attn("q_proj", queries, width, bias)?,
                    k: attn("k_proj", keys, width, bias)?,
                    v: attn("v_proj", keys, width, bias)?,
                    o: attn("o_proj", width, queries, back)?,
                    heads: config.num_attention_heads,
                    kv_heads: config.kv_heads(),
                    head_dim,
                    causal: true,
                    window: config.window(layer),
                },
                ln2: norm(&format!("{at}.post_attention_layernorm"))?,
                mlp: Mlp {
                    pre: mlp("gate_proj", inner, width)?,
                    linear: Some(mlp("up_proj", inner, width)?),
                    out: mlp("down_proj", width, inner)?,
                    activation: config.hidden_act,
                },
            })
        };
        let table = weights.get("language_model.embed_tokens.weight", &[config.vocab_size, width])?;
        let own =
            weights.has("lm_head.weight") && !weights.are_equal("lm_head.weight", "language_model.embed_tokens.weight");
        let head = if tied && !own {
            weights.ignore("lm_head.weight");
            Linear::new(table.clone(), None)?
        } else {
            linear(weights, "lm_head", config.vocab_size, width, false)?
        };
        let (theta, factor) = config.rope()?;
        let positions = config.max_position_embeddings;
        let rope = Rope::new(head_dim, positions, theta, factor, weights.dtype(), weights.device())?;
        let blocks = (0..config.num_hidden_layers).map(block).collect::<Result<_, _>>()?;
        let blocks = Transformer { stack: Stack::LanguageModel, blocks, rope: Some(rope) };
        Ok(Self { embed_tokens: table, blocks, norm: norm("language_model.norm")?, head, config })
    }

    /// The configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The rows of the embedding table: `(ids) -> (R, D)`. An id beyond it, which can only place a picture (`Text` hands out no
    /// other), gets row 0.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor, Error> {
        let within = |&id: &u32| if (id as usize) < self.config.vocab_size { id } else { 0 };
        let ids: Vec<u32> = ids.iter().map(within).collect();
        let index = Tensor::from_slice(&ids, ids.len(), self.embed_tokens.device())?;
        Ok(self.embed_tokens.index_select(&index, 0)?)
    }

    /// Input embeddings `x (R, D)` -> `norm(x) (R', D)` after the last layer, with its layout, which has fewer rows where hooks
    /// drop some; rows of a span whose `slot` is not 0 have passed layers already. `tracks[i]` belongs to `layout.spans[i]`; a sequence without one attends to its own rows alone.
    pub fn forward(
        &self,
        x: Tensor,
        layout: &Layout,
        tracks: &mut [Option<&mut Track>],
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        let fresh: Vec<Span> = layout.spans.iter().filter(|s| s.slot == 0).cloned().collect();
        let x = hooks.on(Point::of(Stack::LanguageModel, Site::Embed), &fresh, x)?;
        let (x, layout) = self.blocks.forward(x, self.config.num_hidden_layers, layout, tracks, hooks)?;
        let x = self.norm.forward(&x)?;
        let x = hooks.on(Point::of(Stack::LanguageModel, Site::LnFinalNormalized), &layout.spans, x)?;
        Ok((x, layout))
    }

    /// The logit lens (nostalgebraist 2020): rows of the residual stream `(R, D)` through the final norm and the head, `(R, V)`.
    pub fn lens(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(self.head.forward(&self.norm.forward(x)?)?)
    }

    /// Normed rows `(R, D)` -> logits `(R, V)`; `layout` holds just these rows.
    pub fn logits(&self, x: &Tensor, layout: &Layout, hooks: &mut dyn Hooks) -> Result<Tensor, Error> {
        let logits = self.head.forward(x)?;
        Ok(hooks.on(Point::of(Stack::LanguageModel, Site::Logits), &layout.spans, logits)?)
    }
}
