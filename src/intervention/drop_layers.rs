//! Drop layers: a dropped layer is the identity on the residual stream.
//!
//! Law: dropping none changes nothing.

use super::plan::{Resolution, Resolved};
use super::{Compiler, Error, Place};
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
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        place.needs_layers(self.stack, compiler.context)?;
        let mut indices = self.layers.clone();
        indices.sort_unstable();
        indices.dedup();
        for (i, &layer) in self.layers.iter().enumerate() {
            compiler.check_runs(place, &format!("layers[{i}]"), self.stack, layer as usize)?;
        }
        let path = compiler
            .path(self.stack)
            .into_iter()
            .filter(|&l| !indices.contains(&(l as u32)))
            .collect();
        compiler.set_path(place, self.stack, path);
        Ok(Resolved {
            changed_nothing: indices.is_empty(),
            fired: Some(indices.len() as u64),
            resolutions: vec![Resolution::of(0, indices)],
        })
    }
}
