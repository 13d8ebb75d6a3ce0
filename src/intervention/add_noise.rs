//! Add noise: the perturbation of the importance score (Lee et al. 2024, definition 3.1), in the
//! named readings of its formula.
//!
//! With scale s, u uniform in `[-1, 1)` and g standard normal, drawn for every value: LITERAL
//! `x + |x| + s u`; ABS_SCALED `x + s |x| u`; KESKAR `x + s (|x| + 1) u` (Keskar et al. 2017);
//! ADDITIVE `x + s u`; GAUSSIAN `x + s g`.
//!
//! Law: scale 0 changes nothing, but for LITERAL.

use super::plan::{Noise, Operation, Resolved, Value};
use super::{Compiler, Error, Place, Target};

/// Adds noise at a hook point.
#[derive(Debug, Clone, PartialEq)]
pub struct AddNoise {
    /// Where.
    pub target: Target,
    /// What is added.
    pub geometry: Geometry,
    /// s.
    pub scale: f64,
    /// Whether s is multiplied by |e|, e uniform in `[-1, 1)`, drawn once.
    pub random_scale: bool,
    /// Of the draws.
    pub seed: u64,
}

/// The readings of the formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the file's head defines each")]
pub enum Geometry {
    Literal,
    AbsScaled,
    Keskar,
    Additive,
    Gaussian,
}

impl AddNoise {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        place.check_factor("scale", self.scale, 0.0)?;
        let aim = self.target.aim(place, "target", compiler)?;
        let aim = if aim.is_attention() {
            aim.of_prompt(
                place,
                "and the width of attention is fixed within the prompt alone",
                compiler,
            )?
        } else {
            aim
        };
        let seed = self.seed;
        let context = compiler.context;
        let factor = if self.random_scale {
            (2.0 * place.draws(seed, context, 0).unit() - 1.0).abs()
        } else {
            1.0
        };
        let scale = self.scale * factor;
        let (constant, absolute, shift) = match self.geometry {
            Geometry::Literal => (scale, 0.0, 1.0),
            Geometry::AbsScaled => (0.0, scale, 0.0),
            Geometry::Keskar => (scale, scale, 0.0),
            Geometry::Additive | Geometry::Gaussian => (scale, 0.0, 0.0),
        };
        let width = aim.shape.width;
        let gaussian = self.geometry == Geometry::Gaussian;
        let per_view = aim.rows.views.values().map(Vec::len).max().unwrap_or(0);
        Ok(aim.edit(place, compiler, |point| {
            let draws = place.streams(seed, context, &point.to_string());
            let value = Value::Noise(Noise {
                draws,
                gaussian,
                per_view,
                width,
            });
            Operation::Add {
                value,
                constant,
                absolute,
                shift,
            }
        }))
    }
}
