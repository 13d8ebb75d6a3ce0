//! LLaVA-NeXT (Liu et al. 2024), also called LLaVA-1.6: a base view and tiles at a higher
//! resolution, a newline vector after each row of them.
//!
//! The reference is Hugging Face's `LlavaNextForConditionalGeneration`.

use super::family::{Family, RowEnd, tiles};
use crate::model::image_tokens::ImageTokens;
use crate::model::vision_tower::{TowerConfig, ViewInfo};
use crate::vision::{Picture, Tiling};

/// The family.
#[derive(Debug)]
pub(super) struct LlavaNext;

impl Family for LlavaNext {
    fn model_type(&self) -> &'static str {
        "llava_next"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        // `LlavaNextConfig` has those of `LlavaConfig`.
        &[]
    }

    fn tiling(&self, _: &dyn TowerConfig) -> Tiling {
        // Each of several pictures as well, unlike OneVision.
        Tiling::Always
    }

    fn row_end(&self) -> RowEnd {
        RowEnd::Newline
    }

    // Never a class token: it would break the rows that newlines end, and loading refuses to keep
    // it.
    fn tokens(&self, picture: &Picture, view: ViewInfo, _: bool, _: Option<usize>) -> ImageTokens {
        match tiles(picture) {
            Some(tiles) => ImageTokens::of_tiles(view, tiles, picture.size, None),
            // transformers appends `image_newline` also to a picture that has the base view alone.
            None => ImageTokens::of_view_with_newline(view),
        }
    }
}
