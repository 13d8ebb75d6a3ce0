//! The trait of families: additions to the parts that all models share.

use std::fmt::Debug;

use serde_json::Value;

use crate::model::error::Error;
use crate::model::fields;
use crate::model::image_tokens::ImageTokens;
use crate::model::text::message::IMAGE_MARKER;
use crate::model::vision_tower::{TowerConfig, ViewInfo};
use crate::model::vit::VitConfig;
use crate::vision::{Picture, Tiling};

/// The end of a row of visual tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowEnd {
    /// Nothing does.
    None,
    /// The checkpoint's `image_newline`.
    Newline,
    /// Tokens of the language model, the last one after the last row: fields of
    /// processor_config.json that name them, and the names where it does not say.
    Tokens(&'static [(&'static str, &'static str)]),
}

/// A family: a file here, a line in [`FAMILIES`](super::FAMILIES), and a golden set.
pub trait Family: Debug + Send + Sync {
    /// Returns the name that the server tells of it: Hugging Face's `model_type` unless families
    /// share that.
    fn name(&self) -> &'static str {
        self.model_type()
    }

    /// Returns Hugging Face's `model_type`.
    fn model_type(&self) -> &'static str;

    /// Tells whether a config.json is of this family.
    fn is_of(&self, config: &Value) -> bool {
        config["model_type"] == self.model_type()
    }

    /// Returns the defaults of config.json where they are not those of every family: JSON pointers
    /// with values as JSON.
    fn defaults(&self) -> &'static [(&'static str, &'static str)];

    /// Returns what the image processor makes of a picture: one view, tiles, or a view of any size.
    fn tiling(&self, tower: &dyn TowerConfig) -> Tiling;

    /// Returns the token that stands for a picture in the tokenizer's vocabulary.
    fn image_marker(&self) -> &'static str {
        IMAGE_MARKER
    }

    /// Returns what ends a row of visual tokens.
    fn row_end(&self) -> RowEnd {
        RowEnd::None
    }

    /// Returns the name of the norm before the projector's first layer, where there is one.
    fn projector_norm(&self) -> Option<&'static str> {
        None
    }

    /// Returns what stands around every picture of a prompt: for each side the field of the
    /// tokenizer's configuration that names the word, and the word where it does not.
    fn around_images(&self) -> Option<[(&'static str, &'static str); 2]> {
        None
    }

    /// Reads and checks `vision_config` of config.json, and what else of it shapes the tower; one
    /// of CLIP's kind unless a family has its own.
    ///
    /// # Errors
    ///
    /// Names the field that no tower can have.
    fn tower(&self, config: &Value) -> Result<Box<dyn TowerConfig>, Error> {
        let config: VitConfig = fields::of_config("vision_config", &config["vision_config"])?;
        config.check()?;
        Ok(Box::new(config))
    }

    /// Returns the visual tokens of `picture`, each of whose views is a `view`, with or without a
    /// class token in front. `most_tiles` is the limit in `vision_aspect_ratio`, where there is
    /// one.
    fn tokens(
        &self,
        picture: &Picture,
        view: ViewInfo,
        class: bool,
        most_tiles: Option<usize>,
    ) -> ImageTokens;
}

/// Returns the rows and columns of tiles of a picture that has a canvas.
pub(in crate::model) fn tiles(picture: &Picture) -> Option<(usize, usize)> {
    let (height, width) = picture.view_size();
    let canvas = &picture.canvas.as_ref()?.view.image;
    // A canvas is whole tiles. `max(1)` only keeps a view without pixels from dividing by zero.
    Some((canvas.height / height.max(1), canvas.width / width.max(1)))
}
