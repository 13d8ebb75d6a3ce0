//! Finds the instruction set at run time, reads numbers of any width as f32, and computes `exp` and
//! `tanh`.
//!
//! Every kernel computes one value by one fixed chain of operations, whatever shares the call and
//! however wide the vectors are. Row invariance rests on that, and so does agreement between
//! machines.

use half::bf16;
use half::slice::HalfFloatSliceExt;
use pulp::NullaryFnOnce;
use rayon::prelude::*;

/// Multiply-adds below which waking another thread costs more than it saves.
pub(in crate::nn) const MIN_PARALLEL: usize = 1 << 17;

/// Runs `work`, compiled for the best instruction set of this machine.
pub(in crate::nn) fn run<W: pulp::WithSimd>(work: W) -> W::Output {
    // Detected once: every call of a kernel comes here.
    static ARCH: std::sync::OnceLock<pulp::Arch> = std::sync::OnceLock::new();
    ARCH.get_or_init(pulp::Arch::new).dispatch(work)
}

/// Returns the bytes of a core's second cache, where the processor tells.
#[cfg(target_arch = "x86_64")]
pub(super) fn second_cache() -> Option<usize> {
    let mut caches = raw_cpuid::CpuId::new().get_cache_parameters()?;
    let second = caches.find(|cache| cache.level() == 2)?;
    let ways = second.associativity() * second.physical_line_partitions();
    Some(ways * second.coherency_line_size() * second.sets())
}

/// Returns nothing: only x86 tells.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn second_cache() -> Option<usize> {
    None
}

/// Numbers of a contiguous tensor, in its own width.
#[derive(Clone, Copy)]
pub(in crate::nn) enum Numbers<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    F16(&'a [half::f16]),
}

impl Numbers<'_> {
    /// Returns how many there are.
    pub(in crate::nn) fn len(self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::F16(values) => values.len(),
        }
    }

    /// Reads `from..from + out.len()` as f32.
    pub(in crate::nn) fn read(self, from: usize, out: &mut [f32]) {
        match self {
            Self::F32(values) => out.copy_from_slice(&values[from..from + out.len()]),
            Self::Bf16(values) => run(Widen(&values[from..from + out.len()], out)),
            Self::F16(values) => values[from..from + out.len()].convert_to_f32_slice(out),
        }
    }
}

/// Widens bf16.
struct Widen<'a>(&'a [bf16], &'a mut [f32]);

impl NullaryFnOnce for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (out, x) in self.1.iter_mut().zip(self.0) {
            // A bf16 is the upper half of an f32.
            *out = f32::from_bits(u32::from(x.to_bits()) << 16);
        }
    }
}

/// Rounds to bf16, as [`bf16::from_f32`] does one by one.
struct Round<'a>(&'a [f32], &'a mut [bf16]);

impl NullaryFnOnce for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (out, x) in self.1.iter_mut().zip(self.0) {
            let bits = x.to_bits();
            // To the nearest, to even between two; a NaN must not be rounded up to infinity.
            let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
            let quiet = bits >> 16 | 0x40;
            let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
            *out = bf16::from_bits(if is_nan { quiet } else { rounded } as u16);
        }
    }
}

/// Numbers that one thread converts at a time.
const CONVERTED: usize = 1 << 14;

/// Returns bf16 as f32, in parallel.
pub(in crate::nn) fn widened(values: &[bf16]) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    let parts = out.par_chunks_mut(CONVERTED);
    let parts = parts.zip(values.par_chunks(CONVERTED));
    parts.for_each(|(out, values)| run(Widen(values, out)));
    out
}

/// Rounds f32 to bf16, in parallel.
pub(in crate::nn) fn rounded(values: &[f32]) -> Vec<bf16> {
    let mut out = vec![bf16::ZERO; values.len()];
    let parts = out.par_chunks_mut(CONVERTED);
    let parts = parts.zip(values.par_chunks(CONVERTED));
    parts.for_each(|(out, values)| run(Round(values, out)));
    out
}

/// Computes `e^x` within 2 units in the last place; 0 below -87.3, and `e^88.3` above 88.3. After
/// Cephes: `2^n e^r` with `|r| <= ln 2 / 2`.
#[inline(always)]
pub(in crate::nn) fn exp(x: f32) -> f32 {
    // Beyond these 2^n below is no normal number: its exponent would run into the sign.
    const LEAST: f32 = -87.3;
    const MOST: f32 = 88.3;
    /// 1.5 * 2^23: adding it rounds to an integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // Comparisons, not `min` and `max`, which would replace a NaN by the bound.
    let y = if x < LEAST { LEAST } else { x };
    let y = if y > MOST { MOST } else { y };
    let shifted = y.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts (Cody and Waite): the product of n and the first one is exact.
    let r = n.mul_add(-0.693_359_4, y);
    let r = n.mul_add(2.121_944_4e-4, r);
    // Cephes' polynomial for (e^r - 1 - r) / r^2.
    let p = 1.987_569_1e-4_f32;
    let p = p.mul_add(r, 1.398_2e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r * r, r) + 1.0;
    // 2^n: n stands in the low bits of the shifted number, and goes into the exponent.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < LEAST { 0.0 } else { p * scale }
}

