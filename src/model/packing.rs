//! Packing projected views into visual tokens: the settings of one model.

use super::families::Family;
use super::families::family::tiles;
use super::image_tokens::ImageTokens;
use super::load::config::Merge;
use super::vision_tower::TowerInfo;
use crate::nn::HostTensor;
use crate::vision::Picture;

/// The settings that packing depends on.
#[derive(Debug)]
pub(super) struct Packing {
    /// End the rows of a canvas, or of a picture without one, `(k, D)`.
    pub(super) row_ends: Option<HostTensor>,
    /// The limit in `vision_aspect_ratio`.
    pub(super) most_tiles: Option<usize>,
    /// Says how the views of a tiled picture are put together.
    pub(super) merge: Merge,
}

impl Packing {
    /// Returns the visual tokens of a picture.
    pub(super) fn tokens(
        &self,
        family: &dyn Family,
        tower: &TowerInfo,
        picture: &Picture,
    ) -> ImageTokens {
        let view = tower.view(picture.view_size());
        let class = tower.keeps_class();
        match (self.merge, tiles(picture)) {
            // Before all else: SigLIP under "default" loses its first patch in Hugging Face's code,
            // whatever becomes of the rest.
            _ if tower.drops_a_patch() => ImageTokens::of_view_without_first(view),
            (Merge::SpatialUnpad, _) => family.tokens(picture, view, class, self.most_tiles),
            // Merges of the original LLaVA, which keep what pads the picture.
            (merge, Some(tiles)) => ImageTokens::of_padded_tiles(view, tiles, merge == Merge::Flat),
            (_, None) => ImageTokens::of_view(view, class),
        }
    }
}
