//! Multiplies rows by a weight in blocks of llama.cpp's formats, which stays in them.
//!
//! **Law.** The bits are those of [`gemm`](super::gemm) with the weight as f32: each number is
//! made of its block as `dequantize_row_*` of llama.cpp makes it, and goes into the same chain: fused
//! multiply-adds in ascending order within blocks of [`CHAIN`] inputs, then the blocks' sums one
//! after the other onto the bias. So a row has the same bits in any company, and a quantised model
//! the bits of the dequantised one.
//!
//! Sixteen outputs are packed into a panel by interleaving their blocks byte by byte: a vector holds
//! the same byte of all of them. A panel takes the bytes that it takes in the file.

use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::pack::pack;
use super::simd::{MIN_PARALLEL, run};
// The law is that of its chains.
use super::tiles::{BLOCK as CHAIN, PANEL};

/// Inputs that are decoded at a time: those of the smallest block.
const PART: usize = 32;
/// Rows whose inputs of a chain stay in a core's cache while panels pass.
const CACHED: usize = 252;
/// Rows that share the reading of a panel.
const TILE: usize = 6;

/// The same byte of the blocks of a panel's outputs.
type Line = [u8; PANEL];
/// One input of each of a panel's outputs.
type Values = [f32; PANEL];

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

    /// Returns the bytes of a row of `input` numbers.
    fn row(self, input: usize) -> usize {
        let (numbers, bytes) = self.sizes();
        input / numbers * bytes
    }

    /// Decodes the `part`-th [`PART`] inputs of a panel's `block`.
    #[inline(always)]
    fn decode(self, block: &[Line], part: usize, sink: &mut impl Sink) {
        match self {
            Self::Q4_0 => q4_0(block, sink),
            Self::Q8_0 => q8_0(block, sink),
            Self::Q4K => q4_k(block, part, sink),
            Self::Q5K => q5_k(block, part, sink),
            Self::Q6K => q6_k(block, part, sink),
        }
    }
}

/// Interleaves the blocks of `rows (out, bytes)` into panels, the last filled up with zeros.
pub(in crate::nn) fn interleave(rows: &[u8], format: BlockFormat, input: usize) -> Vec<u8> {
    pack(rows, format.row(input).max(1), 0)
}

/// A weight in panels of blocks, with its bias.
#[derive(Clone, Copy)]
pub(in crate::nn) struct BlockWeight<'a> {
    pub(in crate::nn) panels: &'a [u8],
    pub(in crate::nn) format: BlockFormat,
    pub(in crate::nn) input: usize,
    /// Outputs that are not padding.
    pub(in crate::nn) out: usize,
    /// `(out)`.
    pub(in crate::nn) bias: Option<&'a [f32]>,
}

