//! Project out: what lies in the span of given directions is removed (directional ablation, Arditi
//! et al. 2024).
//!
//! Laws: doing it twice is doing it once, to rounding; a direction's length does not matter.

use candle_core::Tensor;

use super::plan::{Operation, Resolved};
use super::{Compiler, Error, Place, Target};

/// Removes directions.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectOut {
    /// Where.
    pub target: Target,
    /// As wide as the point, or as one head.
    pub directions: Vec<Vec<f32>>,
}

/// A direction whose part outside of those before it is shorter than this share of it adds nothing.
const DEPENDENT: f64 = 1e-6;

impl ProjectOut {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let mut aim = self.target.aim(place, "target", compiler)?;
        if aim.is_attention() {
            aim = aim.of_prompt(
                place,
                "and the width of attention is fixed within the prompt alone",
                compiler,
            )?;
        }
        let width = aim.shape.width;
        if self.directions.is_empty() || self.directions.len() > width {
            let message = format!("{} given; 1 to {width} are taken", self.directions.len());
            return Err(place.invalid("directions", message));
        }
        for (i, direction) in self.directions.iter().enumerate() {
            place.vector(
                &format!("directions[{i}].values"),
                direction,
                aim.shape,
                false,
                compiler.context.model,
            )?;
        }
        let basis = orthonormal(&self.directions);
        if basis.is_empty() {
            return Err(place.invalid("directions", "all are zero; at least one must not be"));
        }
        let count = basis.len();
        let values: Vec<f32> = basis.into_iter().flatten().map(|v| v as f32).collect();
        let basis = Tensor::from_vec(values, (count, width), &compiler.context.model.device);
        let basis = basis.map_err(crate::model::Error::from)?;
        Ok(aim.edit(place, compiler, |_| Operation::Project(basis.clone())))
    }
}

/// An orthonormal basis of the span, by Gram and Schmidt, each direction twice against those before
/// it.
fn orthonormal(directions: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for direction in directions {
        let mut rest: Vec<f64> = direction.iter().map(|&v| f64::from(v)).collect();
        let length = dot(&rest, &rest).sqrt();
        for _ in 0..2 {
            for known in &basis {
                let along = dot(&rest, known);
                rest.iter_mut()
                    .zip(known)
                    .for_each(|(r, k)| *r -= along * k);
            }
        }
        let left = dot(&rest, &rest).sqrt();
        if left > DEPENDENT * length {
            for r in &mut rest {
                *r /= left;
            }
            basis.push(rest);
        }
    }
    basis
}

#[cfg(test)]
mod tests {
    use super::orthonormal;

    #[test]
    fn a_basis_is_orthonormal_and_has_no_more_than_the_span() {
        let basis = orthonormal(&[
            vec![3.0, 0.0, 4.0],
            vec![0.0; 3],
            vec![6.0, 0.0, 8.0],
            vec![1.0, 1.0, 0.0],
        ]);
        assert_eq!(basis.len(), 2);
        for (i, a) in basis.iter().enumerate() {
            for (j, b) in basis.iter().enumerate() {
                let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
    }
}
