//! Makes numbers of the words of blocks, as `dequantize_row_*` of llama.cpp makes them.
//!
//! No code is shifted out and converted: a code of few bits that is put into the significand of 2^23,
//! where it stands in its word, makes a float of 2^23 and the code times a power of two. A word is
//! read in two halves, so that no code stands above bit 22.

use pulp::Simd;

use super::lanes::{Lanes, Line, TWO_23};

/// A block of each of sixteen outputs.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, F> {
    pub(super) words: &'a [Line],
    /// Its scale, or that of the scales of its parts.
    pub(super) scale: F,
    /// That of the offsets of its parts, in formats that have them.
    pub(super) offset: F,
}

/// Takes the inputs of a panel as they are decoded, in order.
pub(super) trait Sink<S: Simd, const V: usize> {
    /// Takes one input of each output.
    fn take(&mut self, lanes: Lanes<S, V>, values: [S::f32s; V]);
}

/// Makes numbers `scale code - offset` of codes at bits `P` and `P + 8` of their words.
#[derive(Clone, Copy)]
struct WithOffset<F> {
    /// The scale over 2^`P` and 2^(`P` + 8).
    scales: [F; 2],
    /// Take the 2^23 beside a code away again.
    minus: [F; 2],
    offset: F,
}

#[inline(always)]
fn with_offset<S: Simd, const V: usize, const P: u32>(
    lanes: Lanes<S, V>,
    (scale, offset): ([S::f32s; V], [S::f32s; V]),
) -> WithOffset<[S::f32s; V]> {
    let scales = [lanes.shrink(scale, P), lanes.shrink(scale, P + 8)];
    let two_23 = lanes.splat(-f32::from_bits(TWO_23));
    WithOffset {
        scales,
        minus: [lanes.mul(scales[0], two_23), lanes.mul(scales[1], two_23)],
        offset,
    }
}

/// Hands the number of the code that stands in `words` at place `i` to `sink`.
#[inline(always)]
fn take_with_offset<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    words: [S::u32s; V],
    by: WithOffset<[S::f32s; V]>,
    i: usize,
    sink: &mut impl Sink<S, V>,
) {
    // Two roundings, as the reference has them: 2^23 and the scale times it cancel before the first.
    let scaled = lanes.mul_add(lanes.float(words), by.scales[i], by.minus[i]);
    sink.take(lanes, lanes.sub(scaled, by.offset));
}

/// Makes numbers `scale (code - zero)` of codes at bits `P` and `P + 8` of their words.
#[derive(Clone, Copy)]
struct Centred<F> {
    /// The scale over 2^`P` and 2^(`P` + 8).
    scales: [F; 2],
    /// 2^23, and the zero where the code stands.
    zeros: [F; 2],
}

#[inline(always)]
fn centred<S: Simd, const V: usize, const P: u32>(
    lanes: Lanes<S, V>,
    scale: [S::f32s; V],
    zero: u32,
) -> Centred<[S::f32s; V]> {
    let zeros = [
        lanes.splat(f32::from_bits(TWO_23 | zero << P)),
        lanes.splat(f32::from_bits(TWO_23 | zero << (P + 8))),
    ];
    Centred {
        scales: [lanes.shrink(scale, P), lanes.shrink(scale, P + 8)],
        zeros,
    }
}

/// Hands the number of the code that stands in `words` at place `i` to `sink`.
#[inline(always)]
fn take_centred<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    words: [S::u32s; V],
    by: Centred<[S::f32s; V]>,
    i: usize,
    sink: &mut impl Sink<S, V>,
) {
    let code = lanes.sub(lanes.float(words), by.zeros[i]);
    sink.take(lanes, lanes.mul(code, by.scales[i]));
}

/// Takes numbers whose codes are in the bits of `mask` and eight bits above, of both halves of words.
#[inline(always)]
fn take_words<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    mut word: [S::u32s; V],
    mask: u32,
    by: Centred<[S::f32s; V]>,
    sink: &mut impl Sink<S, V>,
) {
    for _ in 0..2 {
        take_centred(lanes, lanes.and(word, mask), by, 0, sink);
        take_centred(lanes, lanes.and(word, mask << 8), by, 1, sink);
        word = lanes.right(word, 16);
    }
}

