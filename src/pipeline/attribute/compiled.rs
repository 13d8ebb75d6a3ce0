//! The parts of a compiled request that gradients are taken of.

use crate::model::ImageTokens;
use crate::nn::Stack;
use crate::pipeline::compile::CompiledRequest;
use crate::pipeline::interventions::Interventions;

impl CompiledRequest {
    /// Returns what a record spells of it: its interventions, and its pictures' handles.
    pub(super) fn spelling(&self) -> (&Interventions, &[String]) {
        (&self.interventions, &self.input.image_digests)
    }

    /// Returns the layers of the tower that run, in order.
    pub(super) fn tower_path(&self) -> Vec<usize> {
        let layers = self.input.model.tower.info().layers_run();
        self.plan.path(Stack::VisionTower, layers)
    }

    /// Returns the layers of the language model that run, in order.
    pub(super) fn decoder_path(&self) -> Vec<usize> {
        let layers = self.input.model.decoder.config().num_hidden_layers;
        self.plan.path(Stack::LanguageModel, layers)
    }

    /// Returns the visual tokens of each picture.
    pub(super) fn images(&self) -> &[ImageTokens] {
        &self.plan.images
    }
}
