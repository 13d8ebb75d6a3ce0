//! The decoder of Llama (Touvron et al. 2023), Mistral (Jiang et al. 2023), Qwen2 (Yang et al.
//! 2024), Qwen3 (Yang et al. 2025), Phi-3 (Abdin et al. 2024), Gemma (Mesnard et al. 2024) and
//! Gemma 2 (Riviere et al. 2024).

use std::ops::Range;

use candle_core::{DType, Tensor};
use serde::Deserialize;
use serde_json::Value;

use super::error::Error;
use super::read::{linear, weights_of};
use super::rotary::Rotary;
use super::tuned_lens::Translator;
use super::vit::MAX_SIZE;
use crate::nn::{
    Activation, Attention, Block, Frequencies, Hooks, Layout, Linear, Mlp, Norm, Point, Rope,
    RopeRows, SequenceCache, Site, Span, Stack, Transformer, to_device,
};
use crate::weights::Tensors;

/// The `model_type`s of `text_config` that there is a decoder for.
pub const DECODERS: [&str; 7] = [
    "llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma2",
];

/// Tokens of a vocabulary; the largest known has a quarter of a million.
// `likeliest` hands ids out as f32, which counts exactly up to here.
const MAX_VOCABULARY: usize = 1 << 24;
// Each layer is a handful of allocations and names before its first tensor is missed.
const MAX_LAYERS: usize = 1 << 10;
/// Positions times dimensions of a head: a million positions with heads of 256.
const MAX_ROTARY_TABLE: usize = 1 << 28;

/// `text_config` of config.json; absent fields have the defaults of Hugging Face's `LlamaConfig`,
/// or what `Config::parse` filled in for the other types.
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
    pub hidden_activation: Option<Activation>,
    pub max_position_embeddings: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub rope_parameters: Option<Value>,
    pub rope_scaling: Option<Value>,
    pub partial_rotary_factor: Option<f64>,
    pub original_max_position_embeddings: Option<usize>,
    pub tie_word_embeddings: Option<bool>,
    pub attention_bias: bool,
    pub mlp_bias: bool,
    pub sliding_window: Option<usize>,
    pub use_sliding_window: bool,
    pub max_window_layers: usize,
    pub layer_types: Option<Vec<String>>,
    pub query_pre_attn_scalar: Option<f64>,
    pub attn_logit_softcapping: Option<f64>,
    pub use_bidirectional_attention: Option<bool>,
    pub eos_token_id: Option<Value>,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            model_type: "llama".into(),
            // transformers leaves fields out of config.json that equal its class's defaults, so
            // these numbers are part of the file format.
            vocab_size: 32_000,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            hidden_act: Activation::Silu,
            hidden_activation: None,
            max_position_embeddings: 2048,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_parameters: None,
            rope_scaling: None,
            partial_rotary_factor: None,
            original_max_position_embeddings: None,
            tie_word_embeddings: None,
            attention_bias: false,
            mlp_bias: false,
            sliding_window: None,
            use_sliding_window: false,
            max_window_layers: 28,
            layer_types: None,
            query_pre_attn_scalar: None,
            attn_logit_softcapping: None,
            use_bidirectional_attention: None,
            eos_token_id: None,
        }
    }
}

