//! Multiplies rows by a packed weight.
//!
//! **Law.** `y[r][n]` is computed by one chain of operations that depends on row r and column n
//! alone: within blocks of [`BLOCK`] inputs counted from 0, fused multiply-adds in ascending order;
//! then the blocks' sums one after the other onto the bias. So a row has the same bits however many
//! rows share the call, wherever it stands, on however many threads and vectors of whatever width.
//!
//! A weight is packed once, when it is loaded, into panels of [`PANEL`] outputs: `(P, in, PANEL)`,
//! so that a vector of outputs lies side by side and one row of it is read after the other. Other
//! libraries pack at every call, and sum in an order that depends on the number of rows.

use half::{bf16, f16};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::simd::{MIN_PARALLEL, Numbers, run};

/// Outputs of a panel: one vector of 512 bits.
pub(in crate::nn) const PANEL: usize = 16;
/// Inputs that are summed up in one chain.
const BLOCK: usize = 512;
/// Rows whose blocks of inputs stay in a core's cache while all panels pass; a multiple of
/// [`TILE`]. Their blocks take 504 KiB.
const CACHED: usize = 252;
/// Rows that share the reading of a panel. With AVX2 their sums take 12 of 16 registers, which
/// leaves room for the weight and the input.
const TILE: usize = 6;

/// Numbers that a weight may hold.
pub(in crate::nn) trait Number: Copy + Send + Sync {
    /// Fills up the last panel.
    const ZERO: Self;
}

impl Number for f32 {
    const ZERO: Self = 0.0;
}

impl Number for bf16 {
    const ZERO: Self = Self::ZERO;
}

impl Number for f16 {
    const ZERO: Self = Self::ZERO;
}

/// Packs `weight (out, input)` into panels `(P, input, PANEL)`, the last one filled up with zeros.
pub(in crate::nn) fn pack<T: Number>(weight: &[T], input: usize) -> Vec<T> {
    let count = weight.len().div_ceil(input * PANEL);
    let mut packed = vec![T::ZERO; count * input * PANEL];
    packed
        .par_chunks_mut(input * PANEL)
        .zip(weight.par_chunks(input * PANEL))
        .for_each(|(panel, rows)| {
            for (j, row) in rows.chunks_exact(input).enumerate() {
                for (place, &value) in panel.iter_mut().skip(j).step_by(PANEL).zip(row) {
                    *place = value;
                }
            }
        });
    packed
}

/// A packed weight with its bias.
#[derive(Clone, Copy)]
pub(in crate::nn) struct PackedWeight<'a> {
    /// `(P, input, PANEL)`.
    pub(in crate::nn) panels: Numbers<'a>,
    pub(in crate::nn) input: usize,
    /// Columns that are not padding.
    pub(in crate::nn) out: usize,
    /// `(out)`.
    pub(in crate::nn) bias: Option<&'a [f32]>,
}

impl<'a> PackedWeight<'a> {
    /// Computes `x (R, input) -> x W^T + b (R, out)`.
    pub(in crate::nn) fn product(&self, x: &[f32]) -> Vec<f32> {
        let (input, out) = (self.input, self.out);
        let rows = x.len() / input.max(1);
        let count = out.div_ceil(PANEL);
        let mut y = vec![0.0; rows * out];
        let threads = rayon::current_num_threads();
        if rows * input * out < MIN_PARALLEL || threads == 1 {
            self.columns(0, count).times(x, &mut y, out);
        } else if rows >= 2 * TILE * threads {
            // Many rows: each thread takes some, and reads the whole weight.
            let share = rows.div_ceil(threads).next_multiple_of(TILE);
            let parts = y
                .par_chunks_mut(share * out)
                .zip(x.par_chunks(share * input));
            parts.for_each(|(y, x)| self.columns(0, count).times(x, y, out));
        } else {
            // Few rows: each thread takes some panels, so that the weight is read once.
            let share = count.div_ceil(threads);
            let firsts: Vec<usize> = (0..count).step_by(share).collect();
            let parts: Vec<Vec<f32>> = firsts
                .par_iter()
                .map(|&first| self.product_of(x, rows, first, share.min(count - first)))
                .collect();
            for (first, part) in firsts.iter().zip(&parts) {
                let width = part.len() / rows;
                for (y, part) in y.chunks_exact_mut(out).zip(part.chunks_exact(width)) {
                    y[first * PANEL..][..width].copy_from_slice(part);
                }
            }
        }
        y
    }

    /// Computes the same on this thread alone.
    pub(in crate::nn) fn product_here(&self, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.input.max(1);
        self.product_of(x, rows, 0, self.out.div_ceil(PANEL))
    }

    /// Computes the outputs of `count` panels from panel `first` on, without padding.
    fn product_of(&self, x: &[f32], rows: usize, first: usize, count: usize) -> Vec<f32> {
        let width = (self.out - first * PANEL).min(count * PANEL);
        let mut y = vec![0.0; rows * width];
        self.columns(first, count).times(x, &mut y, width);
        y
    }

    fn columns(&self, first: usize, count: usize) -> Columns<'a> {
        Columns {
            panels: self.panels,
            input: self.input,
            bias: self.bias,
            first,
            count,
        }
    }
}

