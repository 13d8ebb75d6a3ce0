//! A picture on its way through the encoder.

use std::sync::Arc;

use super::input::EncoderInput;
use super::output::TowerFeatures;
use crate::engine::cost::Cost;
use crate::intervention::Captured;
use crate::model::{Error, Model, ResidentProjector};

/// A distinct picture that is being encoded.
pub(super) struct EncodeJob<'a> {
    pub(super) input: &'a EncoderInput,
    /// Known after the tower.
    pub(super) features: Option<Arc<TowerFeatures>>,
    pub(super) captured: Vec<Captured>,
    /// The work done for this picture; work that several share counts for the first one.
    pub(super) cost: Cost,
}

impl<'a> EncodeJob<'a> {
    pub(super) fn new(input: &'a EncoderInput) -> Self {
        Self {
            input,
            features: None,
            captured: Vec::new(),
            cost: Cost::default(),
        }
    }

    /// Returns the projector of its plan, else the model's own.
    pub(super) fn projector<'m>(&self, model: &'m Model) -> &'m Arc<ResidentProjector>
    where
        'a: 'm,
    {
        let swapped = self.input.plan.projector.as_ref();
        swapped.unwrap_or(model.own_projector())
    }

    /// Returns the features, which are known after the tower.
    pub(super) fn features(&self) -> Result<&Arc<TowerFeatures>, Error> {
        let missing = || Error::Config("a picture has no features".into());
        self.features.as_ref().ok_or_else(missing)
    }
}