impl DecoderConfig {
    /// Returns the number of heads of keys and values.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Returns the width of a head.
    pub fn head_width(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Returns the numbers of the embedding table.
    pub fn table_parameters(&self) -> u64 {
        self.vocab_size as u64 * self.hidden_size as u64
    }

    /// Returns the numbers of one layer.
    pub fn layer_parameters(&self) -> u64 {
        let [width, inner, head] =
            [self.hidden_size, self.intermediate_size, self.head_width()].map(|n| n as u64);
        let queries = self.num_attention_heads as u64 * head;
        let keys = self.kv_heads() as u64 * head;
        let (bias, back) = self.attention_biases();
        let is = |model_type: &str| u64::from(self.model_type == model_type);
        // Queries and the way back are of one size, keys and values of another; the MLP has a gate
        // and two more.
        let matrices = 2 * width * (queries + keys) + 3 * width * inner;
        let biases = u64::from(bias) * (queries + 2 * keys)
            + u64::from(back) * width
            + u64::from(self.mlp_bias) * (2 * inner + width);
        // Gemma 2 norms also what attention and MLP add, Qwen3 the queries and keys of each head.
        let norms = (2 + 2 * is("gemma2")) * width + 2 * is("qwen3") * head;
        matrices + biases + norms
    }

    /// Returns the frequencies of the rotary embedding.
    fn frequencies(&self) -> Result<Frequencies, Error> {
        let rotary = Rotary {
            model_type: &self.model_type,
            rope_parameters: self.rope_parameters.as_ref(),
            rope_scaling: self.rope_scaling.as_ref(),
            rope_theta: self.rope_theta,
            partial_rotary_factor: self.partial_rotary_factor,
            original_max_position_embeddings: self.original_max_position_embeddings,
            max_position_embeddings: self.max_position_embeddings,
            head_dim: self.head_width(),
        };
        rotary.frequencies()
    }

    fn is_gemma(&self) -> bool {
        // The two share the scaled embeddings and the norms by `1 + weight`.
        ["gemma", "gemma2"].contains(&self.model_type.as_str())
    }

    /// Tells whether the queries of layer `layer` see a window of keys.
    fn slides(&self, layer: usize) -> bool {
        let listed = self
            .layer_types
            .as_ref()
            .map(|types| types.get(layer).is_some_and(|t| t == "sliding_attention"));
        match self.model_type.as_str() {
            // Neither reads `layer_types`: a window is one of all layers.
            "mistral" | "phi3" => self.sliding_window.is_some(),
            // Every second layer, beginning with the first.
            "gemma2" => listed.unwrap_or(layer.is_multiple_of(2)),
            // The first layers see everything. Qwen's files give a window that is not in use.
            "qwen2" | "qwen3" => {
                listed.unwrap_or(self.use_sliding_window && layer >= self.max_window_layers)
            }
            // Llama's files may hold a window, which its code does not read.
            _ => false,
        }
    }

    /// Says how many keys a query of layer `layer` sees, itself included; all without a window.
    fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.slides(layer))
    }

    /// Tells whether the projections to queries, keys and values, and the one back, have a bias.
    fn attention_biases(&self) -> (bool, bool) {
        match self.model_type.as_str() {
            // Both are in the code of these and not in their files.
            "qwen2" => (true, false),
            "phi3" => (false, false),
            // `attention_bias` of Llama's class goes for all four projections.
            _ => (self.attention_bias, self.attention_bias),
        }
    }

    /// Returns the factor of scores.
    fn attention_scale(&self) -> f64 {
        // Gemma 2's of 27B divides by the root of 144 where its heads are 128 wide.
        let scalar = self
            .query_pre_attn_scalar
            .filter(|_| self.model_type == "gemma2");
        scalar.unwrap_or(self.head_width() as f64).sqrt().recip()
    }

    /// Returns the bound of scores. transformers keeps it in its eager attention alone, which is
    /// the reference here; the bound of logits belongs to `Gemma2ForCausalLM`, and a LLaVA has
    /// none.
    fn softcap(&self) -> Option<f64> {
        self.attn_logit_softcapping
            .filter(|_| self.model_type == "gemma2")
    }

    fn activation(&self) -> Activation {
        // The first Gemma's files have this field, too, and transformers reads `hidden_act` there.
        self.hidden_activation
            .filter(|_| self.model_type == "gemma2")
            .unwrap_or(self.hidden_act)
    }

    /// Fails on types of layers that are unknown, are too few or too many, or have no window to
    /// slide.
    fn check_layers(&self) -> Result<(), Error> {
        // The others never read `layer_types`, so whatever stands there is harmless.
        if !["qwen2", "qwen3", "gemma2"].contains(&self.model_type.as_str()) {
            return Ok(());
        }
        if let Some(types) = &self.layer_types {
            if let Some(other) = types
                .iter()
                .find(|t| !["sliding_attention", "full_attention"].contains(&t.as_str()))
            {
                return config(format!(
                    "layer_types has {other:?}; sliding_attention and full_attention are supported"
                ));
            }
            if types.len() != self.num_hidden_layers {
                return config(format!(
                    "{} layer_types for {} layers",
                    types.len(),
                    self.num_hidden_layers
                ));
            }
        }
        let window = self
            .sliding_window
            // Qwen's configuration class sets `sliding_window` to null where `use_sliding_window`
            // is false.
            .filter(|_| self.model_type == "gemma2" || self.use_sliding_window);
        if window.is_none() && (0..self.num_hidden_layers).any(|layer| self.slides(layer)) {
            return config("layers of sliding_attention without a sliding_window in use".into());
        }
        Ok(())
    }

    /// Fails on shapes that no decoder can have.
    pub fn check(&self) -> Result<(), Error> {
        if !DECODERS.contains(&self.model_type.as_str()) {
            return config(format!(
                "model_type {:?}; {} are supported",
                self.model_type,
                DECODERS.join(", ")
            ));
        }
        // A row would depend on rows after it, so that no chunk or prefix of a prompt could be
        // computed without the rest.
        if self.use_bidirectional_attention == Some(true) {
            return config(
                "use_bidirectional_attention true; causal attention is supported (false)".into(),
            );
        }
        for (name, value) in [
            ("query_pre_attn_scalar", self.query_pre_attn_scalar),
            ("attn_logit_softcapping", self.attn_logit_softcapping),
        ] {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return config(format!("{name} {value}; a number above 0 is needed"));
            }
        }
        if self.sliding_window == Some(0) {
            return config("sliding_window 0; at least 1, or null".into());
        }
        self.check_sizes()?;
        self.check_layers()?;
        // Made for its errors: before gigabytes are fetched, not when the weights are read.
        self.frequencies().map(drop)
    }

    /// Fails on sizes that do not fit each other, or no memory.
    fn check_sizes(&self) -> Result<(), Error> {
        let sizes = [
            self.vocab_size,
            self.hidden_size,
            self.intermediate_size,
            self.num_hidden_layers,
        ];
        if sizes.contains(&0)
            || self.num_attention_heads == 0
            || self.kv_heads() == 0
            || self.head_width() == 0
        {
            return config("sizes must be at least 1".into());
        }
        for (name, size, most) in [
            ("vocab_size", self.vocab_size, MAX_VOCABULARY),
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("intermediate_size", self.intermediate_size, MAX_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_SIZE),
            ("head_dim", self.head_width(), MAX_SIZE),
        ] {
            if size > most {
                return config(format!("{name} {size}; at most {most} is supported"));
            }
        }
        // Queries share keys by whole groups, and rotation turns pairs of dimensions.
        if !self.num_attention_heads.is_multiple_of(self.kv_heads()) || self.head_width() % 2 == 1 {
            return config(format!(
                "{} heads over {} key-value heads of width {}",
                self.num_attention_heads,
                self.kv_heads(),
                self.head_width()
            ));
        }
        if !(1..=1 << 20).contains(&self.max_position_embeddings) {
            return config(format!(
                "max_position_embeddings {}",
                self.max_position_embeddings
            ));
        }
        // Cosines and sines of all positions are made before the first layer is read.
        if self.max_position_embeddings * self.head_width() > MAX_ROTARY_TABLE {
            return config(format!(
                "max_position_embeddings {} over heads of width {}; together at most \
                 {MAX_ROTARY_TABLE} are supported",
                self.max_position_embeddings,
                self.head_width()
            ));
        }
        Ok(())
    }
}

