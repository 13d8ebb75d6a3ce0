//! LLaVA-NeXT (Liu et al. 2024), also called LLaVA-1.6: a base view and tiles at a higher
//! resolution, a newline vector after each row of them.
//!
//! The reference is Hugging Face's `LlavaNextForConditionalGeneration`.

use super::family::tiles;
use super::{Family, ImageTokens};
use crate::vision::{Picture, Tiling};

/// The family.
#[derive(Debug)]
pub struct LlavaNext;

impl Family for LlavaNext {
    fn model_type(&self) -> &'static str {
        "llava_next"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn tiling(&self) -> Tiling {
        Tiling::Always
    }

    fn has_newline(&self) -> bool {
        true
    }

    fn tokens(&self, picture: &Picture, side: usize, _: bool, _: Option<usize>) -> ImageTokens {
        match tiles(picture) {
            Some(tiles) => ImageTokens::of_tiles(side, tiles, picture.size, None),
            None => ImageTokens::of_view_with_newline(side),
        }
    }
}
