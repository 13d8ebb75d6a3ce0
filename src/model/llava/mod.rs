//! LLaVA-1.5 (Liu et al. 2023): one view a picture, its visual tokens where the prompt says.
//!
//! The reference is Hugging Face's `LlavaForConditionalGeneration`.

use super::{Family, ImageTokens};
use crate::vision::{Picture, Tiling};

/// The family.
#[derive(Debug)]
pub struct Llava;

impl Family for Llava {
    fn model_type(&self) -> &'static str {
        "llava"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn tiling(&self) -> Tiling {
        Tiling::None
    }

    fn has_newline(&self) -> bool {
        false
    }

    fn tokens(&self, _: &Picture, side: usize, class: bool, _: Option<usize>) -> ImageTokens {
        ImageTokens::of_view(side, class)
    }
}
