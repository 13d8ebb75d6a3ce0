//! Scale: values are multiplied.
//!
//! Law: factor 1 changes nothing.

use super::plan::{Operation, Resolved};
use super::{Compiler, Error, MOST_FACTOR, Place, Target};

/// Multiplies by `factor`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Where.
    pub target: Target,
    /// The factor.
    pub factor: f64,
}

impl Scale {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        place.check_factor("factor", self.factor, -MOST_FACTOR)?;
        let aim = self.target.aim(place, "target", compiler)?;
        Ok(aim.edit(place, compiler, |_| Operation::Scale(self.factor)))
    }
}
