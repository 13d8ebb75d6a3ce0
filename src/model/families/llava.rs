//! LLaVA-1.5 (Liu et al. 2023): one view a picture, its visual tokens where the prompt says.
//!
//! The reference is Hugging Face's `LlavaForConditionalGeneration`.

use super::family::Family;
use crate::model::image_tokens::ImageTokens;
use crate::model::vision_tower::{TowerConfig, ViewInfo};
use crate::vision::{Picture, Tiling};

/// The family.
#[derive(Debug)]
pub(super) struct Llava;

impl Family for Llava {
    fn model_type(&self) -> &'static str {
        "llava"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        // Those of every family (load/config.rs) are this one's.
        &[]
    }

    fn tiling(&self, _: &dyn TowerConfig) -> Tiling {
        Tiling::None
    }

    fn tokens(&self, _: &Picture, view: ViewInfo, class: bool, _: Option<usize>) -> ImageTokens {
        ImageTokens::of_view(view, class)
    }
}