#[inline(always)]
pub(super) fn q4_0<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    block: Block<'_, [S::f32s; V]>,
    sink: &mut impl Sink<S, V>,
) {
    // Numbers 0 to 15 are the low halves of the bytes, 16 to 31 the high ones; codes 0 to 15 stand
    // for -8 to 7.
    let low = centred::<S, V, 0>(lanes, block.scale, 8);
    for line in block.words {
        take_words(lanes, lanes.load(line), 15, low, sink);
    }
    let high = centred::<S, V, 4>(lanes, block.scale, 8);
    for line in block.words {
        take_words(lanes, lanes.load(line), 15 << 4, high, sink);
    }
}

#[inline(always)]
pub(super) fn q8_0<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    block: Block<'_, [S::f32s; V]>,
    sink: &mut impl Sink<S, V>,
) {
    let by = centred::<S, V, 0>(lanes, block.scale, 128);
    for line in block.words {
        // With the sign turned, -128 to 127 are 0 to 255.
        let word = lanes.xor(lanes.load(line), 0x8080_8080);
        take_words(lanes, word, 255, by, sink);
    }
}

/// Returns scale and offset of the `part`-th 32 numbers of a block whose words 1 to 3 are twelve bytes
/// of eight pairs of 6 bits.
#[inline(always)]
fn scales<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    block: Block<'_, [S::f32s; V]>,
    part: usize,
) -> ([S::f32s; V], [S::f32s; V]) {
    let words = block.words;
    let (scale, offset) = if part < 4 {
        let (low, high) = (byte(lanes, words, part), byte(lanes, words, part + 4));
        (lanes.integer(low, 63), lanes.integer(high, 63))
    } else {
        // Four of the six bits here, the upper two on top of the bytes of parts 0 to 3, as
        // `get_scale_min_k4` of llama.cpp finds them.
        let low = byte(lanes, words, part + 4);
        let high = lanes.and(lanes.right(byte(lanes, words, part - 4), 2), 0x30);
        let high_least = lanes.and(lanes.right(byte(lanes, words, part), 2), 0x30);
        let scale = lanes.or(lanes.and(low, 15), high);
        let offset = lanes.or(lanes.and(lanes.right(low, 4), 15), high_least);
        (lanes.integer(scale, 63), lanes.integer(offset, 63))
    };
    (
        lanes.mul(block.scale, scale),
        lanes.mul(block.offset, offset),
    )
}

/// Returns byte `i` of the scales in the lowest bits, with others above it.
#[inline(always)]
fn byte<S: Simd, const V: usize>(lanes: Lanes<S, V>, words: &[Line], i: usize) -> [S::u32s; V] {
    lanes.right(lanes.load(&words[1 + i / 4]), 8 * (i % 4) as u32)
}

#[inline(always)]
pub(super) fn q4_k<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    block: Block<'_, [S::f32s; V]>,
    part: usize,
    sink: &mut impl Sink<S, V>,
) {
    let by = scales(lanes, block, part);
    // 32 bytes hold two parts, one in their low halves and one in their high ones.
    let codes = &block.words[4 + part / 2 * 8..][..8];
    match part % 2 {
        0 => nibbles::<S, V, 0>(lanes, codes, by, sink),
        _ => nibbles::<S, V, 4>(lanes, codes, by, sink),
    }
}

#[inline(always)]
fn nibbles<S: Simd, const V: usize, const P: u32>(
    lanes: Lanes<S, V>,
    codes: &[Line],
    by: ([S::f32s; V], [S::f32s; V]),
    sink: &mut impl Sink<S, V>,
) {
    let by = with_offset::<S, V, P>(lanes, by);
    for line in codes {
        let mut word = lanes.load(line);
        for _ in 0..2 {
            take_with_offset(lanes, lanes.and(word, 15 << P), by, 0, sink);
            take_with_offset(lanes, lanes.and(word, 15 << (P + 8)), by, 1, sink);
            word = lanes.right(word, 16);
        }
    }
}

