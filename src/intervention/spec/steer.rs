//! Steer: a vector is added to the residual stream, or at any other point (activation addition,
//! Turner et al. 2023).
//!
//! Law: steering by 0 changes nothing.

use crate::intervention::compile::{Compiler, Entry, MAX_FACTOR, Spec, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolved, Value};

/// Adds `scale * vector`.
#[derive(Debug, Clone, PartialEq)]
pub struct Steer {
    /// The values that it acts on.
    pub target: Target,
    /// A vector as wide as the point, or as one head, or as all heads end to end.
    pub vector: Vec<f32>,
    /// The factor, -1e6 to 1e6.
    pub scale: f64,
}

impl Spec for Steer {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.check_factor("scale", self.scale, -MAX_FACTOR)?;
        let target = self.target.resolve(entry, "target", compiler)?;
        let target = target.of_fixed_width(entry, compiler)?;
        let value = target.shape.row(entry, "vector", &self.vector, true)?;
        Ok(target.edit(entry, compiler, |_| {
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
