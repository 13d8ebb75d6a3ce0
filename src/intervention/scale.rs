//! Scale: values are multiplied.
//!
//! Law: factor 1 changes nothing.

use super::plan::{Operation, Resolved};
use super::{Compiler, Error, Place, Target};

/// Multiplies by `factor`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Where.
    pub target: Target,
    /// The factor.
    pub factor: f64,
}

impl Scale {
    pub(super) fn compile(&self, place: Place, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        if !self.factor.is_finite() {
            return Err(place.invalid("factor", format!("{} is not a number", self.factor)));
        }
        let aim = self.target.aim(place, "target", compiler)?;
        Ok(aim.edit(place, compiler, |_| Operation::Scale(self.factor)))
    }
}
