//! Multiplies rows by a packed weight.
//!
//! **Law.** `y[r][n]` is computed by one chain of operations that depends on row r and column n
//! alone: within blocks of [`BLOCK`] inputs counted from 0, fused multiply-adds in ascending order;
//! then the blocks' sums one after the other onto the bias. So a row has the same bits however many
//! rows share the call, wherever it stands, on however many threads and vectors of whatever width.
//!
//! The law holds for weights of every dtype: the product of two bf16 is exact in f32, so that the
//! instruction for pairs of them computes the same chain ([`bf16`](super::bf16)).
//!
//! A weight is packed once, when it is loaded, into panels of [`PANEL`] outputs, so that a vector of
//! outputs lies side by side and one row of it is read after the other. Other libraries pack at
//! every call, and sum in an order that depends on the number of rows.

use std::ops::Range;
use std::sync::OnceLock;

use rayon::prelude::*;

use super::bf16;
use super::blocks::{self, BlockFormat, BlockPanel};
use super::pack::{Panels, with_blocks_of_floats, with_blocks_of_pairs};
use super::simd::{MIN_PARALLEL, Numbers, run, second_cache};
use super::tiles::{BLOCK, PANEL, PLACES, Tiles};

/// Returns how many blocks of f32 rows stay in a core's second cache while all panels pass (pairs of
/// bf16 take half of it), and how many blocks of a row are multiplied before the next panels are
/// read.
fn room() -> (usize, usize) {
    static ROOM: OnceLock<(usize, usize)> = OnceLock::new();
    *ROOM.get_or_init(|| match second_cache() {
        // 1.5 MiB: the weight is read from memory a few times only.
        Some(bytes) if bytes >= 2 << 20 => (756, 1),
        // 504 KiB. Each visit to the outputs costs misses, which smaller caches have more of.
        _ => (252, 2),
    })
}

/// Rows that are multiplied panel by panel: the weight is read in one go, and their blocks stay in
/// the cache.
const FEW: usize = 12;
/// Rows of a thread are a multiple of this, which every kernel's tiles divide well.
const SHARE: usize = 6;

/// A packed weight with its bias.
#[derive(Clone, Copy)]
pub(in crate::nn) struct PackedWeight<'a> {
    pub(in crate::nn) panels: Panels<'a>,
    pub(in crate::nn) input: usize,
    /// Columns that are not padding.
    pub(in crate::nn) out: usize,
    /// `(out)`.
    pub(in crate::nn) bias: Option<&'a [f32]>,
}

impl<'a> PackedWeight<'a> {
    /// Computes `x (R, input) -> x W^T + b (R, out)`.
    pub(in crate::nn) fn product(&self, x: Numbers<'_>) -> Vec<f32> {
        let (input, out) = (self.input, self.out);
        let rows = x.len() / input.max(1);
        let count = out.div_ceil(PANEL);
        let threads = rayon::current_num_threads();
        if rows * input * out < MIN_PARALLEL || threads == 1 {
            return self.product_here(x);
        }
        let mut y = vec![0.0; rows * out];
        if rows >= 2 * SHARE * threads && !matches!(self.panels, Panels::Blocks(..)) {
            // Many rows: each thread takes some, and reads the whole weight. Blocks would be
            // decoded by each.
            let share = rows.div_ceil(threads).next_multiple_of(SHARE);
            let parts = y.par_chunks_mut(share * out).enumerate();
            parts.for_each(|(i, y)| {
                let first = i * share;
                self.columns(0, count)
                    .times(x, first..first + y.len() / out, y, out);
            });
            return y;
        }
        // Few rows: each thread takes some panels, so that the weight is read once.
        let share = count.div_ceil(threads);
        let firsts: Vec<usize> = (0..count).step_by(share).collect();
        let parts: Vec<Vec<f32>> = firsts
            .par_iter()
            .map(|&first| self.product_of(x, first, share.min(count - first)))
            .collect();
        for (first, part) in firsts.iter().zip(&parts) {
            let width = part.len() / rows;
            for (y, part) in y.chunks_exact_mut(out).zip(part.chunks_exact(width)) {
                y[first * PANEL..][..width].copy_from_slice(part);
            }
        }
        y
    }

