//! Rows at hook points of the model without interventions, which some selectors choose by.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use candle_core::Tensor;

use super::cost::tower_cells;
use crate::model::{ImageInput, ImageTokens, MeasuredRows, Model, Prompt, RowsQuery};
use crate::nn::{HostTensor, Stack};

/// Rows of the model without interventions, in one pass.
#[derive(Debug)]
pub struct MeasureRows<M: Deref<Target = Model> = Arc<Model>> {
    /// The model.
    pub model: M,
    /// The views of each picture.
    pub pixels: Vec<HostTensor>,
    /// The visual tokens of each picture.
    pub images: Vec<ImageTokens>,
    /// The prompt; rows of the language model need one.
    pub prompt: Option<Prompt>,
    /// The rows that are asked for.
    pub queries: BTreeSet<RowsQuery>,
}

impl<M: Deref<Target = Model>> MeasureRows<M> {
    /// Returns the (row, layer) pairs that it takes.
    pub(super) fn price(&self) -> u64 {
        let cells = |pixels| tower_cells(&self.model, pixels);
        let pictures: u64 = self.pixels.iter().map(cells).sum();
        let reads = |query: &RowsQuery| query.stack() == Stack::LanguageModel;
        let prompt = self
            .prompt
            .as_ref()
            .filter(|_| self.queries.iter().any(reads));
        let layers = self.model.decoder.config().num_hidden_layers;
        pictures + prompt.map_or(0, |prompt| (prompt.ids.len() * layers) as u64)
    }

    /// Runs it, on the thread of the model's device.
    pub(super) fn run(&self) -> Result<MeasuredRows, crate::model::Error> {
        let device = self.model.on_device()?;
        let pixels = self.pixels.iter().map(|pixels| pixels.upload(&device));
        let pixels = pixels.collect::<candle_core::Result<Vec<Tensor>>>()?;
        let mut images = Vec::with_capacity(pixels.len());
        for (image, (pixels, tokens)) in pixels.iter().zip(&self.images).enumerate() {
            images.push(ImageInput {
                sequence: 0,
                image,
                pixels,
                tokens,
            });
        }
        self.model
            .measure_rows(&images, self.prompt.as_ref(), &self.queries)
    }
}
