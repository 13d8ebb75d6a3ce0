//! Steer: a vector is added to the residual stream, or at any other point (activation addition,
//! Turner et al. 2023).
//!
//! Law: steering by 0 changes nothing.

use super::plan::{Operation, Resolved, Value};
use super::{Compiler, Error, MOST_FACTOR, Place, Target};

/// Adds `scale * vector`.
#[derive(Debug, Clone, PartialEq)]
pub struct Steer {
    /// Where.
    pub target: Target,
    /// As wide as the point, or as one head, or as all heads end to end.
    pub vector: Vec<f32>,
    /// Its factor.
    pub scale: f64,
}

impl Steer {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        place.check_factor("scale", self.scale, -MOST_FACTOR)?;
        let mut aim = self.target.aim(place, "target", compiler)?;
        if aim.is_attention() {
            aim = aim.of_prompt(
                place,
                "and the width of attention is fixed within the prompt alone",
                compiler,
            )?;
        }
        let value = place.vector(
            "vector",
            &self.vector,
            aim.shape,
            true,
            compiler.context.model,
        )?;
        Ok(aim.edit(place, compiler, |_| {
            let value = Value::Fixed(value.clone());
            Operation::Add {
                value,
                constant: self.scale,
                absolute: 0.0,
                shift: 0.0,
            }
        }))
    }
}