fn config<T>(message: String) -> Result<T, Error> {
    Err(Error::Config(format!("text_config: {message}")))
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
    /// Reads `language_model.*` and `lm_head.weight`; with `tied` the head is the embedding table
    /// where the checkpoint has none, or an equal one. The layers `stages[i]` are on the i-th
    /// device, to which `weights` sends them.
    pub fn load(
        config: DecoderConfig,
        tied: bool,
        stages: Vec<Range<usize>>,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        // As numbers even where matrices stay in blocks: rows are gathered from it.
        let table = weights.get(
            "language_model.embed_tokens.weight",
            &[config.vocab_size, config.hidden_size],
        )?;
        // As transformers 5.17 does, which keeps a head that the checkpoint has and only warns. An
        // equal one is tied all the same, so that one table is resident.
        let own = weights.has("lm_head.weight")
            && !weights.are_equal("lm_head.weight", "language_model.embed_tokens.weight");
        let head = if tied && !own {
            weights.ignore("lm_head.weight");
            // Over several devices the head is on the last one and the table on the first, so it is
            // a copy.
            let device = weights.device_of("lm_head.weight");
            let shape = [config.vocab_size, config.hidden_size];
            // As a head it stays in its blocks, apart from the table, which is of numbers.
            match weights.blocks("language_model.embed_tokens.weight", &shape)? {
                Some(blocks) => Linear::of_blocks(&blocks, (shape[0], shape[1]), None)?,
                None => Linear::new(to_device(&table, device)?, None)?,
            }
        } else {
            linear(
                weights,
                "lm_head",
                config.vocab_size,
                config.hidden_size,
                false,
            )?
        };
        let reader = Reader {
            config: &config,
            weights,
        };
        let blocks = (0..config.num_hidden_layers)
            .map(|layer| reader.block(layer))
            .collect::<Result<Vec<_>, _>>()?;
        let ropes = reader.ropes(&blocks)?;
        let norm = reader.norm("language_model.norm", config.hidden_size)?;
        let blocks = Transformer::spread(Stack::LanguageModel, blocks, ropes, stages)?;
        Ok(Self {
            embed_tokens: table,
            blocks,
            norm,
            head,
            config,
        })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Returns how many numbers a row is multiplied with in one layer, biases aside.
    pub fn layer_weights(&self) -> usize {
        self.blocks.blocks().first().map_or(0, weights_of)
    }

    /// Returns the rows of the embedding table: `(ids) -> (R, D)`. An id beyond it, which can only
    /// place a picture (`Text` hands out no other), gets row 0.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor, Error> {
        let rows = self.config.vocab_size as u32;
        let ids: Vec<u32> = ids
            .iter()
            .map(|&id| if id < rows { id } else { 0 })
            .collect();
        let index = Tensor::from_slice(&ids, ids.len(), self.embed_tokens.device())?;
        // (V, D) by (R) -> (R, D).
        let rows = self.embed_tokens.index_select(&index, 0)?;
        // Gemma scales the embeddings of tokens, and leaves visual tokens as the projector made
        // them.
        if self.config.is_gemma() {
            Ok((rows * (self.config.hidden_size as f64).sqrt())?)
        } else {
            Ok(rows)
        }
    }

    /// Returns the rule by which rows of the rotary table are counted; see [`Rope::row`].
    pub(super) fn rope_rows(&self) -> RopeRows {
        self.blocks.rope().map(Rope::rows).unwrap_or_default()
    }

    /// Runs input embeddings `x (R, D)` to `norm(x) (R', D)` after the last layer, with its layout,
    /// which has fewer rows where hooks drop some; rows of a span whose `layers_done` is not 0 have
    /// passed layers already. `tracks[i]` belongs to `layout.spans[i]`; a sequence without one
    /// attends to its own rows alone.
    pub fn forward(
        &self,
        x: Tensor,
        layout: &Layout,
        tracks: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        // Rows from a checkpoint had their embeddings changed when they were computed.
        let fresh: Vec<Span> = layout
            .spans
            .iter()
            .filter(|s| s.layers_done == 0)
            .cloned()
            .collect();
        let x = hooks.on(Point::of(Stack::LanguageModel, Site::Embed), &fresh, x)?;
        // (R, D) -> (R', D): hooks may let rows leave on the way.
        let (x, layout) =
            self.blocks
                .forward(x, self.config.num_hidden_layers, layout, tracks, hooks)?;
        let x = self.finish(&x, &layout, hooks)?;
        Ok((x, layout))
    }

    /// Norms the output of the last layer: `x (R, D) -> norm(x) (R, D)`.
    pub(super) fn finish(
        &self,
        x: &Tensor,
        layout: &Layout,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        // The last layer of a path may be on another device than the last one of the model.
        let x = to_device(x, self.head.device())?;
        // (R, D), each row by itself.
        let x = self.norm.forward(&x, self.head.backend())?;
        Ok(hooks.on(
            Point::of(Stack::LanguageModel, Site::LnFinalNormalized),
            &layout.spans,
            x,
        )?)
    }

    /// Returns its layers.
    pub(super) fn blocks(&self) -> &Transformer {
        &self.blocks
    }

    /// Reads by the logit lens (nostalgebraist 2020): rows of the residual stream `(R, D)` through
    /// the final norm and the head, `(R, V)`; of a tuned lens what its translator makes of them.
    pub fn lens(&self, x: &Tensor, translator: Option<&Translator>) -> Result<Tensor, Error> {
        // Without hooks: a lens reads the stream, it is no step of the pass.
        let mut x = to_device(x, self.head.device())?;
        if let Some(translator) = translator {
            x = translator.forward(&x)?;
        }
        Ok(self
            .head
            .forward(&self.norm.forward(&x, self.head.backend())?)?)
    }

    /// Maps normed rows `(R, D)` to logits `(R, V)`; `layout` holds just these rows.
    pub fn logits(
        &self,
        x: &Tensor,
        layout: &Layout,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        // (R, D) -> (R, V).
        let logits = self.head.forward(x)?;
        Ok(hooks.on(
            Point::of(Stack::LanguageModel, Site::Logits),
            &layout.spans,
            logits,
        )?)
    }
}

