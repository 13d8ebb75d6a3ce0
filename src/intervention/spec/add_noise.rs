//! Add noise: the perturbation of the importance score (Lee et al. 2024, definition 3.1), in the
//! named readings of its formula.
//!
//! With scale s, u uniform in `[-1, 1)` and g standard normal, drawn for every value: LITERAL
//! `x + |x| + s u`; ABS_SCALED `x + s |x| u`; KESKAR `x + s (|x| + 1) u` (Keskar et al. 2017);
//! ADDITIVE `x + s u`; GAUSSIAN `x + s g`.
//!
//! Law: scale 0 changes nothing, but for LITERAL.

use crate::intervention::compile::{Compiler, Entry, Spec, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Noise, Operation, Resolved, Value};

/// Adds noise at a hook point.
#[derive(Debug, Clone, PartialEq)]
pub struct AddNoise {
    /// The values that it acts on.
    pub target: Target,
    /// The reading of the formula.
    pub geometry: Geometry,
    /// The factor s.
    pub scale: f64,
    /// Multiplies s by |e|, e uniform in `[-1, 1)`, drawn once.
    pub random_scale: bool,
    /// Seed of the draws.
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

impl Spec for AddNoise {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.check_factor("scale", self.scale, 0.0)?;
        let target = self.target.resolve(entry, "target", compiler)?;
        let target = target.of_fixed_width(entry, compiler)?;
        let seed = self.seed;
        let context = compiler.context;
        // Drawn from the stream without a point, so that all points share it.
        let factor = if self.random_scale {
            (2.0 * entry.draws(seed, context, 0).unit() - 1.0).abs()
        } else {
            1.0
        };
        let scale = self.scale * factor;
        let (constant, absolute, shift) = match self.geometry {
            // `(constant, absolute, shift)` of `Operation::Add`.
            Geometry::Literal => (scale, 0.0, 1.0),
            Geometry::AbsScaled => (0.0, scale, 0.0),
            Geometry::Keskar => (scale, scale, 0.0),
            Geometry::Additive | Geometry::Gaussian => (scale, 0.0, 0.0),
        };
        // As wide as the prompt at attention, so that its noise is fixed before the answer grows.
        let width = target.shape.width;
        let gaussian = self.geometry == Geometry::Gaussian;
        // Rows of a picture are numbered through its views, which are equally long.
        let per_view = target.rows.views.values().map(Vec::len).max().unwrap_or(0);
        Ok(target.edit(entry, compiler, |point| {
            let draws = entry.streams(seed, context, &point.to_string());
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
