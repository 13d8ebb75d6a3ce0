//! ViP-LLaVA (Cai et al. 2024): LLaVA-1.5 whose projector reads several layers of the tower side by
//! side, through a norm.
//!
//! The reference is Hugging Face's `VipLlavaForConditionalGeneration`.

use super::family::Family;
use crate::model::image_tokens::ImageTokens;
use crate::model::vision_tower::{TowerConfig, ViewInfo};
use crate::vision::{Picture, Tiling};

/// The family.
#[derive(Debug)]
pub(super) struct VipLlava;

impl Family for VipLlava {
    fn model_type(&self) -> &'static str {
        "vipllava"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[
            // Of `VipLlavaConfig`: an early layer for the shapes of drawn marks, and four late
            // ones.
            ("/vision_feature_layers", "[-2, -5, -8, -11, 6]"),
            ("/projector_layernorm_eps", "1e-5"),
        ]
    }

    fn tiling(&self, _: &dyn TowerConfig) -> Tiling {
        Tiling::None
    }

    fn projector_norm(&self) -> Option<&'static str> {
        Some("projector_layernorm")
    }

    // `class` is false: `Config::feature_layers` refuses anything but "default" for this family.
    fn tokens(&self, _: &Picture, view: ViewInfo, class: bool, _: Option<usize>) -> ImageTokens {
        ImageTokens::of_view(view, class)
    }
}
