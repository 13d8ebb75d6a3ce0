//! Sixteen lanes, in vectors of whatever width: integers out of words, and the floats that they make.

use pulp::Simd;

use crate::nn::cpu::tiles::PANEL;

/// A word of the blocks of a panel's outputs: four bytes of each.
pub(super) type Line = [u32; PANEL];
/// One input of each of a panel's outputs.
pub(super) type Values = [f32; PANEL];

/// Sixteen lanes, one for each output of a panel, in `V` vectors.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S, const V: usize>(pub(super) S);

/// The bits of a float of 2^23, into whose significand codes are put.
pub(super) const TWO_23: u32 = 0x4b00_0000;

// Loops, not iterators with closures: these may become functions of their own, without the
// instruction set around them.
impl<S: Simd, const V: usize> Lanes<S, V> {
    #[inline(always)]
    pub(super) fn load(self, line: &Line) -> [S::u32s; V] {
        let mut words = [self.0.splat_u32s(0); V];
        words.copy_from_slice(S::as_simd_u32s(line).0);
        words
    }

    #[inline(always)]
    pub(super) fn splat(self, value: f32) -> [S::f32s; V] {
        [self.0.splat_f32s(value); V]
    }

    #[inline(always)]
    pub(super) fn right(self, mut words: [S::u32s; V], by: u32) -> [S::u32s; V] {
        for word in &mut words {
            *word = self.0.wrapping_dyn_shr_u32s(*word, self.0.splat_u32s(by));
        }
        words
    }

    #[inline(always)]
    pub(super) fn left(self, mut words: [S::u32s; V], by: u32) -> [S::u32s; V] {
        for word in &mut words {
            *word = self.0.wrapping_dyn_shl_u32s(*word, self.0.splat_u32s(by));
        }
        words
    }

    #[inline(always)]
    pub(super) fn and(self, mut words: [S::u32s; V], mask: u32) -> [S::u32s; V] {
        for word in &mut words {
            *word = self.0.and_u32s(*word, self.0.splat_u32s(mask));
        }
        words
    }

    #[inline(always)]
    pub(super) fn or(self, mut words: [S::u32s; V], others: [S::u32s; V]) -> [S::u32s; V] {
        for v in 0..V {
            words[v] = self.0.or_u32s(words[v], others[v]);
        }
        words
    }

    #[inline(always)]
    pub(super) fn sub(self, mut a: [S::f32s; V], b: [S::f32s; V]) -> [S::f32s; V] {
        for v in 0..V {
            a[v] = self.0.sub_f32s(a[v], b[v]);
        }
        a
    }

    #[inline(always)]
    pub(super) fn mul(self, mut a: [S::f32s; V], b: [S::f32s; V]) -> [S::f32s; V] {
        for v in 0..V {
            a[v] = self.0.mul_f32s(a[v], b[v]);
        }
        a
    }

    /// Computes `a b + c`, rounded once.
    #[inline(always)]
    pub(super) fn mul_add(
        self,
        mut a: [S::f32s; V],
        b: [S::f32s; V],
        c: [S::f32s; V],
    ) -> [S::f32s; V] {
        for v in 0..V {
            a[v] = self.0.mul_add_f32s(a[v], b[v], c[v]);
        }
        a
    }

    /// Returns 2^23 and the code of at most 23 bits that is in `words`, and nothing else.
    #[inline(always)]
    pub(super) fn float(self, words: [S::u32s; V]) -> [S::f32s; V] {
        let mut floats = self.splat(0.0);
        for v in 0..V {
            let bits = self.0.or_u32s(words[v], self.0.splat_u32s(TWO_23));
            floats[v] = self.0.transmute_f32s_u32s(bits);
        }
        floats
    }

    /// Returns the integer in the low bits of `words`, of at most 23 bits.
    #[inline(always)]
    pub(super) fn integer(self, words: [S::u32s; V], mask: u32) -> [S::f32s; V] {
        let two_23 = self.splat(f32::from_bits(TWO_23));
        self.sub(self.float(self.and(words, mask)), two_23)
    }

    /// Reads the f16 in the low half of each word; infinity becomes NaN, too.
    #[inline(always)]
    pub(super) fn half(self, words: [S::u32s; V]) -> [S::f32s; V] {
        /// What the exponent of an f32 has more than that of an f16.
        const MORE: u32 = 112 << 23;
        /// Stands before a significand that has no leading one: 2^-14.
        const LEAST: u32 = 113 << 23;
        let simd = self.0;
        // Significand and exponent to the places of those of an f32.
        let sizes = self.left(self.and(words, 0x7fff), 13);
        let signs = self.left(self.and(words, 0x8000), 16);
        let mut floats = self.splat(0.0);
        for v in 0..V {
            let normal = simd.add_u32s(sizes[v], simd.splat_u32s(MORE));
            // Never as the subnormal f32 that it would be by itself: processors take a hundred times
            // as long over those, and scales are as small as that.
            let small = simd.transmute_f32s_u32s(simd.add_u32s(sizes[v], simd.splat_u32s(LEAST)));
            let small = simd.sub_f32s(small, simd.splat_f32s(f32::from_bits(LEAST)));
            let is_small = simd.less_than_u32s(sizes[v], simd.splat_u32s(1 << 23));
            let bits = simd.select_u32s(is_small, simd.transmute_u32s_f32s(small), normal);
            // The highest exponent is that of what is no number.
            let is_finite = simd.less_than_u32s(sizes[v], simd.splat_u32s(31 << 23));
            let nan = simd.splat_u32s(f32::NAN.to_bits());
            let bits = simd.select_u32s(is_finite, simd.or_u32s(bits, signs[v]), nan);
            floats[v] = simd.transmute_f32s_u32s(bits);
        }
        floats
    }

    /// Divides by 2^`place`.
    #[inline(always)]
    pub(super) fn shrink(self, scale: [S::f32s; V], place: u32) -> [S::f32s; V] {
        self.mul(scale, self.splat(f32::from_bits((127 - place) << 23)))
    }

    #[inline(always)]
    pub(super) fn xor(self, mut words: [S::u32s; V], mask: u32) -> [S::u32s; V] {
        for word in &mut words {
            *word = self.0.xor_u32s(*word, self.0.splat_u32s(mask));
        }
        words
    }
}
