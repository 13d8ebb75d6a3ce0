//! Products of bf16 by `vdpbf16ps`, where the processor has it.
//!
//! The instruction adds the product of the upper halves of a pair, and then that of the lower ones,
//! each by a fused multiply-add: with the first input in the upper half that is the chain that
//! [`tiles`](super::tiles) computes step by step. It takes numbers below the smallest normal one
//! (1.2e-38) as 0, inputs and sums alike, and nothing else differs. That is looked at once, on
//! sums whose bits show any other order or rounding; a processor that fails does without, and so do
//! Intel's, which are faster with multiply-adds.

#![allow(
    unsafe_code,
    reason = "intrinsics of one instruction set; callers look for it first"
)]

use std::arch::x86_64::{
    __m512, __m512bh, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::sync::OnceLock;

use raw_cpuid::CpuId;

use super::tiles::{Kernel, PANEL, PLACES, Tiles};

/// Multiplies, if the processor can.
pub(super) fn multiply(tiles: Tiles<'_, u32, [u32; PANEL]>) {
    assert!(is_exact());
    // SAFETY: the processor has what the function is compiled for.
    unsafe { walk(tiles) }
}

/// Reports whether the processor has the instruction, with the arithmetic that is expected of it,
/// and is the faster for it.
pub(super) fn is_served() -> bool {
    static PAYS: OnceLock<bool> = OnceLock::new();
    // Intel's begin one in about two cycles, in which they do four fused multiply-adds, each half as
    // much: 83 GFLOP/s on a core where those give 140. AMD's have it at twice the rate of theirs.
    let pays = || {
        CpuId::new()
            .get_vendor_info()
            .is_none_or(|v| v.as_str() != "GenuineIntel")
    };
    *PAYS.get_or_init(pays) && is_exact()
}

/// Reports whether the processor has the instruction, with the arithmetic that is expected of it.
fn is_exact() -> bool {
    static EXACT: OnceLock<bool> = OnceLock::new();
    *EXACT.get_or_init(|| {
        let detected = std::arch::is_x86_feature_detected!("avx512bf16")
            && std::arch::is_x86_feature_detected!("avx512f");
        // SAFETY: the processor has what the function is compiled for.
        detected && unsafe { adds_in_order() }
    })
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn walk(tiles: Tiles<'_, u32, [u32; PANEL]>) {
    tiles.walk(Dot);
}

/// Compares sums of pairs with two fused multiply-adds.
#[target_feature(enable = "avx512f,avx512bf16")]
fn adds_in_order() -> bool {
    let widen = |pair: u32| [pair & 0xffff_0000, pair << 16].map(f32::from_bits);
    let mut state = 1u32;
    let mut draw = || next_number(&mut state);
    (0..256).all(|_| {
        // Two bf16 in each: the upper halves of two numbers.
        let (a, b) = (
            (draw() & 0xffff_0000) | draw() >> 16,
            (draw() & 0xffff_0000) | draw() >> 16,
        );
        let sum = f32::from_bits(draw());
        let (x, w) = (widen(a), widen(b));
        // The upper half, at index 0, comes first.
        let expected = x[1].mul_add(w[1], x[0].mul_add(w[0], sum));
        let found = lanes(dot(_mm512_set1_ps(sum), [a; PANEL], b));
        found.iter().all(|f| f.to_bits() == expected.to_bits())
    })
}

/// Draws the bits of a number between 1/16 and 16 in size, with all of its significand in use.
fn next_number(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let exponent = 123 + (*state >> 24) % 8;
    (*state & 0x8000_0000) | exponent << 23 | (*state >> 5) & 0x007f_ffff
}

#[inline(always)]
fn dot(sum: __m512, weights: [u32; PANEL], x: u32) -> __m512 {
    // SAFETY: callers are compiled for the instruction; the vectors are 64 bytes of any bits.
    unsafe {
        let weights: __m512bh = std::mem::transmute(_mm512_loadu_si512(weights.as_ptr().cast()));
        let x: __m512bh = std::mem::transmute(_mm512_set1_epi32(x as i32));
        _mm512_dpbf16_ps(sum, weights, x)
    }
}

#[inline(always)]
fn lanes(vector: __m512) -> [f32; PANEL] {
    let mut lanes = [0.0; PANEL];
    // SAFETY: as above; the array has room for the vector.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), vector) };
    lanes
}

/// Pairs of bf16, 16 outputs at a time.
#[derive(Clone, Copy)]
struct Dot;

impl Kernel for Dot {
    type X = u32;
    type Line = [u32; PANEL];
    // 24 sums in 32 registers, as `tiles` has them.
    const TILE: usize = 12;
    const PANELS: usize = 2;

    #[inline(always)]
    fn tile<const M: usize, const P: usize>(
        self,
        x: &[[u32; PLACES]; M],
        panels: [&[[u32; PANEL]]; P],
        y: &mut [f32],
        stride: usize,
    ) {
        let steps = panels[0].len().min(PLACES);
        let mut panels = panels;
        for panel in &mut panels {
            *panel = &panel[..steps];
        }
        let mut weights = [[0; PANEL]; P];
        // SAFETY: as above.
        let mut sums = [[unsafe { _mm512_setzero_ps() }; P]; M];
        for k in 0..steps {
            for p in 0..P {
                weights[p] = panels[p][k];
            }
            for i in 0..M {
                for p in 0..P {
                    sums[i][p] = dot(sums[i][p], weights[p], x[i][k]);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            let total = &mut y[i * stride..][..P * PANEL];
            for (total, sum) in total.as_chunks_mut::<PANEL>().0.iter_mut().zip(sums) {
                // SAFETY: as above; the array is one vector.
                unsafe {
                    let before = _mm512_loadu_ps(total.as_ptr());
                    _mm512_storeu_ps(total.as_mut_ptr(), _mm512_add_ps(before, sum));
                }
            }
        }
    }
}
