//! Project out: the part in the span of given directions is removed (directional ablation, Arditi
//! et al. 2024).
//!
//! Laws: doing it twice is doing it once, to rounding; a direction's length does not matter.

use crate::intervention::compile::{Compiler, Entry, Spec, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolved};
use crate::nn::HostTensor;

/// Removes directions.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectOut {
    /// The values that it acts on.
    pub target: Target,
    /// Directions as wide as the point, or as one head; at least one is not zero.
    pub directions: Vec<Vec<f32>>,
}

/// Share of a direction that must lie outside the span of those before it, or it adds nothing.
const DEPENDENT: f64 = 1e-6;

impl Spec for ProjectOut {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let target = self.target.resolve(entry, "target", compiler)?;
        let target = target.of_fixed_width(entry, compiler)?;
        let width = target.shape.width;
        // No more directions than dimensions can be independent.
        if self.directions.is_empty() || self.directions.len() > width {
            let message = format!("{} given; 1 to {width} are taken", self.directions.len());
            return Err(entry.invalid("directions", message));
        }
        for (i, direction) in self.directions.iter().enumerate() {
            let field = format!("directions[{i}].values");
            // The rows are made for their checks alone.
            target.shape.row(entry, &field, direction, false)?;
        }
        let basis = orthonormal(&self.directions);
        if basis.is_empty() {
            return Err(entry.invalid("directions", "all are zero; at least one must not be"));
        }
        // Directions that depend on others are gone: the basis may be smaller than the list.
        let count = basis.len();
        let values: Vec<f32> = basis.into_iter().flatten().map(|v| v as f32).collect();
        let basis = HostTensor::from_vec(values, (count, width));
        let basis = basis.map_err(crate::model::Error::from)?;
        Ok(target.edit(entry, compiler, |_| Operation::Project(basis.clone())))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Returns an orthonormal basis of the span, by Gram and Schmidt.
fn orthonormal(directions: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for direction in directions {
        let mut rest: Vec<f64> = direction.iter().map(|&v| f64::from(v)).collect();
        let length = dot(&rest, &rest).sqrt();
        // The second pass removes what rounding leaves of the first.
        for _ in 0..2 {
            for known in &basis {
                let along = dot(&rest, known);
                rest.iter_mut()
                    .zip(known)
                    .for_each(|(r, k)| *r -= along * k);
            }
        }
        let left = dot(&rest, &rest).sqrt();
        // Directions come as f32: of one that depends on the others, rounding leaves about 1e-7.
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
