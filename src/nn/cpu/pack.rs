//! Lays weights out in panels, and rows in blocks, as [`tiles`](super::tiles) reads them.

use std::cell::Cell;
use std::ops::Range;
use std::thread::LocalKey;

use half::bf16;
use rayon::prelude::*;

use super::blocks::BlockFormat;
use super::simd::Numbers;
use super::tiles::{BLOCK, PANEL, PLACES};

/// Completes the last pair of an odd number of inputs: -0, whose product with 0 changes no sum, as
/// that of 0 would change -0.
const NO_INPUT: u32 = 0x8000;
/// Blocks that a thread keeps room for, at the least: 520 KiB.
const ROOM: usize = 252;

/// A packed weight, in panels of [`PANEL`] outputs, the last one filled up with zeros.
#[derive(Clone, Copy)]
pub(in crate::nn) enum Panels<'a> {
    /// `(P, input, PANEL)`.
    F32(&'a [f32]),
    /// `(P, input, PANEL)` of whatever is read as f32, some inputs of a panel at a time.
    Read(Numbers<'a>),
    /// `(P, input / 2, PANEL)`: two inputs of an output side by side, the first in the upper half.
    Bf16(&'a [u32]),
    /// `(P, lines, PANEL)`: the blocks of a panel's outputs, [interleaved](super::blocks::interleave).
    Blocks(&'a [u32], BlockFormat),
}

/// Packs `weight (out, input)` into panels `(P, input, PANEL)`, which `zero` fills up.
pub(in crate::nn) fn pack<T: Copy + Send + Sync>(weight: &[T], input: usize, zero: T) -> Vec<T> {
    pack_by(weight, input, 1, zero, |value| value[0])
}

/// Packs `weight (out, input)` into panels `(P, input / 2, PANEL)` of pairs.
pub(in crate::nn) fn pack_pairs(weight: &[bf16], input: usize) -> Vec<u32> {
    pack_by(weight, input, 2, 0, |pair| joined(pair, NO_INPUT))
}

/// Returns `weight (out, input)` of panels of pairs.
pub(in crate::nn) fn unpack_pairs(panels: &[u32], input: usize, out: usize) -> Vec<bf16> {
    let pairs = input.div_ceil(2);
    let mut weight = vec![bf16::ZERO; out * input];
    weight
        .par_chunks_mut(PANEL * input)
        .zip(panels.par_chunks(pairs * PANEL))
        .for_each(|(rows, panel)| {
            for (j, row) in rows.chunks_exact_mut(input).enumerate() {
                let own = panel.iter().skip(j).step_by(PANEL);
                for (values, pair) in row.chunks_mut(2).zip(own) {
                    values[0] = bf16::from_bits((pair >> 16) as u16);
                    if let Some(second) = values.get_mut(1) {
                        *second = bf16::from_bits(*pair as u16);
                    }
                }
            }
        });
    weight
}

/// Packs `per` inputs of an output at a time.
fn pack_by<T: Copy + Sync, P: Copy + Send>(
    weight: &[T],
    input: usize,
    per: usize,
    zero: P,
    join: impl Fn(&[T]) -> P + Sync,
) -> Vec<P> {
    let count = weight.len().div_ceil(input * PANEL);
    // (out, input) -> (P, lines, PANEL): line k holds input k, or pair k, of the panel's outputs.
    let lines = input.div_ceil(per);
    let mut packed = vec![zero; count * lines * PANEL];
    packed
        .par_chunks_mut(lines * PANEL)
        .zip(weight.par_chunks(input * PANEL))
        .for_each(|(panel, rows)| {
            for (j, row) in rows.chunks_exact(input).enumerate() {
                let places = panel.iter_mut().skip(j).step_by(PANEL);
                for (place, values) in places.zip(row.chunks(per)) {
                    *place = join(values);
                }
            }
        });
    packed
}

/// Returns one or two numbers as a pair, the first in the upper half.
fn joined(pair: &[bf16], missing: u32) -> u32 {
    let second = pair.get(1).map_or(missing, |x| u32::from(x.to_bits()));
    u32::from(pair[0].to_bits()) << 16 | second
}

thread_local! {
    static FLOATS: Cell<Vec<[f32; PLACES]>> = const { Cell::new(Vec::new()) };
    static PAIRS: Cell<Vec<[u32; PLACES]>> = const { Cell::new(Vec::new()) };
}

/// Reads `inputs` of `rows` of `x (R, width)` into blocks `(blocks, R)`, and does `work` on them.
pub(super) fn with_blocks_of_floats(
    x: Numbers<'_>,
    width: usize,
    rows: &Range<usize>,
    inputs: &Range<usize>,
    work: impl FnOnce(&[[f32; PLACES]]),
) {
    with_blocks(
        &FLOATS,
        [0.0; PLACES],
        (rows, inputs),
        work,
        |row, inputs, places| {
            x.read(row * width + inputs.start, &mut places[..inputs.len()]);
            // Completes a pair with the weight's `NO_INPUT`.
            if let Some(place) = places.get_mut(inputs.len()) {
                *place = 0.0;
            }
        },
    );
}

/// Reads the same in pairs.
pub(super) fn with_blocks_of_pairs(
    x: &[bf16],
    width: usize,
    rows: &Range<usize>,
    inputs: &Range<usize>,
    work: impl FnOnce(&[[u32; PLACES]]),
) {
    with_blocks(
        &PAIRS,
        [0; PLACES],
        (rows, inputs),
        work,
        |row, inputs, places| {
            let x = &x[row * width + inputs.start..][..inputs.len()];
            let (whole, rest) = x.as_chunks::<2>();
            for (place, pair) in places.iter_mut().zip(whole) {
                *place = joined(pair, 0);
            }
            if !rest.is_empty() {
                places[whole.len()] = joined(rest, 0);
            }
        },
    );
}

/// Calls `fill` with each row, the inputs of each block, and their places; then `work` with all.
/// Places behind a row's last pair hold numbers of earlier calls, which no sum reads.
fn with_blocks<T: Copy>(
    room: &'static LocalKey<Cell<Vec<[T; PLACES]>>>,
    empty: [T; PLACES],
    (rows, inputs): (&Range<usize>, &Range<usize>),
    work: impl FnOnce(&[[T; PLACES]]),
    fill: impl Fn(usize, Range<usize>, &mut [T; PLACES]),
) {
    // Kept by the thread: to clear the room of each call takes longer than to fill it, where the
    // weight is small.
    let mut blocks = room.take();
    let count = inputs.len().div_ceil(BLOCK) * rows.len();
    if blocks.len() < count {
        // By few sizes, so that the memory of a server at work does not creep.
        blocks.resize(count.next_multiple_of(ROOM), empty);
    }
    let firsts = inputs.clone().step_by(BLOCK);
    for (first, block) in firsts.zip(blocks[..count].chunks_exact_mut(rows.len().max(1))) {
        let within = first..inputs.end.min(first + BLOCK);
        for (row, places) in rows.clone().zip(block) {
            fill(row, within.clone(), places);
        }
    }
    work(&blocks[..count]);
    room.set(blocks);
}
