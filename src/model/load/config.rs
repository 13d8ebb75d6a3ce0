//! config.json of Hugging Face's LLaVA models.

use serde::Deserialize;
use serde_json::Value;

use crate::model::decoder::DecoderConfig;
use crate::model::error::Error;
use crate::model::families::Family;
use crate::model::families::registry::family;
use crate::model::fields;
use crate::model::vision_tower::{SelectStrategy, TowerConfig};
use crate::nn::Activation;

/// config.json; absent fields have Hugging Face's defaults, which depend on the `model_type`s.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields are Hugging Face's")]
pub struct Config {
    pub model_type: String,
    pub text_config: DecoderConfig,
    #[serde(alias = "image_token_id")]
    pub image_token_index: u32,
    pub vision_feature_layer: Value,
    pub vision_feature_layers: Option<Value>,
    pub vision_feature_select_strategy: SelectStrategy,
    pub projector_hidden_act: Activation,
    pub multimodal_projector_bias: bool,
    pub projector_layernorm_eps: Option<f64>,
    pub tie_word_embeddings: Option<bool>,
    pub vision_aspect_ratio: Option<String>,
    /// Layers of the original LLaVA's projectors, where they are not 2.
    pub projector_layers: Option<usize>,
    /// The original LLaVA's, where it is not spatial_unpad.
    pub mm_patch_merge_type: Merge,
}

/// Says how the views of a tiled picture are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// View after view.
    Flat,
    /// The base view, then the canvas row by row.
    Spatial,
    /// The same without what pads the picture, a newline vector after each row.
    #[default]
    SpatialUnpad,
}

/// A field by its JSON pointer or key, and its default as JSON.
pub(super) type Default = (&'static str, &'static str);

/// Layers of the tower that a projector may read side by side.
const MOST_FEATURES: usize = 64;

/// Layers of a projector.
pub(super) const MOST_PROJECTOR_LAYERS: usize = 16;

