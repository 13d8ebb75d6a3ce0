//! Weights of torch's antialiased interpolation of 8-bit pictures on the CPU: 16-bit integers, with
//! as many fractional bits as the largest weight of a pass allows.

use super::kernel::{Filter, WeightTable, fixed, windows};

/// Most fractional bits, however small the weights.
const MOST_BITS: u32 = 22;

/// Returns the weights that bring `from` pixels to `to`, as `compute_index_ranges_int16_weights` of
/// torch's UpSampleKernel.cpp computes them.
pub(super) fn table(from: usize, to: usize, filter: Filter) -> WeightTable {
    let scale = from as f64 / to as f64;
    // torch multiplies by the inverse where Pillow divides.
    let inverse = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
    let weights: Vec<(usize, Vec<f64>)> = windows(from, to, filter)
        .map(|window| {
            let mut weights: Vec<f64> = window.offsets().map(|x| filter.at(x * inverse)).collect();
            let total: f64 = weights.iter().sum();
            if total != 0.0 {
                weights.iter_mut().for_each(|w| *w /= total);
            }
            (window.first, weights)
        })
        .collect();
    let largest = weights
        .iter()
        .flat_map(|(_, weights)| weights)
        .fold(0.0, |max: f64, &w| max.max(w));
    // One bit ahead, as torch's loop tests it before it counts up.
    // A weight of 16 bits has 15 beside its sign.
    let fits = |bits: u32| ((0.5 + largest * f64::from(1u32 << (bits + 1))) as i64) < 1 << 15;
    let bits = (0..MOST_BITS)
        .find(|&bits| !fits(bits))
        .unwrap_or(MOST_BITS);
    let weights = weights
        .into_iter()
        .map(|(first, weights)| (first, weights.iter().map(|&w| fixed(w, bits)).collect()))
        .collect();
    WeightTable { bits, weights }
}