impl BlockWeight<'_> {
    /// Computes `x (R, input) -> x W^T + b (R, out)`.
    pub(in crate::nn) fn product(&self, x: &[f32]) -> Vec<f32> {
        let (input, out) = (self.input, self.out);
        let rows = x.len() / input.max(1);
        let (count, threads) = (out.div_ceil(PANEL), rayon::current_num_threads());
        let share = if rows * input * out < MIN_PARALLEL {
            count.max(1)
        } else {
            // Several shares for each thread: one that is held up does not hold up the rest.
            count
                .div_ceil(threads * if threads == 1 { 1 } else { 4 })
                .max(1)
        };
        let firsts: Vec<usize> = (0..count).step_by(share).collect();
        let part = |&first: &usize| self.product_of(x, first, share.min(count - first));
        let mut parts: Vec<Vec<f32>> = firsts.par_iter().map(part).collect();
        // One share without padding is the result as it stands.
        if parts.len() == 1 && count * PANEL == out {
            return parts.swap_remove(0);
        }
        let mut y = vec![0.0; rows * out];
        for (first, part) in firsts.iter().zip(&parts) {
            let padded = share.min(count - first) * PANEL;
            let width = padded.min(out - first * PANEL);
            for (y, part) in y.chunks_exact_mut(out).zip(part.chunks_exact(padded)) {
                y[first * PANEL..][..width].copy_from_slice(&part[..width]);
            }
        }
        y
    }

    /// Computes the outputs of `count` panels from panel `first` on, with padding.
    fn product_of(&self, x: &[f32], first: usize, count: usize) -> Vec<f32> {
        let (input, stride) = (self.input, count * PANEL);
        let mut y = vec![0.0; x.len() / input.max(1) * stride];
        let bias = self.bias.map(|bias| &bias[first * PANEL..]);
        if let Some(bias) = bias.map(|bias| &bias[..bias.len().min(stride)]) {
            y.chunks_exact_mut(stride)
                .for_each(|y| y[..bias.len()].copy_from_slice(bias));
        }
        let lines: &[Line] = self.panels.as_chunks().0;
        let height = self.format.row(input);
        let groups = x.chunks(CACHED * input).zip(y.chunks_mut(CACHED * stride));
        for (x, y) in groups {
            // Chains outside, panels inside: the rows' inputs of one chain stay in the cache.
            for start in (0..input).step_by(CHAIN) {
                for panel in 0..count {
                    run(Step {
                        x,
                        input,
                        inputs: start..input.min(start + CHAIN),
                        panel: &lines[(first + panel) * height..][..height],
                        format: self.format,
                        y: &mut y[panel * PANEL..],
                        stride,
                    });
                }
            }
        }
        y
    }

    /// Returns the weight `(out, input)` as f32.
    pub(in crate::nn) fn decoded(&self) -> Vec<f32> {
        let (lines, height): (&[Line], _) =
            (self.panels.as_chunks().0, self.format.row(self.input));
        let mut out = vec![0.0; self.out * self.input];
        for (panel, rows) in lines
            .chunks_exact(height)
            .zip(out.chunks_mut(PANEL * self.input))
        {
            let mut values = vec![[0.0; PANEL]; self.input];
            run(Decode {
                panel,
                format: self.format,
                start: 0,
                out: &mut values,
            });
            for (lane, row) in rows.chunks_exact_mut(self.input).enumerate() {
                let own = values.iter().map(|values| values[lane]);
                row.iter_mut()
                    .zip(own)
                    .for_each(|(place, value)| *place = value);
            }
        }
        out
    }
}

/// Decodes the inputs from `start` on of one panel.
struct Decode<'a> {
    panel: &'a [Line],
    format: BlockFormat,
    start: usize,
    out: &'a mut [Values],
}

impl NullaryFnOnce for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (numbers, bytes) = self.format.sizes();
        let mut kept = Kept {
            out: self.out,
            at: 0,
        };
        while kept.at < kept.out.len() {
            let at = self.start + kept.at;
            let block = &self.panel[at / numbers * bytes..][..bytes];
            self.format.decode(block, at % numbers / PART, &mut kept);
        }
    }
}

/// Adds one chain of inputs times one panel to the outputs of all rows.
struct Step<'a> {
    x: &'a [f32],
    /// Width of a row of `x`.
    input: usize,
    inputs: std::ops::Range<usize>,
    panel: &'a [Line],
    format: BlockFormat,
    /// Counts from the panel's first column on.
    y: &'a mut [f32],
    /// Width of a row of `y`.
    stride: usize,
}

impl NullaryFnOnce for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let rows = self.x.len() / self.input;
        if rows <= TILE {
            // What is decoded is used while it is in the first cache.
            return match rows {
                1 => self.few::<1>(),
                2 => self.few::<2>(),
                3 => self.few::<3>(),
                4 => self.few::<4>(),
                5 => self.few::<5>(),
                _ => self.few::<6>(),
            };
        }
        let mut values = vec![[0.0; PANEL]; self.inputs.len()];
        // Decoded once for all rows.
        let decode = Decode {
            panel: self.panel,
            format: self.format,
            start: self.inputs.start,
            out: &mut values,
        };
        decode.call();
        let values = &values[..];
        let mut row = 0;
        while row < rows {
            match rows - row {
                1 => self.tile::<1>(row, values),
                2 => self.tile::<2>(row, values),
                3 => self.tile::<3>(row, values),
                4 => self.tile::<4>(row, values),
                5 => self.tile::<5>(row, values),
                _ => self.tile::<TILE>(row, values),
            }
            row += TILE;
        }
    }
}

