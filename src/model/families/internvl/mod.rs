//! InternVL (Chen et al. 2024) in its Hugging Face form: a picture stretched to the tiles that fit
//! its shape best and, where there are several, the whole of it once more; the projector reads
//! squares of patches as one visual token each.
//!
//! The reference is Hugging Face's `InternVLForConditionalGeneration`. Views are numbered as in
//! every family, the base view (there: the thumbnail, which comes last) first; visual tokens stand
//! in its order, tile after tile and the base view behind them.

mod tower;

use serde_json::Value;

use self::tower::InternVitConfig;
use super::family::{Family, tiles};
use crate::model::error::Error;
use crate::model::fields;
use crate::model::image_tokens::ImageTokens;
use crate::model::vision_tower::{TowerConfig, ViewInfo};
use crate::vision::{Picture, Tiling};

/// The family.
#[derive(Debug)]
pub(super) struct InternVl;

impl Family for InternVl {
    fn model_type(&self) -> &'static str {
        "internvl"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[
            // Of `InternVLConfig`.
            ("/vision_config/model_type", r#""internvl_vision""#),
            ("/text_config/model_type", r#""qwen2""#),
            ("/image_token_index", "151667"),
            ("/vision_feature_layer", "-1"),
            ("/tie_word_embeddings", "true"),
            ("/downsample_ratio", "0.5"),
            // PyTorch's, which the projector's norm has.
            ("/projector_layernorm_eps", "1e-5"),
        ]
    }

    fn tiling(&self, _: &dyn TowerConfig) -> Tiling {
        Tiling::Stretched
    }

    fn image_marker(&self) -> &'static str {
        "<IMG_CONTEXT>"
    }

    fn projector_norm(&self) -> Option<&'static str> {
        Some("layer_norm")
    }

    fn around_images(&self) -> Option<[(&'static str, &'static str); 2]> {
        Some([
            ("start_image_token", "<img>"),
            ("end_image_token", "</img>"),
        ])
    }

    fn tower(&self, config: &Value) -> Result<Box<dyn TowerConfig>, Error> {
        let vision: InternVitConfig = fields::of_config("vision_config", &config["vision_config"])?;
        // What is no number becomes 0, which `check` refuses; where it is absent the default is in
        // already.
        let ratio = config["downsample_ratio"].as_f64().unwrap_or_default();
        vision.check(ratio)?;
        // With the class token kept, transformers' `pixel_shuffle` gets rows that are no square and
        // fails.
        if config["vision_feature_select_strategy"] != "default" {
            let message = "vision_feature_select_strategy: internvl takes the patches alone";
            return Err(Error::Config(message.into()));
        }
        // transformers indexes `hidden_states` with the field as it is.
        if !config["vision_feature_layer"].is_i64() {
            let message = "vision_feature_layer: internvl reads one layer";
            return Err(Error::Config(message.into()));
        }
        Ok(Box::new(vision.merging(ratio)))
    }

    fn tokens(&self, picture: &Picture, view: ViewInfo, _: bool, _: Option<usize>) -> ImageTokens {
        match tiles(picture) {
            Some(tiles) => ImageTokens::of_tiles_before_base(view, tiles),
            None => ImageTokens::of_view(view, false),
        }
    }
}
