//! The model, the input and the side results that interventions are compiled against.

use std::collections::BTreeMap;

use crate::model::{ImageTokens, MeasuredRows, Model, PromptToken, ViewInfo};
use crate::nn::HostTensor;

/// Everything that compiling reads.
#[derive(Debug)]
pub struct Context<'a> {
    /// The model.
    pub model: &'a Model,
    /// The visual tokens of each picture of the request.
    pub images: &'a [ImageTokens],
    /// The prompt, pictures not yet expanded; `None` for a preview, which has no prompt:
    /// interventions in the language model are then checked as far as that goes.
    pub prompt: Option<&'a [PromptToken]>,
    /// Tells samples that share a seed apart.
    pub sample_key: &'a str,
    /// The attention maps that [`needs`](super::needs) asks for.
    pub saliency: &'a SaliencyMaps,
    /// The rows that [`needs`](super::needs) asks for.
    pub rows: &'a MeasuredRows,
    /// Digests of the resident saliency models.
    pub saliency_digests: &'a BTreeMap<String, String>,
    /// The visual tokens of the donor pictures, `(N, D)`, by the index of their intervention.
    pub donors: &'a BTreeMap<usize, HostTensor>,
    /// Kept activations, by handle.
    pub activations: &'a BTreeMap<String, HostTensor>,
}

impl Context<'_> {
    /// Returns the largest of a size of the pictures' views; without pictures that of a square.
    pub(crate) fn largest(&self, size: impl Fn(&ViewInfo) -> usize) -> usize {
        let views = self.images.iter().map(|image| size(&image.view));
        // A prompt without pictures has its checks all the same, against what a square one would
        // be.
        views.max().unwrap_or_else(|| {
            let side = self.model.tower.info().image_size;
            size(&self.model.tower.view((side, side)))
        })
    }

    /// Returns the most blocks that a partition of a patch grid may have along a side.
    pub(crate) fn largest_side(&self) -> usize {
        // Blocks are as many along both sides: the shorter one bounds them.
        self.largest(|view| view.grid.0.min(view.grid.1))
    }
}

/// An attention map of the unchanged pictures, measured before compiling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SaliencyQuery {
    /// Name of a saliency model; the tower where it is `None`.
    pub model: Option<String>,
    /// One head; the mean over heads where it is `None`.
    pub head: Option<u32>,
}

/// Attention mass by query, picture, view and patch (row by row of a square grid). A saliency model
/// sees one view.
pub type SaliencyMaps = BTreeMap<SaliencyQuery, Vec<Vec<Vec<f32>>>>;
