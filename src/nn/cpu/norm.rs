//! Normalises rows.

use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::simd::run;

/// Rows that one thread normalises at a time.
const ROWS: usize = 16;

/// A layer norm where there is a bias, an RMS norm where there is none.
#[derive(Debug)]
pub(in crate::nn) struct RowNorm {
    pub(in crate::nn) weight: Vec<f32>,
    pub(in crate::nn) bias: Option<Vec<f32>>,
    pub(in crate::nn) eps: f32,
}

impl RowNorm {
    /// Normalises each row of `x (R, D)`.
    pub(in crate::nn) fn apply(&self, x: &[f32]) -> Vec<f32> {
        let width = self.weight.len();
        let mut y = vec![0.0; x.len()];
        let parts = y
            .par_chunks_mut(ROWS * width)
            .zip(x.par_chunks(ROWS * width));
        parts.for_each(|(y, x)| run(Rows { norm: self, x, y }));
        y
    }
}

struct Rows<'a> {
    norm: &'a RowNorm,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl NullaryFnOnce for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let RowNorm { weight, bias, eps } = self.norm;
        let width = weight.len();
        for (x, y) in self
            .x
            .chunks_exact(width)
            .zip(self.y.chunks_exact_mut(width))
        {
            match bias {
                None => {
                    let scale = 1.0 / (sum(x, |x| x * x) / width as f32 + eps).sqrt();
                    for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                        *y = x * scale * w;
                    }
                }
                Some(bias) => {
                    let mean = sum(x, |x| x) / width as f32;
                    let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
                    let scale = 1.0 / (variance + eps).sqrt();
                    for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                        // Two passes over the row, not E(x^2) - mean^2, which cancels.
                        *y = ((x - mean) * scale).mul_add(*w, *b);
                    }
                }
            }
        }
    }
}

/// Sums `f` up, in 16 chains and then over these.
#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    // 16 on every machine: the order of the sum decides its bits.
    let mut chains = [0.0; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for chunk in whole {
        for (chain, &x) in chains.iter_mut().zip(chunk) {
            *chain += f(x);
        }
    }
    for (chain, &x) in chains.iter_mut().zip(rest) {
        *chain += f(x);
    }
    chains.iter().sum()
}
