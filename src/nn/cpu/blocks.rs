//! Decodes a weight that stays in blocks of llama.cpp's formats.
//!
//! **Law.** The bits are those of [`gemm`](super::gemm) with the weight as f32: each number is
//! made of its block as `dequantize_row_*` of llama.cpp makes it, and goes into the same chain. So a
//! row has the same bits in any company, and a quantised model the bits of the dequantised one.
//! Scales have to be finite; a number that is 0 may have the other sign, which no sum shows.
//!
//! Sixteen outputs are packed into a panel by interleaving their blocks four bytes at a time: a
//! vector holds the same word of all of them. A panel takes the bytes that it takes in the file.

mod decode;
mod lanes;

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::simd::run;
use super::tiles::{BLOCK, PANEL, PLACES};
use decode::{Block, Sink, q4_0, q4_k, q5_k, q6_k, q8_0};
use lanes::{Lanes, Line, Values};

/// Inputs that are decoded at a time: those of the smallest block.
const PART: usize = 32;
/// Rows that are multiplied by numbers as they are decoded. More of them read the numbers again and
/// again, so that these are written down first.
pub(super) const FEW: usize = 6;

/// A format of blocks that products are made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum BlockFormat {
    /// 32 numbers of 4 bits, one scale.
    Q4_0,
    /// 32 numbers of 8 bits, one scale.
    Q8_0,
    /// 256 numbers of 4 bits, scales and offsets of 6 bits for each 32.
    Q4K,
    /// The same of 5 bits.
    Q5K,
    /// 256 numbers of 6 bits, scales of 8 bits for each 16.
    Q6K,
}

impl BlockFormat {
    /// Returns how many numbers and how many bytes a block has.
    pub(in crate::nn) fn sizes(self) -> (usize, usize) {
        match self {
            // A scale in f16, and half a byte a number.
            Self::Q4_0 => (32, 18),
            Self::Q8_0 => (32, 34),
            // Two f16, twelve bytes of scales and offsets, and half a byte a number; Q5_K has one
            // bit more.
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            // 128 bytes of low bits, 64 of high ones, 16 scales, and their own scale in f16.
            Self::Q6K => (256, 210),
        }
    }

    /// Returns where a block has an f16 beside its whole words.
    fn scale_at(self) -> Option<usize> {
        match self {
            Self::Q4_0 | Self::Q8_0 => Some(0),
            Self::Q4K | Self::Q5K => None,
            Self::Q6K => Some(208),
        }
    }

    /// Returns the whole words of a block.
    fn words(self) -> usize {
        self.sizes().1 / 4
    }

    /// Returns the bytes of a row of `input` numbers.
    fn row(self, input: usize) -> usize {
        let (numbers, bytes) = self.sizes();
        input / numbers * bytes
    }

    /// Returns the lines of a panel of `input` inputs: the words of its blocks, and behind them the
    /// scales beside these, of two blocks in a line.
    fn lines(self, input: usize) -> usize {
        let blocks = input / self.sizes().0;
        let scales = self.scale_at().map_or(0, |_| blocks.div_ceil(2));
        blocks * self.words() + scales
    }
}

/// Interleaves the blocks of `rows (out, bytes)` into panels `(P, lines, PANEL)`, the last filled up
/// with zeros.
pub(in crate::nn) fn interleave(rows: &[u8], format: BlockFormat, input: usize) -> Vec<u32> {
    let (row, lines) = (format.row(input).max(1), format.lines(input).max(1));
    let count = (rows.len() / row).div_ceil(PANEL);
    let mut panels = vec![0; count * lines * PANEL];
    panels
        .par_chunks_exact_mut(lines * PANEL)
        .zip(rows.par_chunks(row * PANEL))
        .for_each(|(panel, rows)| {
            for (lane, row) in rows.chunks_exact(row).enumerate() {
                put(row, format, panel, lane);
            }
        });
    panels
}

/// Writes the blocks of an output into its lane of a panel.
fn put(row: &[u8], format: BlockFormat, panel: &mut [u32], lane: usize) {
    let (words, bytes) = (format.words(), format.sizes().1);
    let scales = row.len() / bytes * words;
    for (b, block) in row.chunks_exact(bytes).enumerate() {
        // The f16 stands before all words or behind them.
        let at = usize::from(format.scale_at() == Some(0)) * 2;
        for (w, word) in block[at..].as_chunks::<4>().0.iter().enumerate() {
            panel[(b * words + w) * PANEL + lane] = u32::from_le_bytes(*word);
        }
        if let Some(at) = format.scale_at() {
            let bits = u32::from(u16::from_le_bytes([block[at], block[at + 1]]));
            panel[(scales + b / 2) * PANEL + lane] |= bits << (16 * (b % 2));
        }
    }
}