/// Some panels of a weight.
pub(in crate::nn) struct Columns<'a> {
    /// `(P, in, PANEL)`, all of them.
    pub(in crate::nn) panels: Numbers<'a>,
    pub(in crate::nn) input: usize,
    /// One for each output of the weight, not of these panels alone.
    pub(in crate::nn) bias: Option<&'a [f32]>,
    /// The first panel.
    pub(in crate::nn) first: usize,
    /// Number of panels.
    pub(in crate::nn) count: usize,
}

impl Columns<'_> {
    /// Adds the outputs of these panels for rows `x` up in `y (R, width)`.
    pub(in crate::nn) fn times(&self, x: &[f32], y: &mut [f32], width: usize) {
        let padded = self.count * PANEL;
        if width == padded {
            self.times_padded(x, y);
            return;
        }
        // The last panel is partly padding, which `y` has no room for.
        let mut whole = vec![0.0; y.len() / width * padded];
        self.times_padded(x, &mut whole);
        for (y, whole) in y.chunks_exact_mut(width).zip(whole.chunks_exact(padded)) {
            y.copy_from_slice(&whole[..width]);
        }
    }

    /// Computes the same with the outputs of the padding.
    fn times_padded(&self, x: &[f32], y: &mut [f32]) {
        let stride = self.count * PANEL;
        let bias = self
            .bias
            .map(|b| &b[self.first * PANEL..])
            .unwrap_or_default();
        let bias = &bias[..bias.len().min(stride)];
        for y in y.chunks_exact_mut(stride) {
            y[..bias.len()].copy_from_slice(bias);
            y[bias.len()..].fill(0.0);
        }
        // Half-width numbers are widened block by block.
        let mut widened = match self.panels {
            Numbers::F32(_) => Vec::new(),
            _ => vec![[0.0; PANEL]; BLOCK.min(self.input)],
        };
        for (x, y) in x
            .chunks(CACHED * self.input)
            .zip(y.chunks_mut(CACHED * stride))
        {
            for block in (0..self.input).step_by(BLOCK) {
                let inputs = block..(block + BLOCK).min(self.input);
                // Panels inside blocks: the rows' inputs stay in the cache, the weight streams by.
                for panel in 0..self.count {
                    let from = ((self.first + panel) * self.input + block) * PANEL;
                    let weight = match self.panels {
                        Numbers::F32(values) => {
                            values[from..from + inputs.len() * PANEL].as_chunks().0
                        }
                        other => {
                            let widened = &mut widened[..inputs.len()];
                            other.read(from, widened.as_flattened_mut());
                            widened
                        }
                    };
                    let (inputs, column) = (inputs.clone(), panel * PANEL);
                    run(Tiles {
                        x,
                        width: self.input,
                        inputs,
                        weight,
                        y,
                        stride,
                        column,
                    });
                }
            }
        }
    }
}

/// One block of inputs times one panel, for all rows.
struct Tiles<'a> {
    x: &'a [f32],
    /// Width of a row of `x`.
    width: usize,
    inputs: std::ops::Range<usize>,
    weight: &'a [[f32; PANEL]],
    y: &'a mut [f32],
    /// Width of a row of `y`.
    stride: usize,
    /// The panel's first column of `y`.
    column: usize,
}

impl Tiles<'_> {
    /// `V` vectors make up a panel.
    #[inline(always)]
    fn all<S: Simd, const V: usize>(mut self, simd: S) {
        let rows = self.y.len() / self.stride;
        let mut row = 0;
        while row < rows {
            // The number of rows is a constant of the tile, so that its sums stay in registers.
            match rows - row {
                1 => self.tile::<S, 1, V>(simd, row),
                2 => self.tile::<S, 2, V>(simd, row),
                3 => self.tile::<S, 3, V>(simd, row),
                4 => self.tile::<S, 4, V>(simd, row),
                5 => self.tile::<S, 5, V>(simd, row),
                _ => self.tile::<S, TILE, V>(simd, row),
            }
            row += TILE;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(&mut self, simd: S, row: usize) {
        let n = self.weight.len();
        let x: [&[f32]; M] =
            std::array::from_fn(|i| &self.x[(row + i) * self.width..][self.inputs.clone()][..n]);
        let mut sums = [[simd.splat_f32s(0.0); V]; M];
        for (k, weight) in self.weight.iter().enumerate() {
            let weight = S::as_simd_f32s(weight).0;
            let weight: [S::f32s; V] = std::array::from_fn(|v| weight[v]);
            for i in 0..M {
                let x = simd.splat_f32s(x[i][k]);
                for v in 0..V {
                    // Fused on every machine: the law fixes the rounding.
                    sums[i][v] = simd.mul_add_f32s(x, weight[v], sums[i][v]);
                }
            }
        }
        // The bias is in the total already, as the first summand of the chain over blocks.
        for (i, sums) in sums.into_iter().enumerate() {
            let total = &mut self.y[(row + i) * self.stride + self.column..][..PANEL];
            let total = S::as_mut_simd_f32s(total).0;
            for v in 0..V {
                total[v] = simd.add_f32s(total[v], sums[v]);
            }
        }
    }
}

impl WithSimd for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.all::<S, 1>(simd),
            8 => self.all::<S, 2>(simd),
            4 => self.all::<S, 4>(simd),
            // Without vector instructions a lane is one number.
            _ => self.all::<S, PANEL>(simd),
        }
    }
}
