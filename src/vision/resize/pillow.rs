//! Pillow's weights: fixed point of 22 fractional bits.

use super::kernel::{Filter, WeightTable, fixed, windows};

// `PRECISION_BITS` of Resample.c: 32 bits, less 8 of the pixel and 2 for the sum.
const FRACTION_BITS: u32 = 22;

/// Returns the weights that bring `from` pixels to `to`, as `precompute_coeffs` of Pillow's
/// Resample.c computes them.
pub(super) fn table(from: usize, to: usize, filter: Filter) -> WeightTable {
    let stretch = (from as f64 / to as f64).max(1.0);
    let weights = windows(from, to, filter)
        .map(|window| {
            let weights: Vec<f64> = window.offsets().map(|x| filter.at(x / stretch)).collect();
            let total: f64 = weights.iter().sum();
            // Weights that add up to nothing stay as they are.
            let divisor = if total == 0.0 { 1.0 } else { total };
            let weights = weights.iter().map(|w| fixed(w / divisor, FRACTION_BITS));
            (window.first, weights.collect())
        })
        .collect();
    WeightTable {
        bits: FRACTION_BITS,
        weights,
    }
}
