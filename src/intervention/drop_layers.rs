//! Drop layers: a dropped layer is the identity on the residual stream.

use super::plan::{Plan, Resolution, Resolved};
use super::{Context, Error, Place};
use crate::nn::Stack;

/// Layers of one stack that the request sits out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropLayers {
    /// The tower or the language model.
    pub stack: Stack,
    /// From 0.
    pub layers: Vec<u32>,
}

impl DropLayers {
    pub(super) fn compile(&self, place: Place, context: &Context<'_>, plan: &mut Plan) -> Result<Resolved, Error> {
        let (tower, decoder) = (&context.model.tower, &context.model.decoder);
        let (run, why) = match self.stack {
            Stack::Projector => return Err(place.invalid("stack", "the projector has no layers to drop")),
            Stack::LanguageModel => (decoder.config().num_hidden_layers, ""),
            Stack::VisionTower => {
                place.needs_image(context)?;
                (tower.feature_layers(), ", those up to the one whose output the model reads")
            }
        };
        if let Some((i, layer)) = self.layers.iter().enumerate().find(|(_, l)| **l as usize >= run) {
            let message =
                format!("layer {layer} of {} is not in 0 to {}{why}", self.stack.name(), run.saturating_sub(1));
            return Err(place.invalid(&format!("layers[{i}]"), message));
        }
        let mut indices = self.layers.clone();
        indices.sort_unstable();
        indices.dedup();
        plan.dropped.extend(indices.iter().map(|&l| (self.stack, l as usize)));
        Ok(Resolved {
            changed_nothing: indices.is_empty(),
            resolutions: vec![Resolution { indices, ..Resolution::default() }],
        })
    }
}
