//! Resizing to the bit as Pillow and torchvision do: two passes, each rounded and clipped to 8
//! bits, with weights in fixed point.
//!
//! Libraries that skip the rounding between the passes differ by up to 27 levels when enlarging;
//! the two here differ in the order of the passes and in how many bits a weight has.

mod pillow;
mod torchvision;

use serde::Deserialize;

use super::{ProcessorBackend, Rgb};

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
    /// Pillow's number, as `resample` of a processor configuration holds it.
    pub fn from_pillow(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Lanczos),
            2 => Some(Self::Bilinear),
            3 => Some(Self::Bicubic),
            _ => None,
        }
    }

    fn support(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
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
struct Window {
    first: usize,
    end: usize,
    centre: f64,
}

impl Window {
    /// Distances of the pixels' middles to that of the output pixel, in input pixels.
    fn offsets(&self) -> impl Iterator<Item = f64> {
        (self.first..self.end).map(|x| x as f64 - self.centre + 0.5)
    }
}

/// The windows of all output pixels, which both libraries cut alike.
fn windows(from: usize, to: usize, filter: Filter) -> impl Iterator<Item = Window> {
    let scale = from as f64 / to as f64;
    let support = filter.support() * scale.max(1.0);
    (0..to).map(move |i| {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        Window {
            first,
            end: ((centre + support + 0.5) as usize).min(from),
            centre,
        }
    })
}

/// Weights of one pass, in fixed point.
struct Table {
    /// Fractional bits.
    bits: u32,
    /// For each output pixel the first input pixel, and the weights of that and the following ones.
    weights: Vec<(usize, Vec<i64>)>,
}

impl Table {
    fn of(backend: ProcessorBackend, from: usize, to: usize, filter: Filter) -> Self {
        match backend {
            ProcessorBackend::Pillow | ProcessorBackend::Pillow12 => {
                pillow::table(from, to, filter)
            }
            ProcessorBackend::Torchvision => torchvision::table(from, to, filter),
        }
    }

    /// One half, in fixed point.
    fn half(&self) -> i64 {
        (1 << self.bits) >> 1
    }

    fn clip(&self, sum: i64) -> u8 {
        (sum >> self.bits).clamp(0, 255) as u8
    }
}

/// Resizes `picture` to `width` x `height`, both at least 1, to the bit as `backend` does.
pub fn resize(
    picture: &Rgb,
    (width, height): (usize, usize),
    filter: Filter,
    backend: ProcessorBackend,
) -> Rgb {
    let table = |from: usize, to: usize| (from != to).then(|| Table::of(backend, from, to, filter));
    let (across, down) = (table(picture.width, width), table(picture.height, height));
    if height_first(picture, (width, height), backend) {
        across_to(&down_to(picture, down.as_ref()), across.as_ref())
    } else {
        down_to(&across_to(picture, across.as_ref()), down.as_ref())
    }
}

/// Returns which pass saves work by coming first; the rounding between the passes tells the two
/// orders apart.
fn height_first(picture: &Rgb, (width, height): (usize, usize), backend: ProcessorBackend) -> bool {
    let across = picture.width as i64 - width as i64;
    let down = picture.height as i64 - height as i64;
    match backend {
        ProcessorBackend::Pillow => down > 0 && down > 2 * across,
        // For very tall pictures alone.
        ProcessorBackend::Pillow12 => down > 0 && picture.height > 100 * picture.width,
        ProcessorBackend::Torchvision => false,
    }
}

fn across_to(picture: &Rgb, table: Option<&Table>) -> Rgb {
    let Some(table) = table else {
        return picture.clone();
    };
    let width = table.weights.len();
    let mut data = Vec::with_capacity(3 * width * picture.height);
    for row in picture.data.chunks_exact(3 * picture.width) {
        for (first, weights) in &table.weights {
            for channel in 0..3 {
                let pixels = row[3 * first..].iter().skip(channel).step_by(3);
                let sum: i64 = weights
                    .iter()
                    .zip(pixels)
                    .map(|(w, &p)| w * i64::from(p))
                    .sum();
                data.push(table.clip(sum + table.half()));
            }
        }
    }
    Rgb {
        width,
        height: picture.height,
        data,
    }
}

fn down_to(picture: &Rgb, table: Option<&Table>) -> Rgb {
    let Some(table) = table else {
        return picture.clone();
    };
    let (height, stride) = (table.weights.len(), 3 * picture.width);
    let mut data = Vec::with_capacity(stride * height);
    let mut sums = vec![0i64; stride];
    for (first, weights) in &table.weights {
        sums.fill(table.half());
        for (row, weight) in picture.data.chunks_exact(stride).skip(*first).zip(weights) {
            for (sum, &pixel) in sums.iter_mut().zip(row) {
                *sum += weight * i64::from(pixel);
            }
        }
        data.extend(sums.iter().map(|&s| table.clip(s)));
    }
    Rgb {
        width: picture.width,
        height,
        data,
    }
}