    /// Computes the same on this thread alone.
    pub(in crate::nn) fn product_here(&self, x: Numbers<'_>) -> Vec<f32> {
        self.product_of(x, 0, self.out.div_ceil(PANEL))
    }

    /// Computes the outputs of `count` panels from panel `first` on, without padding.
    fn product_of(&self, x: Numbers<'_>, first: usize, count: usize) -> Vec<f32> {
        let rows = x.len() / self.input.max(1);
        let width = (self.out - first * PANEL).min(count * PANEL);
        let mut y = vec![0.0; rows * width];
        self.columns(first, count).times(x, 0..rows, &mut y, width);
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
struct Columns<'a> {
    /// All of them.
    panels: Panels<'a>,
    input: usize,
    /// One for each output of the weight, not of these panels alone.
    bias: Option<&'a [f32]>,
    /// The first panel.
    first: usize,
    /// Number of panels.
    count: usize,
}

impl Columns<'_> {
    /// Sets `y (R, width)`, which is 0, to the outputs of these panels for `rows` of `x`.
    fn times(&self, x: Numbers<'_>, rows: Range<usize>, y: &mut [f32], width: usize) {
        let padded = self.count * PANEL;
        if width == padded {
            self.times_padded(x, rows, y);
            return;
        }
        // The last panel is partly padding, which `y` has no room for.
        let mut whole = vec![0.0; rows.len() * padded];
        self.times_padded(x, rows, &mut whole);
        for (y, whole) in y.chunks_exact_mut(width).zip(whole.chunks_exact(padded)) {
            y.copy_from_slice(&whole[..width]);
        }
    }

    /// Computes the same with the outputs of the padding; `y` is 0.
    fn times_padded(&self, x: Numbers<'_>, rows: Range<usize>, y: &mut [f32]) {
        let stride = self.count * PANEL;
        let bias = self
            .bias
            .map(|b| &b[self.first * PANEL..])
            .unwrap_or_default();
        // The last panel's padding has none.
        let bias = &bias[..bias.len().min(stride)];
        if !bias.is_empty() {
            y.chunks_exact_mut(stride)
                .for_each(|y| y[..bias.len()].copy_from_slice(bias));
        }
        let (cached, blocks) = self.cached(x, rows.len());
        for (first, y) in rows
            .clone()
            .step_by(cached)
            .zip(y.chunks_mut(cached * stride))
        {
            let rows = first..rows.end.min(first + cached);
            for inputs in (0..self.input).step_by(blocks * BLOCK) {
                let inputs = inputs..self.input.min(inputs + blocks * BLOCK);
                self.add(x, rows.clone(), inputs, y);
            }
        }
    }

    /// Returns how many rows, and how many blocks of each, are multiplied at a time.
    fn cached(&self, x: Numbers<'_>, rows: usize) -> (usize, usize) {
        let blocks = self.input.div_ceil(BLOCK).max(1);
        if rows <= FEW {
            return (FEW, blocks);
        }
        let (room, visit) = room();
        if let Panels::Blocks(..) = self.panels {
            // What is decoded serves as many rows as there is room for.
            return (room, 1);
        }
        let blocks = blocks.min(visit);
        let cached = if self.takes_pairs(x) { 2 * room } else { room };
        // Whole tiles of rows, whose blocks fit in the cache together.
        (cached / blocks / FEW * FEW, blocks)
    }

    /// Reports whether an instruction for pairs of bf16 serves.
    fn takes_pairs(&self, x: Numbers<'_>) -> bool {
        matches!((self.panels, x), (Panels::Bf16(_), Numbers::Bf16(_))) && bf16::is_served()
    }

