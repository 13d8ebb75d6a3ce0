//! Plans: interventions compiled against one model and one input, every random choice made, and
//! what performs them.

mod capture;
mod edit;
mod effects;
mod feature;
mod hooks;
mod image_edit;
mod noise;
mod operation;
mod prune;
mod resolution;
mod reuse_key;
mod rows;
mod tensors;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use capture::{Capture, Captured, Likeliest, Reduction, TopFeatures, TopTokens};
pub use edit::Edit;
pub use effects::{Effect, EffectLog, EffectRecord, LogMark, RowsProcessed};
pub use feature::{FeatureChange, FeatureEdit};
pub use hooks::PlanHooks;
pub use image_edit::{Fill, ImageChange, ImageEdit};
pub use noise::Noise;
pub use operation::{Operation, PoolValue, Value};
pub use prune::{Prune, Ranking};
pub use resolution::{Resolution, Resolved};
pub use reuse_key::{EditKey, EditKeys};
pub use rows::Rows;
pub(crate) use rows::indices;

use crate::model::{ImageTokens, ResidentProjector};
use crate::nn::{Point, Site, Stack};

/// The primitive operations of one request.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Edits of pictures, in order.
    pub image_edits: Vec<ImageEdit>,
    /// The visual tokens of each picture as the language model reads them.
    pub images: Vec<ImageTokens>,
    /// The layers that run, in order; all of a stack that is not here.
    pub paths: BTreeMap<Stack, Arc<[usize]>>,
    /// The projector to run instead of the model's own.
    pub projector: Option<Arc<ResidentProjector>>,
    /// Edits at hook points, in order.
    pub edits: BTreeMap<Point, Vec<Edit>>,
    /// Prunes of the language model, by layer.
    pub prunes: BTreeMap<usize, Prune>,
    /// Captures at hook points.
    pub captures: BTreeMap<Point, Vec<Capture>>,
    /// The results of compiling, one for each intervention.
    pub resolved: Vec<Resolved>,
}

impl Plan {
    /// Reports whether it edits, captures or ranks by something at `point`.
    pub fn acts_at(&self, point: Point) -> bool {
        self.edits.contains_key(&point)
            || self.captures.contains_key(&point)
            || self
                .prune_of_pattern(point)
                .is_some_and(|prune| prune.ranking.needs_pattern())
    }

    /// Reports whether it needs attention scores or patterns of any layer of the language model.
    pub fn looks_into_attention(&self) -> bool {
        let mut points = self.edits.keys().chain(self.captures.keys());
        self.prunes
            .values()
            .any(|prune| prune.ranking.needs_pattern())
            || points.any(|p| {
                p.stack == Stack::LanguageModel && matches!(p.site, Site::Scores | Site::Pattern)
            })
    }

    /// Returns the layers of `stack` that run, of `layers` that the model would run.
    pub fn path(&self, stack: Stack, layers: usize) -> Vec<usize> {
        self.paths
            .get(&stack)
            .map_or_else(|| (0..layers).collect(), |path| path.to_vec())
    }

    /// Returns the prune after a layer.
    pub(crate) fn prune_at(&self, stack: Stack, layer: usize) -> Option<&Prune> {
        let prune = self.prunes.get(&layer);
        prune.filter(|_| stack == Stack::LanguageModel)
    }

    /// Returns the prune of the layer whose attention pattern `point` is.
    pub(crate) fn prune_of_pattern(&self, point: Point) -> Option<&Prune> {
        let layer = point.layer.filter(|_| point.site == Site::Pattern)?;
        self.prune_at(point.stack, layer)
    }
}
