//! Hugging Face's `LlavaConfig`.

use serde::Deserialize;

use crate::model::{DecoderConfig, Error, SelectStrategy, TowerConfig};
use crate::nn::Activation;

/// config.json of a LLaVA-1.5 checkpoint; absent fields have Hugging Face's defaults.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields are Hugging Face's")]
pub struct Config {
    pub model_type: String,
    #[serde(default)]
    pub vision_config: TowerConfig,
    #[serde(default)]
    pub text_config: DecoderConfig,
    #[serde(alias = "image_token_id")]
    pub image_token_index: Option<u32>,
    pub vision_feature_layer: Option<serde_json::Value>,
    #[serde(default = "default_strategy")]
    pub vision_feature_select_strategy: SelectStrategy,
    #[serde(default = "default_act")]
    pub projector_hidden_act: Activation,
    #[serde(default = "default_bias")]
    pub multimodal_projector_bias: bool,
    pub tie_word_embeddings: Option<bool>,
}

fn default_strategy() -> SelectStrategy {
    SelectStrategy::Default
}

fn default_act() -> Activation {
    Activation::Gelu
}

fn default_bias() -> bool {
    true
}

impl Config {
    /// Parses and checks config.json.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let config: Self = serde_json::from_slice(bytes).map_err(|e| Error::Config(e.to_string()))?;
        if config.model_type != "llava" {
            let message = format!("model_type {:?}; llava (LLaVA-1.5) is supported", config.model_type);
            return Err(Error::Config(message));
        }
        config.vision_config.check()?;
        config.text_config.check()?;
        Ok(config)
    }

    /// Layer whose output is read, -2 by default.
    pub fn feature_layer(&self) -> Result<i64, Error> {
        match &self.vision_feature_layer {
            None => Ok(-2),
            Some(value) => value
                .as_i64()
                .ok_or_else(|| Error::Config(format!("vision_feature_layer {value}; one layer number is supported"))),
        }
    }

    /// The id that stands for a visual token.
    pub fn image_token(&self) -> u32 {
        self.image_token_index.unwrap_or(32_000)
    }

    /// Whether the head is the embedding table.
    pub fn tied(&self) -> bool {
        self.tie_word_embeddings.or(self.text_config.tie_word_embeddings).unwrap_or(false)
    }
}

/// A token id, or a list of them.
pub(super) fn token_ids(value: &serde_json::Value) -> Vec<u32> {
    let one = |v: &serde_json::Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    match value.as_array() {
        Some(list) => list.iter().filter_map(one).collect(),
        None => one(value).into_iter().collect(),
    }
}
