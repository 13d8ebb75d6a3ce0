//! What a family of models adds to the parts that all share.

use std::fmt::Debug;

use super::{Error, ImageTokens, llava, llava_next, llava_onevision, vipllava};
use crate::vision::{Picture, Tiling};

/// A family: a folder here, a line in [`FAMILIES`], and a golden set.
pub trait Family: Debug + Send + Sync {
    /// Hugging Face's `model_type`.
    fn model_type(&self) -> &'static str;

    /// Defaults of config.json where they are not those of every family: JSON pointers with values
    /// as JSON.
    fn defaults(&self) -> &'static [(&'static str, &'static str)];

    /// Which pictures the image processor cuts into tiles.
    fn tiling(&self) -> Tiling;

    /// Tells whether the checkpoint has a newline vector.
    fn has_newline(&self) -> bool;

    /// Tells whether the projector has a norm before its first layer.
    fn has_projector_norm(&self) -> bool {
        false
    }

    /// The visual tokens of `picture`, over a tower of `side` x `side` patches with or without a
    /// class token in front. `most_tiles` is the limit in `vision_aspect_ratio`, where there is
    /// one.
    fn tokens(
        &self,
        picture: &Picture,
        side: usize,
        class: bool,
        most_tiles: Option<usize>,
    ) -> ImageTokens;
}

/// All families.
pub const FAMILIES: [&dyn Family; 4] = [
    &llava::Llava,
    &llava_next::LlavaNext,
    &llava_onevision::LlavaOnevision,
    &vipllava::VipLlava,
];

/// The family of a `model_type`.
pub(super) fn family(model_type: &str) -> Result<&'static dyn Family, Error> {
    FAMILIES
        .into_iter()
        .find(|f| f.model_type() == model_type)
        .ok_or_else(|| {
            let known: Vec<&str> = FAMILIES.iter().map(|f| f.model_type()).collect();
            Error::Config(format!(
                "model_type {model_type:?}; {} are supported",
                known.join(", ")
            ))
        })
}

/// Rows and columns of tiles of a picture that has a canvas.
pub(super) fn tiles(picture: &Picture) -> Option<(usize, usize)> {
    let side = picture.side().max(1);
    picture
        .canvas
        .as_ref()
        .map(|c| (c.view.image.height / side, c.view.image.width / side))
}
