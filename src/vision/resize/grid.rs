//! torch's bicubic interpolation of numbers, `interpolate(mode="bicubic", align_corners=False)`,
//! which stretches what was learned on one grid to another. Pictures are resized elsewhere, in
//! fixed point.

use super::kernel::{Filter, windows};

/// Parameter of the kernel without antialias: torch's, where Pillow's is -0.5.
const A: f32 = -0.75;

/// Returns the weights `(to, from)`, row by row, that bring `from` numbers along one side to `to`.
/// With `antialias` the kernel is as wide as what becomes one number, where that shrinks.
pub fn bicubic(from: usize, to: usize, antialias: bool) -> Vec<f32> {
    let mut weights = vec![0.0; to * from];
    let rows = weights.chunks_exact_mut(from.max(1));
    if antialias {
        fill_antialiased(rows, from, to);
    } else {
        fill_plain(rows, from, to);
    }
    weights
}

/// Each number of four neighbours, of which those beyond the ends are the last one.
fn fill_plain<'a>(rows: impl Iterator<Item = &'a mut [f32]>, from: usize, to: usize) {
    let scale = from as f32 / to as f32;
    for (i, row) in rows.enumerate() {
        let place = scale * (i as f32 + 0.5) - 0.5;
        let (first, part) = (place.floor(), place - place.floor());
        let kernel = [
            outer(part + 1.0),
            inner(part),
            inner(1.0 - part),
            outer(2.0 - part),
        ];
        for (offset, weight) in kernel.into_iter().enumerate() {
            let neighbour = first as isize - 1 + offset as isize;
            row[neighbour.clamp(0, from as isize - 1) as usize] += weight;
        }
    }
}

/// The kernel within a distance of 1.
fn inner(x: f32) -> f32 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// The kernel at distances of 1 to 2.
fn outer(x: f32) -> f32 {
    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
}

fn fill_antialiased<'a>(rows: impl Iterator<Item = &'a mut [f32]>, from: usize, to: usize) {
    let shrinks = (from as f64 / to as f64).max(1.0);
    for (window, row) in windows(from, to, Filter::Bicubic).zip(rows) {
        let weights = window.offsets().map(|x| Filter::Bicubic.at(x / shrinks));
        let weights: Vec<f64> = weights.collect();
        let total: f64 = weights.iter().sum();
        for (value, weight) in row[window.first..].iter_mut().zip(weights) {
            *value = (weight / total) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bicubic;

    #[test]
    fn weights_of_a_number_have_the_sum_of_one() {
        for (from, to) in [(37, 16), (3, 7), (5, 5), (1, 4), (9, 1)] {
            for antialias in [false, true] {
                let weights = bicubic(from, to, antialias);
                assert_eq!(weights.len(), from * to);
                for row in weights.chunks_exact(from) {
                    let sum: f32 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-5, "{from} {to} {antialias} {sum}");
                }
            }
        }
        // A grid of the same size stays as it is.
        let same = bicubic(4, 4, false);
        assert!((0..4).all(|i| same[i * 4 + i] == 1.0));
    }
}