/// Computes `tanh(x)` within 3 units in the last place. After Cephes: a polynomial near 0,
/// `1 - 2 / (e^(2 |x|) + 1)` elsewhere.
#[inline(always)]
pub(in crate::nn) fn tanh(x: f32) -> f32 {
    let (size, z) = (x.abs(), x * x);
    let p = (-5.704_988_7e-3_f32).mul_add(z, 2.063_908_8e-2);
    let p = p.mul_add(z, -5.373_971_6e-2);
    let p = p.mul_add(z, 1.333_144_2e-1);
    let p = p.mul_add(z, -3.333_328e-1);
    let near = (p * z).mul_add(x, x);
    // Near 0 this would cancel: the polynomial takes over below.
    let far = (1.0 - 2.0 / (exp(2.0 * size) + 1.0)).copysign(x);
    // Cephes' border between the two.
    if size < 0.625 { near } else { far }
}

/// A function of the values at the same index of `N` tensors.
pub(in crate::nn) trait Pointwise<const N: usize>: Copy + Send + Sync {
    /// Returns the value; implementations must be inlined.
    fn at(self, x: [f32; N]) -> f32;
}

/// Sets each of `out` to `f` of the values at its index, in parallel.
pub(in crate::nn) fn map<const N: usize>(
    inputs: [&[f32]; N],
    out: &mut [f32],
    f: impl Pointwise<N>,
) {
    struct Chunk<'a, const N: usize, F> {
        inputs: [&'a [f32]; N],
        out: &'a mut [f32],
        f: F,
    }
    impl<const N: usize, F: Pointwise<N>> NullaryFnOnce for Chunk<'_, N, F> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            // Equal lengths, so that the bounds checks leave the loop.
            let inputs = self.inputs.map(|i| &i[..self.out.len()]);
            for (i, out) in self.out.iter_mut().enumerate() {
                *out = self.f.at(inputs.map(|x| x[i]));
            }
        }
    }
    // A value is taken for 16 multiply-adds.
    let chunk = if out.len() * 16 < MIN_PARALLEL {
        out.len().max(1)
    } else {
        4096
    };
    out.par_chunks_mut(chunk).enumerate().for_each(|(i, out)| {
        let inputs = inputs.map(|x| &x[i * chunk..]);
        run(Chunk { inputs, out, f });
    });
}

#[cfg(test)]
mod tests {
    use half::bf16;

    #[test]
    fn bf16_is_rounded_and_widened_as_half_does() {
        let every = (0..=u32::from(u16::MAX)).flat_map(|high| {
            [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff].map(|low| f32::from_bits(high << 16 | low))
        });
        let every: Vec<f32> = every.collect();
        let rounded = super::rounded(&every);
        for (x, rounded) in every.iter().zip(&rounded) {
            assert_eq!(bf16::from_f32(*x).to_bits(), rounded.to_bits(), "{x}");
        }
        for (half, wide) in rounded.iter().zip(super::widened(&rounded)) {
            assert!(half.to_f32().to_bits() == wide.to_bits(), "{half}");
        }
    }

    #[test]
    fn tanh_is_exact_to_the_last_places() {
        for i in -4000..=4000 {
            let x = i as f32 / 400.0;
            let exact = f64::from(x).tanh();
            assert!(
                (f64::from(super::tanh(x)) - exact).abs() <= 3.6e-7 * exact.abs(),
                "{x}"
            );
        }
        assert_eq!(super::tanh(1000.0), 1.0);
        assert_eq!(super::tanh(f32::NEG_INFINITY), -1.0);
        assert!(super::tanh(f32::NAN).is_nan());
    }

    #[test]
    fn exp_is_exact_to_the_last_places() {
        for i in -870..=880 {
            let x = i as f32 / 10.0;
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(super::exp(x)) / exact - 1.0).abs() < 2.4e-7,
                "{x}"
            );
        }
        assert_eq!(super::exp(f32::NEG_INFINITY).to_bits(), 0);
        assert_eq!(super::exp(0.0).to_bits(), 1f32.to_bits());
        assert!(super::exp(f32::NAN).is_nan());
    }
}