/// Returns the weight `(out, input)` of `panels` as f32.
pub(in crate::nn) fn decoded(
    panels: &[u32],
    format: BlockFormat,
    (out, input): (usize, usize),
) -> Vec<f32> {
    let mut weight = vec![0.0; out * input];
    let rows = weight.par_chunks_mut(PANEL * input).enumerate();
    rows.for_each(|(i, rows)| {
        let mut values = vec![[0.0; PANEL]; input];
        BlockPanel::of(panels, format, input, i).decode(0, &mut values);
        for (lane, row) in rows.chunks_exact_mut(input).enumerate() {
            let own = values.iter().map(|values| values[lane]);
            row.iter_mut()
                .zip(own)
                .for_each(|(place, value)| *place = value);
        }
    });
    weight
}

/// The blocks of sixteen outputs.
#[derive(Clone, Copy)]
pub(super) struct BlockPanel<'a> {
    format: BlockFormat,
    /// The words of all blocks.
    words: &'a [Line],
    /// The scales beside them, of two blocks in a line.
    scales: &'a [Line],
}

impl<'a> BlockPanel<'a> {
    /// Returns panel `number` of a weight of `input` inputs.
    pub(super) fn of(panels: &'a [u32], format: BlockFormat, input: usize, number: usize) -> Self {
        let lines = format.lines(input);
        let own = &panels.as_chunks().0[number * lines..][..lines];
        let (words, scales) = own.split_at(input / format.sizes().0 * format.words());
        Self {
            format,
            words,
            scales,
        }
    }

    /// Decodes the inputs from `start` on, which begins a part, into `out`.
    pub(super) fn decode(self, start: usize, out: &mut [Values]) {
        let panel = self;
        run(Decode { panel, start, out });
    }

    /// Returns the words of a block, and its scales in f16.
    #[inline(always)]
    fn block<S: Simd, const V: usize>(
        self,
        lanes: Lanes<S, V>,
        number: usize,
    ) -> Block<'a, [S::f32s; V]> {
        let count = self.format.words();
        let words = &self.words[number * count..][..count];
        // The first of two halves of a word, and the second.
        let (pair, second) = match self.format.scale_at() {
            None => (words[0], 0),
            Some(_) => (self.scales[number / 2], number % 2),
        };
        let pair = lanes.load(&pair);
        let (first, other) = (lanes.half(pair), lanes.half(lanes.right(pair, 16)));
        let [scale, offset] = if second == 0 {
            [first, other]
        } else {
            [other, first]
        };
        Block {
            words,
            scale,
            offset,
        }
    }

    /// Hands 32 inputs of a block to `sink`, one after the other.
    #[inline(always)]
    fn part<S: Simd, const V: usize>(
        self,
        lanes: Lanes<S, V>,
        block: Block<'_, [S::f32s; V]>,
        part: usize,
        sink: &mut impl Sink<S, V>,
    ) {
        match self.format {
            BlockFormat::Q4_0 => q4_0(lanes, block, sink),
            BlockFormat::Q8_0 => q8_0(lanes, block, sink),
            BlockFormat::Q4K => q4_k(lanes, block, part, sink),
            BlockFormat::Q5K => q5_k(lanes, block, part, sink),
            BlockFormat::Q6K => q6_k(lanes, block, part, sink),
        }
    }
}

/// Adds one chain of `inputs` of few rows, at most [`FEW`], times one or two panels up in `y`, whose
/// rows are `stride` apart.
pub(super) fn add_few(
    x: &[[f32; PLACES]],
    panels: &[BlockPanel<'_>],
    inputs: Range<usize>,
    y: &mut [f32],
    stride: usize,
) {
    run(Few {
        x,
        panels,
        inputs,
        y,
        stride,
    });
}

/// Writes inputs of one panel down.
struct Decode<'a> {
    panel: BlockPanel<'a>,
    start: usize,
    out: &'a mut [Values],
}

impl WithSimd for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.on(Lanes::<S, 1>(simd)),
            8 => self.on(Lanes::<S, 2>(simd)),
            4 => self.on(Lanes::<S, 4>(simd)),
            // Without vector instructions a lane is one number.
            _ => self.on(Lanes::<S, PANEL>(simd)),
        }
    }
}

