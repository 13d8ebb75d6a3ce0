//! Drop layers: a dropped layer is the identity on the residual stream.
//!
//! Law: dropping none changes nothing.

use crate::intervention::compile::{Compiler, Entry, Spec};
use crate::intervention::error::Error;
use crate::intervention::plan::{Resolution, Resolved};
use crate::nn::Stack;

/// Skips layers of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropLayers {
    /// The tower or the language model.
    pub stack: Stack,
    /// Numbers of the layers, from 0.
    pub layers: Vec<u32>,
}

impl Spec for DropLayers {
    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.needs_layers(self.stack, compiler.context)?;
        compiler.check_count(entry, "layers", self.stack, &self.layers)?;
        let mut indices = self.layers.clone();
        indices.sort_unstable();
        indices.dedup();
        // In the order of the request, so that the error names the entry that is wrong.
        for (i, &layer) in self.layers.iter().enumerate() {
            compiler.check_runs(entry, &format!("layers[{i}]"), self.stack, layer as usize)?;
        }
        let path = compiler
            .path(self.stack)
            .into_iter()
            // Each pass of it, should an earlier intervention repeat the layer.
            .filter(|&l| !indices.contains(&(l as u32)))
            .collect();
        compiler.set_path(entry, self.stack, path);
        Ok(Resolved {
            changed_nothing: indices.is_empty(),
            fired: Some(indices.len() as u64),
            resolutions: vec![Resolution::of(0, indices)],
        })
    }
}