impl Step<'_> {
    #[inline(always)]
    fn few<const M: usize>(&mut self) {
        let (numbers, bytes) = self.format.sizes();
        let mut chains = Chains {
            sums: [[0.0; PANEL]; M],
            x: self.rows(0, self.inputs.clone()),
            at: 0,
        };
        for at in self.inputs.clone().step_by(PART) {
            let block = &self.panel[at / numbers * bytes..][..bytes];
            self.format.decode(block, at % numbers / PART, &mut chains);
        }
        self.add(0, chains.sums);
    }

    #[inline(always)]
    fn tile<const M: usize>(&mut self, row: usize, values: &[Values]) {
        let x = self.rows(row, self.inputs.clone());
        self.add(row, chain([[0.0; PANEL]; M], x, values));
    }

    #[inline(always)]
    fn rows<const M: usize>(&self, row: usize, inputs: std::ops::Range<usize>) -> [&[f32]; M] {
        std::array::from_fn(|i| &self.x[(row + i) * self.input..][inputs.clone()])
    }

    #[inline(always)]
    fn add<const M: usize>(&mut self, row: usize, sums: [Values; M]) {
        for (i, sums) in sums.iter().enumerate() {
            let total = &mut self.y[(row + i) * self.stride..][..PANEL];
            total
                .iter_mut()
                .zip(sums)
                .for_each(|(total, sum)| *total += sum);
        }
    }
}

/// Continues the chains of `M` rows by the inputs of `values`.
#[inline(always)]
fn chain<const M: usize>(mut sums: [Values; M], x: [&[f32]; M], values: &[Values]) -> [Values; M] {
    let x = x.map(|x| &x[..values.len()]);
    for (k, values) in values.iter().enumerate() {
        for i in 0..M {
            let x = x[i][k];
            for (sum, value) in sums[i].iter_mut().zip(values) {
                *sum = x.mul_add(*value, *sum);
            }
        }
    }
    sums
}

/// Reads an f16 of each output, whose two bytes are `lines`.
#[inline(always)]
fn halves(lines: &[Line]) -> Values {
    /// Brings the exponent of an f16 to that of an f32; exact, for subnormal numbers as well.
    const SCALE: f32 = f32::from_bits(0x7780_0000);
    let (low, high) = (lines[0], lines[1]);
    std::array::from_fn(|i| {
        let bits = u32::from(low[i]) | u32::from(high[i]) << 8;
        // The ten bits of its significand to the top of the 23 of an f32.
        let size = (bits & 0x7fff) << 13;
        let value = f32::from_bits(size) * SCALE;
        // Infinity and NaN have the highest exponent in both.
        let odd = f32::from_bits(size | 0x7f80_0000);
        let value = if bits & 0x7c00 == 0x7c00 { odd } else { value };
        f32::from_bits(value.to_bits() | (bits & 0x8000) << 16)
    })
}

#[inline(always)]
fn q4_0(block: &[Line], sink: &mut impl Sink) {
    // Numbers 0 to 15 are the low halves of the bytes, 16 to 31 the high ones.
    let (d, codes) = (halves(&block[..2]), &block[2..18]);
    for codes in codes {
        sink.take(fours::<0>(codes, &d));
    }
    for codes in codes {
        sink.take(fours::<4>(codes, &d));
    }
}

#[inline(always)]
fn fours<const SHIFT: u32>(codes: &Line, d: &Values) -> Values {
    let mut values = [0.0; PANEL];
    for i in 0..PANEL {
        // Codes 0 to 15 stand for -8 to 7.
        values[i] = (i32::from(codes[i] >> SHIFT & 15) - 8) as f32 * d[i];
    }
    values
}

#[inline(always)]
fn q8_0(block: &[Line], sink: &mut impl Sink) {
    let (d, codes) = (halves(&block[..2]), &block[2..34]);
    for codes in codes {
        let mut values = [0.0; PANEL];
        for i in 0..PANEL {
            values[i] = i32::from(codes[i].cast_signed()) as f32 * d[i];
        }
        sink.take(values);
    }
}

