//! Exit early: the output of one layer goes to the final norm (Schuster et al. 2022), or from the
//! tower to the projector.
//!
//! Law: leaving after the last layer that runs changes nothing.

use crate::intervention::compile::{Compiler, Entry, Spec};
use crate::intervention::error::Error;
use crate::intervention::plan::{Resolution, Resolved};
use crate::nn::Stack;

/// Skips all layers above `layer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitEarly {
    /// The tower or the language model.
    pub stack: Stack,
    /// Number of the last layer that runs, from 0.
    pub layer: u32,
}

impl Spec for ExitEarly {
    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.needs_layers(self.stack, compiler.context)?;
        compiler.check_runs(entry, "layer", self.stack, self.layer as usize)?;
        let path = compiler.path(self.stack);
        // After the last pass of the layer, should it be repeated.
        let Some(end) = path.iter().rposition(|&l| l == self.layer as usize) else {
            return Err(entry.never_fired("its layer does not run"));
        };
        let fired = (path.len() - end - 1) as u64;
        let indices = path[..=end].iter().map(|&l| l as u32).collect();
        compiler.set_path(entry, self.stack, path[..=end].to_vec());
        Ok(Resolved {
            changed_nothing: fired == 0,
            fired: Some(fired),
            resolutions: vec![Resolution::of(0, indices)],
        })
    }
}