impl Decode<'_> {
    #[inline(always)]
    fn on<S: Simd, const V: usize>(self, lanes: Lanes<S, V>) {
        let mut kept = Kept {
            out: self.out,
            at: 0,
        };
        let numbers = self.panel.format.sizes().0;
        while kept.at < kept.out.len() {
            let block = self.panel.block(lanes, (self.start + kept.at) / numbers);
            for part in 0..numbers / PART {
                self.panel.part(lanes, block, part, &mut kept);
            }
        }
    }
}

/// Multiplies few rows by numbers that stay in registers between their block and their chain.
struct Few<'a> {
    x: &'a [[f32; PLACES]],
    panels: &'a [BlockPanel<'a>],
    inputs: Range<usize>,
    /// Counts from the first panel's first column on.
    y: &'a mut [f32],
    /// Width of a row of `y`.
    stride: usize,
}

impl WithSimd for Few<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.on(Lanes::<S, 1>(simd)),
            8 => self.on(Lanes::<S, 2>(simd)),
            4 => self.on(Lanes::<S, 4>(simd)),
            _ => self.on(Lanes::<S, PANEL>(simd)),
        }
    }
}

impl Few<'_> {
    #[inline(always)]
    fn on<S: Simd, const V: usize>(mut self, lanes: Lanes<S, V>) {
        // One row waits for its own last sum at every input: another panel's fill the time.
        if let (1, [first, second]) = (self.x.len(), self.panels) {
            return self.rows::<S, V, 1, 2>(lanes, [*first, *second], 0);
        }
        for (i, panel) in self.panels.iter().enumerate() {
            let column = i * PANEL;
            match self.x.len() {
                1 => self.rows::<S, V, 1, 1>(lanes, [*panel], column),
                2 => self.rows::<S, V, 2, 1>(lanes, [*panel], column),
                3 => self.rows::<S, V, 3, 1>(lanes, [*panel], column),
                4 => self.rows::<S, V, 4, 1>(lanes, [*panel], column),
                5 => self.rows::<S, V, 5, 1>(lanes, [*panel], column),
                _ => self.rows::<S, V, FEW, 1>(lanes, [*panel], column),
            }
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const V: usize, const M: usize, const P: usize>(
        &mut self,
        lanes: Lanes<S, V>,
        panels: [BlockPanel<'_>; P],
        column: usize,
    ) {
        let Some(x) = self.x.first_chunk::<M>() else {
            return;
        };
        let zero = lanes.splat(0.0);
        let mut chains = [Chains {
            sums: [zero; M],
            x,
            at: 0,
        }; P];
        let numbers = panels[0].format.sizes().0;
        for number in self.inputs.start / numbers..self.inputs.end / numbers {
            let mut blocks = [panels[0].block(lanes, number); P];
            for p in 1..P {
                blocks[p] = panels[p].block(lanes, number);
            }
            for part in 0..numbers / PART {
                for p in 0..P {
                    panels[p].part(lanes, blocks[p], part, &mut chains[p]);
                }
            }
        }
        for (p, chain) in chains.iter().enumerate() {
            for (i, sums) in chain.sums.iter().enumerate() {
                let y = &mut self.y[i * self.stride + column + p * PANEL..][..PANEL];
                for (total, &sum) in S::as_mut_simd_f32s(y).0.iter_mut().zip(sums) {
                    *total = lanes.0.add_f32s(*total, sum);
                }
            }
        }
    }
}

/// Writes them down.
struct Kept<'a> {
    out: &'a mut [Values],
    at: usize,
}

impl<S: Simd, const V: usize> Sink<S, V> for Kept<'_> {
    #[inline(always)]
    fn take(&mut self, _: Lanes<S, V>, values: [S::f32s; V]) {
        S::as_mut_simd_f32s(&mut self.out[self.at])
            .0
            .copy_from_slice(&values);
        self.at += 1;
    }
}

/// Continues the chains of `M` rows by them: nothing is written that would be read at once.
#[derive(Clone, Copy)]
struct Chains<'a, F, const M: usize> {
    sums: [F; M],
    x: &'a [[f32; PLACES]; M],
    at: usize,
}

impl<S: Simd, const V: usize, const M: usize> Sink<S, V> for Chains<'_, [S::f32s; V], M> {
    #[inline(always)]
    fn take(&mut self, lanes: Lanes<S, V>, values: [S::f32s; V]) {
        for row in 0..M {
            // A chain has no more inputs; said so, it costs no check.
            let x = lanes.splat(self.x[row][self.at % BLOCK]);
            self.sums[row] = lanes.mul_add(x, values, self.sums[row]);
        }
        self.at += 1;
    }
}

#[cfg(test)]
pub(in crate::nn) mod tests;