#[inline(always)]
pub(super) fn q5_k<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    block: Block<'_, [S::f32s; V]>,
    part: usize,
    sink: &mut impl Sink<S, V>,
) {
    let by = scales(lanes, block, part);
    // The fifth bits of all parts stand in the same 32 bytes: bit `part` is this one's.
    let codes = (&block.words[12 + part / 2 * 8..][..8], &block.words[4..12]);
    match part % 2 {
        0 => fives::<S, V, 0>(lanes, codes, by, part as u32, sink),
        _ => fives::<S, V, 4>(lanes, codes, by, part as u32, sink),
    }
}

#[inline(always)]
fn fives<S: Simd, const V: usize, const P: u32>(
    lanes: Lanes<S, V>,
    (codes, fifths): (&[Line], &[Line]),
    by: ([S::f32s; V], [S::f32s; V]),
    bit: u32,
    sink: &mut impl Sink<S, V>,
) {
    let by = with_offset::<S, V, P>(lanes, by);
    for (line, fifth) in codes.iter().zip(fifths) {
        let (mut word, mut fifth) = (lanes.load(line), lanes.load(fifth));
        for _ in 0..2 {
            // From bit `bit` of their bytes to the one above the codes.
            let above = lanes.right(lanes.left(lanes.and(fifth, 0xffff), 8), bit + 4 - P);
            for i in 0..2 {
                let place = P + 8 * i as u32;
                let code = lanes.and(word, 15 << place);
                let code = lanes.or(code, lanes.and(above, 16 << place));
                take_with_offset(lanes, code, by, i, sink);
            }
            (word, fifth) = (lanes.right(word, 16), lanes.right(fifth, 16));
        }
    }
}

#[inline(always)]
pub(super) fn q6_k<S: Simd, const V: usize>(
    lanes: Lanes<S, V>,
    block: Block<'_, [S::f32s; V]>,
    part: usize,
    sink: &mut impl Sink<S, V>,
) {
    // Halves of 128 numbers; in each the low bits of 32 and of 32 more, then the high ones.
    let (half, quarter) = (part / 4, part % 4);
    let low = &block.words[16 * half + quarter % 2 * 8..][..8];
    let high = &block.words[32 + 8 * half..][..8];
    // A scale for each 16 numbers.
    for i in 0..2 {
        let at = 8 * half + 2 * quarter + i;
        let bytes = lanes.right(lanes.load(&block.words[48 + at / 4]), 8 * (at % 4) as u32);
        // With the sign turned, -128 to 127 are 0 to 255.
        let own = lanes.integer(lanes.xor(bytes, 0x80), 0xff);
        let scale = lanes.mul(block.scale, lanes.sub(own, lanes.splat(128.0)));
        let codes = (&low[4 * i..][..4], &high[4 * i..][..4]);
        match quarter / 2 {
            0 => sixes::<S, V, 0>(lanes, codes, scale, 2 * quarter as u32, sink),
            _ => sixes::<S, V, 4>(lanes, codes, scale, 2 * quarter as u32, sink),
        }
    }
}

#[inline(always)]
fn sixes<S: Simd, const V: usize, const P: u32>(
    lanes: Lanes<S, V>,
    (low, high): (&[Line], &[Line]),
    scale: [S::f32s; V],
    bit: u32,
    sink: &mut impl Sink<S, V>,
) {
    // Codes 0 to 63 stand for -32 to 31.
    let by = centred::<S, V, P>(lanes, scale, 32);
    for (low, high) in low.iter().zip(high) {
        let (mut low, mut high) = (lanes.load(low), lanes.load(high));
        for _ in 0..2 {
            // From bit `bit` of their bytes to the one above the low bits.
            let above = lanes.right(lanes.left(lanes.and(high, 0xffff), 8), bit + 4 - P);
            for i in 0..2 {
                let place = P + 8 * i as u32;
                let code = lanes.and(low, 15 << place);
                let code = lanes.or(code, lanes.and(above, 48 << place));
                take_centred(lanes, code, by, i, sink);
            }
            (low, high) = (lanes.right(low, 16), lanes.right(high, 16));
        }
    }
}
