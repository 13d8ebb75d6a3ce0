//! LLaVA-OneVision (Li et al. 2024): SigLIP tower, Qwen2 decoder; a picture that comes alone is
//! tiled, and its canvas scaled down where it would hold too many tokens; several pictures are one
//! view each.
//!
//! The reference is Hugging Face's `LlavaOnevisionForConditionalGeneration`.

use super::family::{Family, RowEnd, tiles};
use crate::model::image_tokens::ImageTokens;
use crate::model::vision_tower::{TowerConfig, ViewInfo};
use crate::vision::{Picture, Tiling};

/// The family.
#[derive(Debug)]
pub(super) struct LlavaOnevision;

impl Family for LlavaOnevision {
    fn model_type(&self) -> &'static str {
        "llava_onevision"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[
            // Of `LlavaOnevisionConfig`, whose defaults are not LLaVA-1.5's.
            ("/vision_config/model_type", r#""siglip_vision_model""#),
            ("/text_config/model_type", r#""qwen2""#),
            ("/image_token_index", "151646"),
            ("/vision_feature_layer", "-1"),
            ("/vision_feature_select_strategy", r#""full""#),
            ("/vision_aspect_ratio", r#""anyres_max_9""#),
        ]
    }

    fn tiling(&self, _: &dyn TowerConfig) -> Tiling {
        Tiling::Alone
    }

    fn row_end(&self) -> RowEnd {
        RowEnd::Newline
    }

    fn tokens(
        &self,
        picture: &Picture,
        view: ViewInfo,
        _: bool,
        most_tiles: Option<usize>,
    ) -> ImageTokens {
        match tiles(picture) {
            // Never a class token: it would break the rows that newlines end, and loading refuses
            // to keep it.
            Some(tiles) => ImageTokens::of_tiles(view, tiles, picture.size, most_tiles),
            None => ImageTokens::of_view_with_newline(view),
        }
    }
}
