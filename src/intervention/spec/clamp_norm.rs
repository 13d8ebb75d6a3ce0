//! Clamp the norm: rows longer than a limit are scaled to it, as a control for norms that an edit,
//! or a token that draws attention to itself, blows up.
//!
//! `x * min(1, max_norm / |x|)`, |x| the Euclidean norm over the last dimension. Laws: a limit that
//! no row exceeds changes no bit; doing it twice is doing it once, to rounding.

use crate::intervention::compile::{Compiler, Entry, Spec, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolved};

/// Limits the norm of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ClampNorm {
    /// The rows that it acts on; at points with heads the rows of each head.
    pub target: Target,
    /// The largest norm, above 0 and finite.
    pub max_norm: f64,
}

impl Spec for ClampNorm {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        // Records are JSON, which has no infinity.
        if self.max_norm <= 0.0 || !self.max_norm.is_finite() {
            let message = format!("{} is not above 0 and finite", self.max_norm);
            return Err(entry.invalid("max_norm", message));
        }
        let target = self.target.resolve(entry, "target", compiler)?;
        if target.is_attention() {
            let message = "attention has no rows with a norm; name another hook point";
            return Err(entry.invalid("target.point", message));
        }
        if !self.target.dimensions.is_empty() {
            let message = "a norm is that of a whole row; leave it empty";
            return Err(entry.invalid("target.dimensions", message));
        }
        Ok(target.edit(entry, compiler, |_| Operation::ClampNorm(self.max_norm)))
    }
}