    /// Adds the products of `inputs`, which begin with a block, up in `y`.
    fn add(&self, x: Numbers<'_>, rows: Range<usize>, inputs: Range<usize>, y: &mut [f32]) {
        if let (Panels::Bf16(pairs), Numbers::Bf16(values)) = (self.panels, x)
            && bf16::is_served()
        {
            return with_blocks_of_pairs(values, self.input, &rows, &inputs, |x| {
                let panels = self.part(pairs.as_chunks().0, 2);
                bf16::multiply(self.tiles(x, panels, 2, &inputs, y));
            });
        }
        with_blocks_of_floats(x, self.input, &rows, &inputs, |x| match self.panels {
            Panels::F32(values) => {
                let panels = self.part(values.as_chunks().0, 1);
                run(self.tiles(x, panels, 1, &inputs, y));
            }
            Panels::Bf16(pairs) => {
                let panels = self.part::<[u32; PANEL]>(pairs.as_chunks().0, 2);
                run(self.tiles(x, panels, 2, &inputs, y));
            }
            Panels::Blocks(panels, format) if rows.len() <= blocks::FEW => {
                self.add_few(x, (panels, format), &inputs, y);
            }
            Panels::Blocks(panels, format) => self.add_read(x, &inputs, y, |panel, first, out| {
                BlockPanel::of(panels, format, self.input, panel).decode(first, out);
            }),
            Panels::Read(values) => self.add_read(x, &inputs, y, |panel, first, out| {
                let from = (panel * self.input + first) * PANEL;
                values.read(from, out.as_flattened_mut());
            }),
        });
    }

    /// Adds products of few rows with blocks, which are decoded as they are multiplied.
    fn add_few(
        &self,
        x: &[[f32; PLACES]],
        (panels, format): (&[u32], BlockFormat),
        inputs: &Range<usize>,
        y: &mut [f32],
    ) {
        let (stride, rows) = (self.count * PANEL, y.len() / (self.count * PANEL));
        for panel in (0..self.count).step_by(2) {
            let number = self.first + panel;
            let of = |number| BlockPanel::of(panels, format, self.input, number);
            // A weight of an odd number of panels has none beside the last.
            let pair = [
                of(number),
                of(number.saturating_add(1).min(self.first + self.count - 1)),
            ];
            let pair = &pair[..2.min(self.count - panel)];
            let y = &mut y[panel * PANEL..];
            let firsts = inputs.clone().step_by(BLOCK);
            for (first, x) in firsts.zip(x.chunks_exact(rows)) {
                let inputs = first..inputs.end.min(first + BLOCK);
                blocks::add_few(x, pair, inputs, y, stride);
            }
        }
    }

    /// Adds products with a weight that `read` makes f32, block by block and two panels at a time;
    /// it is told the panel, its first input, and where to write.
    fn add_read(
        &self,
        x: &[[f32; PLACES]],
        inputs: &Range<usize>,
        y: &mut [f32],
        read: impl Fn(usize, usize, &mut [[f32; PANEL]]),
    ) {
        let (stride, rows) = (self.count * PANEL, y.len() / (self.count * PANEL));
        let mut room = vec![[0.0; PANEL]; 2 * BLOCK.min(inputs.len())];
        for panel in (0..self.count).step_by(2) {
            let y = &mut y[panel * PANEL..];
            let firsts = inputs.clone().step_by(BLOCK);
            for (first, x) in firsts.zip(x.chunks_exact(rows)) {
                let lines = BLOCK.min(inputs.end - first);
                let weight = &mut room[..lines * 2.min(self.count - panel)];
                for (i, own) in weight.chunks_exact_mut(lines).enumerate() {
                    read(self.first + panel + i, first, own);
                }
                run(Tiles {
                    x,
                    panels: weight,
                    lines,
                    before: 0,
                    within: lines,
                    block: BLOCK,
                    y,
                    stride,
                });
            }
        }
    }

    /// Returns the lines of these panels, each of which holds `per` inputs.
    fn part<'b, Line>(&self, lines: &'b [Line], per: usize) -> &'b [Line] {
        let of_panel = self.input.div_ceil(per);
        &lines[self.first * of_panel..][..self.count * of_panel]
    }

    fn tiles<'b, X, Line>(
        &self,
        x: &'b [[X; PLACES]],
        panels: &'b [Line],
        per: usize,
        inputs: &Range<usize>,
        y: &'b mut [f32],
    ) -> Tiles<'b, X, Line> {
        Tiles {
            x,
            panels,
            lines: self.input.div_ceil(per),
            before: inputs.start / per,
            within: inputs.len().div_ceil(per),
            block: BLOCK / per,
            y,
            stride: self.count * PANEL,
        }
    }
}

#[cfg(test)]
mod tests;
