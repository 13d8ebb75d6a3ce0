//! Interpolation kernels and the weights that are made of them.

use serde::Deserialize;

/// The interpolation kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Filter {
    /// Three lobes.
    Lanczos,
    /// Triangle.
    Bilinear,
    /// Keys' cubic with a = -0.5.
    Bicubic,
}

impl Filter {
    /// Returns the filter of Pillow's number, which `resample` of a processor configuration holds.
    pub fn from_pillow(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Lanczos),
            2 => Some(Self::Bilinear),
            3 => Some(Self::Bicubic),
            _ => None,
        }
    }

    pub(super) fn support(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    pub(super) fn at(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            // -0.5 is Pillow's, and torch's where it antialiases; without that torch takes -0.75.
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI)
    }
}

/// The input pixels that one output pixel reads.
pub(super) struct Window {
    pub(super) first: usize,
    end: usize,
    centre: f64,
}

impl Window {
    /// Returns the distances of the pixels' middles from that of the output pixel, in input pixels.
    pub(super) fn offsets(&self) -> impl Iterator<Item = f64> {
        // The middle of a pixel is half a pixel behind where it begins.
        (self.first..self.end).map(|x| x as f64 - self.centre + 0.5)
    }
}

/// Returns the windows of all output pixels, which are the same in both libraries.
pub(super) fn windows(from: usize, to: usize, filter: Filter) -> impl Iterator<Item = Window> {
    let scale = from as f64 / to as f64;
    // When enlarging the kernel keeps its width; when shrinking it is as wide as what becomes one
    // pixel (antialias).
    let support = filter.support() * scale.max(1.0);
    (0..to).map(move |i| {
        let centre = (i as f64 + 0.5) * scale;
        // Truncated after the half was added, as C's cast does: rounding would take another first
        // pixel at ties.
        let first = (centre - support + 0.5).max(0.0) as usize;
        Window {
            first,
            end: ((centre + support + 0.5) as usize).min(from),
            centre,
        }
    })
}

/// Weights of one pass, in fixed point.
pub(super) struct WeightTable {
    /// Fractional bits.
    pub(super) bits: u32,
    /// The first input pixel of each output pixel, and the weights of that and the following ones.
    pub(super) weights: Vec<(usize, Vec<i64>)>,
}

impl WeightTable {
    /// Returns one half, in fixed point.
    pub(super) fn half(&self) -> i64 {
        (1 << self.bits) >> 1
    }

    pub(super) fn clip(&self, sum: i64) -> u8 {
        // The negative lobes of cubic and Lanczos overshoot at edges; both libraries cut that off.
        (sum >> self.bits).clamp(0, 255) as u8
    }
}

/// Rounds a weight to fixed point with `bits` fractional bits, halves away from zero.
pub(super) fn fixed(weight: f64, bits: u32) -> i64 {
    let scaled = weight * f64::from(1u32 << bits);
    (scaled + 0.5_f64.copysign(scaled)) as i64
}