/// Returns scale and offset of the `part`-th 32 numbers of a block that begins with both as f16 and
/// twelve bytes of eight pairs of 6 bits.
#[inline(always)]
fn scales(block: &[Line], part: usize) -> (Values, Values) {
    let (d, least, packed) = (halves(&block[..2]), halves(&block[2..4]), &block[4..16]);
    let (mut scale, mut offset) = ([0.0; PANEL], [0.0; PANEL]);
    // The branch outside: lanes side by side.
    if part < 4 {
        let (low, high) = (&packed[part], &packed[part + 4]);
        for i in 0..PANEL {
            scale[i] = d[i] * i32::from(low[i] & 63) as f32;
            offset[i] = least[i] * i32::from(high[i] & 63) as f32;
        }
    } else {
        // Four of the six bits here, the upper two on top of the bytes of parts 0 to 3, as
        // `get_scale_min_k4` of llama.cpp finds them.
        let low = &packed[part + 4];
        let (high, high_least) = (&packed[part - 4], &packed[part]);
        for i in 0..PANEL {
            scale[i] = d[i] * i32::from(low[i] & 15 | high[i] >> 6 << 4) as f32;
            offset[i] = least[i] * i32::from(low[i] >> 4 | high_least[i] >> 6 << 4) as f32;
        }
    }
    (scale, offset)
}

#[inline(always)]
fn q4_k(block: &[Line], part: usize, sink: &mut impl Sink) {
    let by = scales(block, part);
    // 32 bytes hold two parts, one in their low halves and one in their high ones.
    let codes = &block[16 + part / 2 * 32..][..32];
    // Shifts by a constant are single instructions.
    match part % 2 {
        0 => nibbles::<0>(codes, by, sink),
        _ => nibbles::<4>(codes, by, sink),
    }
}

#[inline(always)]
fn nibbles<const SHIFT: u32>(
    codes: &[Line],
    (scale, offset): (Values, Values),
    sink: &mut impl Sink,
) {
    for codes in codes {
        let mut values = [0.0; PANEL];
        for i in 0..PANEL {
            // Two roundings, as the reference has them.
            values[i] = scale[i] * i32::from(codes[i] >> SHIFT & 15) as f32 - offset[i];
        }
        sink.take(values);
    }
}

#[inline(always)]
fn q5_k(block: &[Line], part: usize, sink: &mut impl Sink) {
    let by = scales(block, part);
    // The fifth bits of all parts stand in the same 32 bytes: bit `part` is this one's.
    let codes = (&block[48 + part / 2 * 32..][..32], &block[16..48]);
    match part {
        0 => fives::<0, 0>(codes, by, sink),
        1 => fives::<4, 1>(codes, by, sink),
        2 => fives::<0, 2>(codes, by, sink),
        3 => fives::<4, 3>(codes, by, sink),
        4 => fives::<0, 4>(codes, by, sink),
        5 => fives::<4, 5>(codes, by, sink),
        6 => fives::<0, 6>(codes, by, sink),
        _ => fives::<4, 7>(codes, by, sink),
    }
}

#[inline(always)]
fn fives<const SHIFT: u32, const BIT: u32>(
    (codes, fifth): (&[Line], &[Line]),
    (scale, offset): (Values, Values),
    sink: &mut impl Sink,
) {
    for (codes, fifth) in codes.iter().zip(fifth) {
        let mut values = [0.0; PANEL];
        for i in 0..PANEL {
            let code = codes[i] >> SHIFT & 15 | (fifth[i] >> BIT & 1) << 4;
            values[i] = scale[i] * i32::from(code) as f32 - offset[i];
        }
        sink.take(values);
    }
}

#[inline(always)]
fn q6_k(block: &[Line], part: usize, sink: &mut impl Sink) {
    let d = halves(&block[208..210]);
    // Halves of 128 numbers; in each the low bits of 32 and of 32 more, then the high ones.
    let (half, quarter) = (part / 4, part % 4);
    let low = &block[64 * half + quarter % 2 * 32..][..32];
    let high = &block[128 + 32 * half..][..32];
    let scales = &block[192 + 8 * half + 2 * quarter..][..2];
    for (i, scales) in scales.iter().enumerate() {
        let mut scale = [0.0; PANEL];
        for lane in 0..PANEL {
            scale[lane] = d[lane] * i32::from(scales[lane].cast_signed()) as f32;
        }
        let (low, high) = (&low[16 * i..][..16], &high[16 * i..][..16]);
        match quarter {
            0 => sixes::<0, 0>(low, high, scale, sink),
            1 => sixes::<0, 2>(low, high, scale, sink),
            2 => sixes::<4, 4>(low, high, scale, sink),
            _ => sixes::<4, 6>(low, high, scale, sink),
        }
    }
}