/// Reads the layers of a checkpoint.
struct Reader<'a, 'w> {
    config: &'a DecoderConfig,
    weights: &'a Tensors<'w>,
}

impl Reader<'_, '_> {
    /// Makes the angles of rotations, on each device that has blocks.
    fn ropes(&self, blocks: &[Block]) -> Result<Vec<Rope>, Error> {
        let (frequencies, mut ropes) = (self.config.frequencies()?, Vec::new());
        let (positions, dtype) = (self.config.max_position_embeddings, self.weights.dtype());
        for device in blocks.iter().map(Block::device) {
            // One table for each device: a tensor cannot be used from another card.
            if !ropes.iter().any(|known: &Rope| known.serves(device)) {
                ropes.push(Rope::new(&frequencies, positions, dtype, device)?);
            }
        }
        Ok(ropes)
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm, Error> {
        let mut weight = self.weights.get(&format!("{name}.weight"), &[width])?;
        if self.config.is_gemma() {
            // Checkpoints hold what is added to 1; the sum keeps the precision that Hugging Face
            // gives it.
            weight = (weight.to_dtype(DType::F32)? + 1.0)?;
        }
        Ok(Norm::Rms {
            weight,
            eps: self.config.rms_norm_eps,
        })
    }

    fn block(&self, layer: usize) -> Result<Block, Error> {
        let (at, width) = (
            format!("language_model.layers.{layer}"),
            self.config.hidden_size,
        );
        let norm = |name: &str| self.norm(&format!("{at}.{name}"), width);
        // Gemma 2 norms what attention and MLP add as well; `post_attention_layernorm`, elsewhere the
        // norm before the MLP, is there the one behind attention.
        let (attention, mlp) = (
            self.attention(&format!("{at}.self_attn"), layer)?,
            self.mlp(&format!("{at}.mlp"))?,
        );
        if self.config.model_type == "gemma2" {
            return Ok(Block {
                ln1: norm("input_layernorm")?,
                attention,
                ln1_post: Some(norm("post_attention_layernorm")?),
                ln2: norm("pre_feedforward_layernorm")?,
                mlp,
                ln2_post: Some(norm("post_feedforward_layernorm")?),
            });
        }
        let (ln1, ln2) = (norm("input_layernorm")?, norm("post_attention_layernorm")?);
        Ok(Block {
            ln1,
            attention,
            ln1_post: None,
            ln2,
            mlp,
            ln2_post: None,
        })
    }

    fn attention(&self, at: &str, layer: usize) -> Result<Attention, Error> {
        let Self { config, weights } = self;
        let (width, head_dim) = (config.hidden_size, config.head_width());
        let (queries, keys) = (
            config.num_attention_heads * head_dim,
            config.kv_heads() * head_dim,
        );
        let (bias, back) = config.attention_biases();
        let [q, k, v] = if config.model_type == "phi3" {
            // (queries + 2 keys, D): three layers, one below the other.
            self.split(&format!("{at}.qkv_proj"), [queries, keys, keys], width)?
        } else {
            [
                linear(weights, &format!("{at}.q_proj"), queries, width, bias)?,
                linear(weights, &format!("{at}.k_proj"), keys, width, bias)?,
                linear(weights, &format!("{at}.v_proj"), keys, width, bias)?,
            ]
        };
        Ok(Attention {
            q,
            k,
            v,
            qkv: None,
            o: linear(weights, &format!("{at}.o_proj"), width, queries, back)?,
            q_norm: self.head_norm(&format!("{at}.q_norm"))?,
            k_norm: self.head_norm(&format!("{at}.k_norm"))?,
            heads: config.num_attention_heads,
            kv_heads: config.kv_heads(),
            head_dim,
            scale: config.attention_scale(),
            softcap: config.softcap(),
            causal: true,
            window: config.window(layer),
        })
    }

    /// Reads the norm of each head's queries or keys, which Qwen3 has.
    fn head_norm(&self, name: &str) -> Result<Option<Norm>, Error> {
        let norm = || self.norm(name, self.config.head_width());
        (self.config.model_type == "qwen3").then(norm).transpose()
    }

    fn mlp(&self, at: &str) -> Result<Mlp, Error> {
        let Self { config, weights } = self;
        let (width, inner, bias) = (
            config.hidden_size,
            config.intermediate_size,
            config.mlp_bias,
        );
        let [gate, up] = if config.model_type == "phi3" {
            // (2 inner, D): `chunk(2)` of the reference takes the gate first.
            self.split(&format!("{at}.gate_up_proj"), [inner, inner], width)?
        } else {
            [
                linear(weights, &format!("{at}.gate_proj"), inner, width, bias)?,
                linear(weights, &format!("{at}.up_proj"), inner, width, bias)?,
            ]
        };
        let out = linear(weights, &format!("{at}.down_proj"), width, inner, bias)?;
        Ok(Mlp {
            pre: gate,
            linear: Some(up),
            out,
            activation: config.activation(),
            joined: None,
        })
    }

    /// Returns the layers of which a fused one `(sum of outs, input)` is made, end to end.
    fn split<const N: usize>(
        &self,
        name: &str,
        outs: [usize; N],
        input: usize,
    ) -> Result<[Linear; N], Error> {
        let fused = self
            .weights
            .get(&format!("{name}.weight"), &[outs.iter().sum(), input])?;
        let mut first = 0;
        let mut parts = Vec::with_capacity(N);
        for out in outs {
            // A copy: a view would keep the fused matrix resident beside what kernels pack of it.
            parts.push(Linear::new(
                fused.narrow(0, first, out)?.force_contiguous()?,
                None,
            )?);
            first += out;
        }
        parts
            .try_into()
            .map_err(|_| Error::Config(format!("{name} cannot be split")))
    }
}
