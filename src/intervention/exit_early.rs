//! Exit early: the output of one layer goes to the final norm (Schuster et al. 2022), or from the
//! tower to the projector.
//!
//! Law: leaving after the last layer that runs changes nothing.

use super::plan::{Resolution, Resolved};
use super::{Compiler, Error, Place};
use crate::nn::Stack;

/// No layer above `layer` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitEarly {
    /// The tower or the language model.
    pub stack: Stack,
    /// From 0.
    pub layer: u32,
}

impl ExitEarly {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        place.needs_layers(self.stack, compiler.context)?;
        compiler.check_runs(place, "layer", self.stack, self.layer as usize)?;
        let path = compiler.path(self.stack);
        let Some(end) = path.iter().rposition(|&l| l == self.layer as usize) else {
            return Err(place.never_fired("its layer does not run"));
        };
        let fired = (path.len() - end - 1) as u64;
        let indices = path[..=end].iter().map(|&l| l as u32).collect();
        compiler.set_path(place, self.stack, path[..=end].to_vec());
        Ok(Resolved {
            changed_nothing: fired == 0,
            fired: Some(fired),
            resolutions: vec![Resolution::of(0, indices)],
        })
    }
}