#[inline(always)]
fn sixes<const LOW: u32, const HIGH: u32>(
    low: &[Line],
    high: &[Line],
    scale: Values,
    sink: &mut impl Sink,
) {
    for (low, high) in low.iter().zip(high) {
        let mut values = [0.0; PANEL];
        for i in 0..PANEL {
            let code = low[i] >> LOW & 15 | (high[i] >> HIGH & 3) << 4;
            // Codes 0 to 63 stand for -32 to 31.
            values[i] = scale[i] * (i32::from(code) - 32) as f32;
        }
        sink.take(values);
    }
}

/// Takes the inputs of a panel as they are decoded, in order, one at a time: in a loop over inputs
/// that does nothing else the compiler makes vectors of inputs, whose bytes lie apart, and not of
/// outputs, whose bytes lie side by side.
trait Sink {
    /// Takes one input of each output.
    fn take(&mut self, values: Values);
}

/// Writes them down.
struct Kept<'a> {
    out: &'a mut [Values],
    at: usize,
}

impl Sink for Kept<'_> {
    #[inline(always)]
    fn take(&mut self, values: Values) {
        self.out[self.at] = values;
        self.at += 1;
    }
}

/// Continues the chains of `M` rows by them: nothing is written that would be read at once.
struct Chains<'a, const M: usize> {
    sums: [Values; M],
    x: [&'a [f32]; M],
    at: usize,
}

impl<const M: usize> Sink for Chains<'_, M> {
    #[inline(always)]
    fn take(&mut self, values: Values) {
        for row in 0..M {
            let x = self.x[row][self.at];
            for (sum, value) in self.sums[row].iter_mut().zip(values) {
                *sum = x.mul_add(value, *sum);
            }
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [BlockFormat; 5] = [
        BlockFormat::Q4_0,
        BlockFormat::Q8_0,
        BlockFormat::Q4K,
        BlockFormat::Q5K,
        BlockFormat::Q6K,
    ];

    /// Blocks of any bytes, but with scales that are finite.
    fn rows(format: BlockFormat, out: usize, input: usize) -> Vec<u8> {
        let (numbers, bytes) = format.sizes();
        let mut rows: Vec<u8> = (0..out * input / numbers * bytes)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8)
            .collect();
        let scales: &[usize] = match format {
            BlockFormat::Q4_0 | BlockFormat::Q8_0 => &[0],
            BlockFormat::Q4K | BlockFormat::Q5K => &[0, 2],
            BlockFormat::Q6K => &[208],
        };
        for (i, block) in rows.chunks_exact_mut(bytes).enumerate() {
            for &at in scales {
                // A subnormal one, too.
                let scale = half::f16::from_f32(1e-7 + 1e-4 * (i % 7) as f32);
                block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
            }
        }
        rows
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn products_have_the_bits_of_the_chain_in_any_company() {
        let (out, input) = (40, 768);
        let bias: Vec<f32> = (0..out).map(|n| n as f32 - 7.5).collect();
        let x: Vec<f32> = (0..17 * input)
            .map(|i| (i as f32 * 12.9898).sin())
            .collect();
        for format in FORMATS {
            let panels = interleave(&rows(format, out, input), format, input);
            let weight = BlockWeight {
                panels: &panels,
                format,
                input,
                out,
                bias: Some(&bias),
            };
            let values = weight.decoded();
            let mut expected = Vec::new();
            for x in x.chunks_exact(input) {
                for (w, bias) in values.chunks_exact(input).zip(&bias) {
                    let chains = x.chunks(CHAIN).zip(w.chunks(CHAIN));
                    let sums = chains.map(|(x, w)| {
                        let pairs = x.iter().zip(w);
                        pairs.fold(0.0, |sum: f32, (x, w)| x.mul_add(*w, sum))
                    });
                    expected.push(sums.fold(*bias, |total, sum| total + sum));
                }
            }
            for count in [1, 2, 6, 7, 17] {
                let found = weight.product(&x[..count * input]);
                assert_eq!(bits(&found), bits(&expected[..count * out]), "{format:?}");
            }
        }
    }

    #[test]
    fn halves_are_read_as_half_reads_them() {
        for bits in 0..=u16::MAX {
            let [low, high] = bits.to_le_bytes();
            let found = halves(&[[low; PANEL], [high; PANEL]])[3];
            let expected = half::f16::from_bits(bits).to_f32();
            assert!(
                found == expected || found.is_nan() && expected.is_nan(),
                "{bits}"
            );
        }
    }
}
