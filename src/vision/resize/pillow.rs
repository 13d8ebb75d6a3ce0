//! Pillow's weights: fixed point of 22 fractional bits.

use super::{Filter, Table, windows};

const FRACTION_BITS: u32 = 22;

/// Returns the weights that bring `from` pixels to `to`, as `precompute_coeffs` of Pillow's
/// Resample.c computes them.
pub(super) fn table(from: usize, to: usize, filter: Filter) -> Table {
    let stretch = (from as f64 / to as f64).max(1.0);
    let weights = windows(from, to, filter)
        .map(|window| {
            let weights: Vec<f64> = window.offsets().map(|x| filter.at(x / stretch)).collect();
            let total: f64 = weights.iter().sum();
            let fixed = |w: &f64| {
                let scaled =
                    if total == 0.0 { *w } else { w / total } * f64::from(1u32 << FRACTION_BITS);
                (scaled + 0.5_f64.copysign(scaled)) as i64
            };
            (window.first, weights.iter().map(fixed).collect())
        })
        .collect();
    Table {
        bits: FRACTION_BITS,
        weights,
    }
}
