//! The matrix product of the CPU: rows times a packed weight.
//!
//! **Law.** `y[r][n]` is computed by one chain of operations that depends on row r and column n
//! alone: within blocks of [`BLOCK`] inputs counted from 0, fused multiply-adds in ascending order;
//! then the blocks' sums one after the other onto the bias. So a row has the same bits however many
//! rows share the call, wherever it stands, on however many threads and vectors of whatever width.
//!
//! A weight is packed once, when it is loaded, into panels of [`PANEL`] outputs: `(P, in, PANEL)`,
//! so that a vector of outputs lies side by side and one row of it is read after the other. Other
//! libraries pack at every call, and sum in an order that depends on the number of rows.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use half::{bf16, f16};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::simd::{Numbers, WORTH_SHARING, floats, run};

/// Outputs of a panel: one vector of 512 bits.
pub(in crate::nn) const PANEL: usize = 16;
/// Inputs that are summed up in one chain.
const BLOCK: usize = 512;
/// Rows whose blocks of inputs stay in a core's cache while all panels pass.
const CACHED: usize = 252;
/// Rows that share the reading of a panel.
const TILE: usize = 6;

/// `weight (out, in)` of any float -> `(P, in, PANEL)`, the last panel filled up with zeros.
pub(in crate::nn) fn pack(weight: &Tensor) -> Result<Tensor> {
    weight.contiguous()?.apply_op1_no_bwd(&Pack)
}

/// The first `out` outputs of `panels`, back as `(out, in)`.
pub(in crate::nn) fn unpack(panels: &Tensor, out: usize) -> Result<Tensor> {
    let (count, input, width) = panels.dims3()?;
    panels
        .transpose(1, 2)?
        .reshape((count * width, input))?
        .narrow(0, 0, out)?
        .contiguous()
}

struct Pack;

impl CustomOp1 for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (out, input) = layout.shape().dims2()?;
        let packed = match Numbers::of(storage, layout)? {
            Numbers::F32(values) => CpuStorage::F32(panels(values, input, 0.0)),
            Numbers::Bf16(values) => CpuStorage::BF16(panels(values, input, bf16::ZERO)),
            Numbers::F16(values) => CpuStorage::F16(panels(values, input, f16::ZERO)),
        };
        Ok((packed, (out.div_ceil(PANEL), input, PANEL).into()))
    }
}

fn panels<T: Copy + Send + Sync>(weight: &[T], input: usize, zero: T) -> Vec<T> {
    let count = weight.len().div_ceil(input * PANEL);
    let mut packed = vec![zero; count * input * PANEL];
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

/// `x (R, in) -> x W^T + b (R, out)`, f32.
pub(in crate::nn) struct Product<'a> {
    /// `(P, in, PANEL)` of any float.
    pub(in crate::nn) panels: &'a Tensor,
    /// `(out)`, f32.
    pub(in crate::nn) bias: Option<&'a Tensor>,
    /// Columns that are not padding.
    pub(in crate::nn) out: usize,
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, input) = layout.shape().dims2()?;
        let x = floats(storage, layout)?;
        let (panels, panels_layout) = self.panels.storage_and_layout();
        let candle_core::Storage::Cpu(panels) = &*panels else {
            candle_core::bail!("the weight is not on the CPU")
        };
        let panels = Numbers::of(panels, panels_layout)?;
        let bias = self.bias.map(Tensor::to_vec1::<f32>).transpose()?;
        let columns = |first: usize, count: usize| Columns {
            panels,
            input,
            bias: bias.as_deref(),
            first,
            count,
        };
        let count = self.out.div_ceil(PANEL);
        let mut y = vec![0.0; rows * self.out];
        let threads = rayon::current_num_threads();
        if rows * input * self.out < WORTH_SHARING || threads == 1 {
            columns(0, count).times(x, &mut y, self.out);
        } else if rows >= 2 * TILE * threads {
            let share = rows.div_ceil(threads).next_multiple_of(TILE);
            let parts = y
                .par_chunks_mut(share * self.out)
                .zip(x.par_chunks(share * input));
            parts.for_each(|(y, x)| columns(0, count).times(x, y, self.out));
        } else {
            let share = count.div_ceil(threads);
            let width = |first: usize| (self.out - first * PANEL).min(share * PANEL);
            let firsts: Vec<usize> = (0..count).step_by(share).collect();
            let part = |&first: &usize| {
                let mut part = vec![0.0; rows * width(first)];
                columns(first, share.min(count - first)).times(x, &mut part, width(first));
                part
            };
            let parts: Vec<Vec<f32>> = firsts.par_iter().map(part).collect();
            for (first, part) in firsts.iter().zip(&parts) {
                for (y, part) in y
                    .chunks_exact_mut(self.out)
                    .zip(part.chunks_exact(width(*first)))
                {
                    y[first * PANEL..][..part.len()].copy_from_slice(part);
                }
            }
        }
        Ok((CpuStorage::F32(y), (rows, self.out).into()))
    }
}

/// Some panels of a weight.
pub(in crate::nn) struct Columns<'a> {
    /// `(P, in, PANEL)`, all of them.
    pub(in crate::nn) panels: Numbers<'a>,
    pub(in crate::nn) input: usize,
    /// Of all outputs.
    pub(in crate::nn) bias: Option<&'a [f32]>,
    /// The first panel.
    pub(in crate::nn) first: usize,
    /// How many panels.
    pub(in crate::nn) count: usize,
}

impl Columns<'_> {
    /// Of rows `x` the outputs of these panels, `y (R, width)`.
    pub(in crate::nn) fn times(&self, x: &[f32], y: &mut [f32], width: usize) {
        let padded = self.count * PANEL;
        if width == padded {
            self.times_padded(x, y);
            return;
        }
        let mut whole = vec![0.0; y.len() / width * padded];
        self.times_padded(x, &mut whole);
        for (y, whole) in y.chunks_exact_mut(width).zip(whole.chunks_exact(padded)) {
            y.copy_from_slice(&whole[..width]);
        }
    }

    /// The same with the outputs of the padding.
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
    /// Of a row of `x`.
    width: usize,
    inputs: std::ops::Range<usize>,
    weight: &'a [[f32; PANEL]],
    y: &'a mut [f32],
    /// Of a row of `y`.
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
                    sums[i][v] = simd.mul_add_f32s(x, weight[v], sums[i][v]);
                }
            }
        }
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
            _ => self.all::<S, PANEL>(simd),
        }
    }
}
