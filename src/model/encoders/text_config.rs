//! `text_config` of a CLIP or a SigLIP.

use candle_core::Tensor;
use serde::Deserialize;
use serde_json::Value;

use super::checks::{check_fields, fill};
use crate::model::error::Error;
use crate::model::vit::{MAX_SIZE, encoder_block};
use crate::nn::{Activation, Block};
use crate::weights::Tensors;

/// `text_config` of config.json; absent fields have the defaults of Hugging Face's
/// `CLIPTextConfig`, or what [`TextConfig::parse`] filled in for SigLIP.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct TextConfig {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    num_attention_heads: usize,
    pub(super) max_position_embeddings: usize,
    hidden_act: Activation,
    pub(super) layer_norm_eps: f64,
    pub(super) eos_token_id: Value,
    /// Width of SigLIP's embeddings, where it is not that of the tower.
    projection_size: Option<usize>,
    /// Tells whether it is SigLIP's.
    #[serde(skip)]
    pub(super) is_siglip: bool,
    /// Width of the embeddings.
    #[serde(skip)]
    pub(super) dim: usize,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            // openai/clip-vit-base-patch32's; `transformers` leaves out of config.json what equals
            // a default.
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49_407.into(),
            projection_size: None,
            is_siglip: false,
            dim: 512,
        }
    }
}

/// `SiglipTextConfig`'s defaults, where they are not CLIP's.
const SIGLIP: [(&str, &str); 7] = [
    ("vocab_size", "32000"),
    ("hidden_size", "768"),
    ("intermediate_size", "3072"),
    ("num_attention_heads", "12"),
    ("max_position_embeddings", "64"),
    ("hidden_act", r#""gelu_pytorch_tanh""#),
    ("layer_norm_eps", "1e-6"),
];

impl TextConfig {
    /// Reads config.json of a model with both towers, and fails on shapes that none can have.
    pub(super) fn parse(json: &Value) -> Result<Self, Error> {
        let is_siglip = match json["model_type"].as_str() {
            Some("clip") => false,
            Some("siglip") => true,
            _ => {
                let message = format!(
                    "model_type {}; a clip or siglip with both towers is needed",
                    json["model_type"]
                );
                return Err(Error::Config(message));
            }
        };
        let mut fields = json.get("text_config").cloned().unwrap_or_default();
        if fields.is_null() {
            fields = Value::Object(serde_json::Map::new());
        }
        check_fields("text_config", &fields)?;
        if is_siglip {
            fill(&mut fields, &SIGLIP);
        }
        let wrong = |e: serde_json::Error| Error::Config(format!("text_config: {e}"));
        let config = Self::deserialize(fields).map_err(wrong)?;
        let dim = if is_siglip {
            config.projection_size.unwrap_or(config.hidden_size)
        } else {
            json["projection_dim"].as_u64().unwrap_or(512) as usize
        };
        let config = Self {
            is_siglip,
            dim,
            ..config
        };
        config.check()?;
        if !is_siglip && config.eos_token_id.as_u64().is_none() {
            let message = format!(
                "text_config: eos_token_id {}; the number of a token is supported",
                config.eos_token_id
            );
            return Err(Error::Config(message));
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        let sizes = [
            self.hidden_size,
            self.intermediate_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.vocab_size,
            self.dim,
        ];
        let positions = self.max_position_embeddings;
        if sizes.contains(&0)
            || sizes
                .iter()
                .chain([&positions])
                // A config.json alone must not make the process allocate: tensors of these sizes
                // are asked for before the weights contradict them.
                .any(|size| *size > MAX_SIZE)
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
            // A text has a start and an end token at least.
            || positions < 2
        {
            return Err(Error::Config(format!(
                "text_config: sizes of 1 to {MAX_SIZE}, whose heads divide hidden_size, are \
                     supported"
            )));
        }
        Ok(())
    }

    /// Reads a table of `rows` embeddings.
    pub(super) fn embedding(
        &self,
        weights: &Tensors<'_>,
        name: &str,
        rows: usize,
    ) -> Result<Tensor, Error> {
        let name = format!("text_model.embeddings.{name}_embedding.weight");
        Ok(weights.get(&name, &[rows, self.hidden_size])?)
    }

    /// Reads all layers.
    pub(super) fn blocks(&self, weights: &Tensors<'_>) -> Result<Vec<Block>, Error> {
        let layers = 0..self.num_hidden_layers;
        layers.map(|layer| self.block(weights, layer)).collect()
    }

    fn block(&self, weights: &Tensors<'_>, layer: usize) -> Result<Block, Error> {
        let at = format!("text_model.encoder.layers.{layer}");
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let kind = (self.layer_norm_eps, self.hidden_act);
        // CLIP reads texts causally, which pictures are not: a text's embedding is that of its end.
        let causal = !self.is_siglip;
        encoder_block(
            weights,
            &at,
            (width, inner, self.num_attention_heads),
            kind,
            causal,
        )
    }
}
