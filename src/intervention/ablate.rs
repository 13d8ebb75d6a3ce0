//! Ablate: values become zero, or their mean over the chosen tokens of the prompt (mean ablation
//! within one input).
//!
//! Law: ablating to zero is scaling by 0.

use super::plan::{Operation, Resolved};
use super::{Compiler, Error, Place, Target};

/// Writes zeros or the mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Ablate {
    /// Where.
    pub target: Target,
    /// The mean of the chosen tokens in place of zero.
    pub mean: bool,
}

impl Ablate {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let mut aim = self.target.aim(place, "target", compiler)?;
        if !self.mean {
            return Ok(aim.edit(place, compiler, |_| Operation::Scale(0.0)));
        }
        aim = aim.of_prompt(
            place,
            "and the mean is that of tokens of the prompt",
            compiler,
        )?;
        let over = aim.rows.clone();
        Ok(aim.edit(place, compiler, |_| Operation::Like {
            over: over.clone(),
            value: None,
        }))
    }
}