/// Defaults of every family.
const DEFAULTS: [Default; 8] = [
    ("/mm_patch_merge_type", r#""spatial_unpad""#),
    ("/vision_config/model_type", r#""clip_vision_model""#),
    ("/text_config/model_type", r#""llama""#),
    ("/image_token_index", "32000"),
    ("/vision_feature_layer", "-2"),
    ("/vision_feature_select_strategy", r#""default""#),
    ("/projector_hidden_act", r#""gelu""#),
    ("/multimodal_projector_bias", "true"),
];

/// Defaults of a sub-configuration by its `model_type`, where they differ from those of its struct.
const BY_TYPE: [(&str, &str, &[Default]); 7] = [
    (
        "vision_config",
        "siglip_vision_model",
        &[
            ("patch_size", "16"),
            ("hidden_act", r#""gelu_pytorch_tanh""#),
            ("layer_norm_eps", "1e-6"),
        ],
    ),
    (
        "text_config",
        "mistral",
        &[
            ("intermediate_size", "14336"),
            ("num_key_value_heads", "8"),
            ("max_position_embeddings", "131072"),
            ("sliding_window", "4096"),
        ],
    ),
    (
        "text_config",
        "qwen2",
        &[
            ("vocab_size", "151936"),
            ("intermediate_size", "22016"),
            ("num_key_value_heads", "32"),
            ("max_position_embeddings", "32768"),
            ("sliding_window", "4096"),
        ],
    ),
    (
        "text_config",
        "qwen3",
        &[
            ("vocab_size", "151936"),
            ("intermediate_size", "22016"),
            ("num_key_value_heads", "32"),
            ("head_dim", "128"),
            ("max_position_embeddings", "32768"),
            ("sliding_window", "4096"),
        ],
    ),
    (
        "text_config",
        "phi3",
        &[
            ("vocab_size", "32064"),
            ("hidden_size", "3072"),
            ("intermediate_size", "8192"),
            ("max_position_embeddings", "4096"),
            ("original_max_position_embeddings", "4096"),
            ("rms_norm_eps", "1e-5"),
            ("eos_token_id", "32000"),
        ],
    ),
    (
        "text_config",
        "gemma",
        &[
            ("vocab_size", "256000"),
            ("hidden_size", "3072"),
            ("intermediate_size", "24576"),
            ("num_hidden_layers", "28"),
            ("num_attention_heads", "16"),
            ("num_key_value_heads", "16"),
            ("head_dim", "256"),
            ("hidden_act", r#""gelu_pytorch_tanh""#),
            ("max_position_embeddings", "8192"),
            ("tie_word_embeddings", "true"),
            ("eos_token_id", "1"),
        ],
    ),
    (
        "text_config",
        "gemma2",
        &[
            ("vocab_size", "256000"),
            ("hidden_size", "2304"),
            ("intermediate_size", "9216"),
            ("num_hidden_layers", "26"),
            ("num_attention_heads", "8"),
            ("num_key_value_heads", "4"),
            ("head_dim", "256"),
            ("hidden_activation", r#""gelu_pytorch_tanh""#),
            ("max_position_embeddings", "8192"),
            ("query_pre_attn_scalar", "256"),
            ("sliding_window", "4096"),
            ("attn_logit_softcapping", "50.0"),
            ("tie_word_embeddings", "true"),
            ("eos_token_id", "1"),
        ],
    ),
];

fn set_default(json: &mut Value, pointer: &str, value: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    if let (Some(Value::Object(fields)), Ok(value)) =
        (json.pointer_mut(parent), serde_json::from_str(value))
    {
        fields.entry(key).or_insert(value);
    }
}

/// Fills in what the `model_type`s of both parts imply.
fn set_defaults_by_type(json: &mut Value) {
    for (part, model_type, defaults) in BY_TYPE {
        if json[part]["model_type"] == model_type {
            for (key, value) in defaults {
                set_default(json, &format!("/{part}/{key}"), value);
            }
        }
    }
}

/// Parses and checks `text_config` of a language model by itself.
pub(in crate::model) fn language_model(mut json: Value) -> Result<DecoderConfig, Error> {
    set_defaults_by_type(&mut json);
    let config: DecoderConfig = fields::of_config("text_config", &json["text_config"])?;
    config.check()?;
    Ok(config)
}

/// config.json, parsed and checked.
#[derive(Debug)]
pub struct Parsed {
    /// Fields, defaults filled in.
    pub config: Config,
    /// The family that it names.
    pub family: &'static dyn Family,
    /// Configuration of the tower, from `vision_config`.
    pub tower: Box<dyn TowerConfig>,
}

impl Config {
    /// Parses and checks config.json.
    pub fn parse(mut json: Value) -> Result<Parsed, Error> {
        let family = family(&json)?;
        if let Some(fields) = json.as_object_mut() {
            for part in ["vision_config", "text_config"] {
                fields
                    .entry(part)
                    .or_insert_with(|| Value::Object(serde_json::Map::new()));
            }
            // The name depends on the version of transformers that wrote the file; serde takes both
            // for one field that stands twice.
            if let Some(id) = fields.remove("image_token_id") {
                fields.entry("image_token_index").or_insert(id);
            }
        }
        fields::check_object("text_config", &json["text_config"]).map_err(Error::Config)?;
        // A default never replaces what is there, so that the family's come first.
        for (pointer, value) in family.defaults().iter().chain(&DEFAULTS) {
            set_default(&mut json, pointer, value);
        }
        // After the `model_type`s of both parts have got their defaults.
        set_defaults_by_type(&mut json);
        // Of the JSON, since a family's tower has fields that no other has.
        let tower = family.tower(&json)?;
        let config: Self = fields::of_config("", &json)?;
        config.text_config.check()?;
        config.check_projector()?;
        Ok(Parsed {
            config,
            family,
            tower,
        })
    }

    fn check_projector(&self) -> Result<(), Error> {
        match self.projector_layers {
            Some(layers) if layers > MOST_PROJECTOR_LAYERS => Err(Error::Config(format!(
                "projector_layers {layers}; 0 to {MOST_PROJECTOR_LAYERS} are supported"
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the number of the projector's layers.
    pub fn projector_layers(&self) -> usize {
        // Only the original LLaVA has others.
        self.projector_layers.unwrap_or(2)
    }

    /// Returns the layers whose outputs the projector reads side by side. One family counts them in
    /// the plural, and drops CLS always.
    pub fn feature_layers(&self) -> Result<Vec<i64>, Error> {
        // Others may have the plural from a copied file; transformers reads it for ViP-LLaVA alone.
        let plural = self.model_type == "vipllava";
        let (name, value) = match &self.vision_feature_layers {
            Some(value) if plural => ("vision_feature_layers", value),
            _ => ("vision_feature_layer", &self.vision_feature_layer),
        };
        if plural && self.vision_feature_select_strategy != SelectStrategy::Default {
            return Err(Error::Config(
                "vision_feature_select_strategy: vipllava takes the patches alone (default)".into(),
            ));
        }
        let listed = value
            .as_array()
            // A number alone is a list of one: both read the same rows.
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        let layers: Option<Vec<i64>> = listed.iter().map(Value::as_i64).collect();
        layers
            .filter(|layers| (1..=MOST_FEATURES).contains(&layers.len()))
            .ok_or_else(|| {
                Error::Config(format!(
                    "{name} {value}; a layer number, \
                 or a list of 1 to {MOST_FEATURES} of them, is valid"
                ))
            })
    }

    /// Tells whether the head is the embedding table where the checkpoint has none. Hugging Face's
    /// LLaVA-NeXT asks the top of config.json alone, the others text_config as well.
    pub fn tied(&self) -> bool {
        let text =
            self.model_type != "llava_next" && self.text_config.tie_word_embeddings == Some(true);
        self.tie_word_embeddings == Some(true) || text
    }

    /// Returns the limit in `anyres_max_N`.
    pub fn most_tiles(&self) -> Result<Option<usize>, Error> {
        let Some(ratio) = &self.vision_aspect_ratio else {
            return Ok(None);
        };
        most_tiles_of(ratio).map(Some).ok_or_else(|| {
            Error::Config(format!(
                "vision_aspect_ratio {ratio:?}; anyres_max_N with N of 1 to 1024 is supported"
            ))
        })
    }
}

/// Returns N of `anyres_max_N`.
pub(super) fn most_tiles_of(ratio: &str) -> Option<usize> {
    let most = ratio.strip_prefix("anyres_max_")?.parse().ok();
    most.filter(|n| (1..=1024).contains(n))
}

/// Reads a token id, or a list of them.
pub(in crate::model) fn token_ids(value: &Value) -> Vec<u32> {
    let one = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    match value.as_array() {
        Some(list) => list.iter().filter_map(one).collect(),
        None => one(value).into_iter().collect(),
    }
}
