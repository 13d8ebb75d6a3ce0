//! Rotates heads by the angles of their rows.

use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::simd::{MIN_PARALLEL, run};

/// Rows that one thread rotates at a time.
const ROWS: usize = 64;

/// Cosines and sines `(R, N)`.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Angles<'a> {
    pub(in crate::nn) cos: &'a [f32],
    pub(in crate::nn) sin: &'a [f32],
    /// N.
    pub(in crate::nn) width: usize,
}

/// Rotates `x (R, H, 2 N)`: the numbers at `i` and `N + i` of a head are a point in the plane, which
/// turns by angle `i` of its row.
pub(in crate::nn) fn rotate(x: &[f32], heads: usize, angles: Angles<'_>) -> Vec<f32> {
    let row = heads * 2 * angles.width;
    let mut y = vec![0.0; x.len()];
    // A value is taken for four multiply-adds.
    let rows = if x.len() * 4 < MIN_PARALLEL {
        x.len() / row.max(1)
    } else {
        ROWS
    };
    let rows = rows.max(1);
    y.par_chunks_mut((rows * row).max(1))
        .zip(x.par_chunks((rows * row).max(1)))
        .enumerate()
        .for_each(|(i, (y, x))| {
            let from = i * rows * angles.width;
            run(Rows {
                x,
                y,
                heads,
                angles: Angles {
                    cos: &angles.cos[from..],
                    sin: &angles.sin[from..],
                    ..angles
                },
            });
        });
    y
}

struct Rows<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    heads: usize,
    angles: Angles<'a>,
}

impl NullaryFnOnce for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Angles { cos, sin, width } = self.angles;
        let row = self.heads * 2 * width;
        let angles = cos.chunks_exact(width).zip(sin.chunks_exact(width));
        let rows = self.x.chunks_exact(row).zip(self.y.chunks_exact_mut(row));
        for ((x, y), (cos, sin)) in rows.zip(angles) {
            let heads = x.chunks_exact(2 * width).zip(y.chunks_exact_mut(2 * width));
            for (x, y) in heads {
                let (x, (left, right)) = (x.split_at(width), y.split_at_mut(width));
                for (i, (left, right)) in left.iter_mut().zip(right).enumerate() {
                    // Not fused: the bits of candle's rotation, by which records were written.
                    *left = x.0[i] * cos[i] - x.1[i] * sin[i];
                    *right = x.0[i] * sin[i] + x.1[i] * cos[i];
                }
            }
        }
    }
}
