//! Scale: values are multiplied.
//!
//! Law: factor 1 changes nothing.

use crate::intervention::compile::{Compiler, Entry, MAX_FACTOR, Spec, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolved};

/// Multiplies by `factor`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// The values that it acts on.
    pub target: Target,
    /// The factor, -1e6 to 1e6.
    pub factor: f64,
}

impl Spec for Scale {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.check_factor("factor", self.factor, -MAX_FACTOR)?;
        let target = self.target.resolve(entry, "target", compiler)?;
        Ok(target.edit(entry, compiler, |_| Operation::Scale(self.factor)))
    }
}
