//! Ablate: values become zero, or their mean over the chosen tokens of the prompt (mean ablation
//! within one input).
//!
//! Law: ablating to zero is scaling by 0.

use crate::intervention::compile::{Compiler, Entry, Spec, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolved};

/// Writes zeros or the mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Ablate {
    /// The values that it acts on.
    pub target: Target,
    /// Writes the mean of the chosen tokens instead of zero.
    pub mean: bool,
}

impl Spec for Ablate {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let target = self.target.resolve(entry, "target", compiler)?;
        // Zeros can be written to generated tokens, too; a mean of the prompt cannot know them.
        if !self.mean {
            return Ok(target.edit(entry, compiler, |_| Operation::Scale(0.0)));
        }
        let why = "and the mean is that of tokens of the prompt";
        let target = target.of_prompt(entry, why, compiler)?;
        let over = target.rows.clone();
        Ok(target.edit(entry, compiler, |_| Operation::Like {
            over: over.clone(),
            value: None,
        }))
    }
}
