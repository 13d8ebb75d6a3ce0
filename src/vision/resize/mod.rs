//! Resizing to the bit as Pillow and torchvision do: two passes, each rounded and clipped to 8
//! bits, with weights in fixed point.
//!
//! Libraries that skip the rounding between the passes differ by up to 27 levels when enlarging;
//! the two here differ in the order of the passes and in how many bits a weight has.

mod grid;
mod kernel;
mod pillow;
mod torchvision;

pub use grid::bicubic;
pub use kernel::Filter;

use kernel::WeightTable;

use super::{ProcessorBackend, Rgb};

/// Resizes `picture` to `width` x `height`, both at least 1, to the bit as `backend` does.
pub fn resize(
    picture: &Rgb,
    (width, height): (usize, usize),
    filter: Filter,
    backend: ProcessorBackend,
) -> Rgb {
    let across = table(picture.width, width, filter, backend);
    let down = table(picture.height, height, filter, backend);
    if height_first(picture, (width, height), backend) {
        across_to(&down_to(picture, down.as_ref()), across.as_ref())
    } else {
        down_to(&across_to(picture, across.as_ref()), down.as_ref())
    }
}

/// Returns the weights of one pass; `None` where the size stays.
fn table(from: usize, to: usize, filter: Filter, backend: ProcessorBackend) -> Option<WeightTable> {
    // No pass at all, which is not the same as one that changes nothing: it would be rounded.
    if from == to {
        return None;
    }
    Some(match backend {
        ProcessorBackend::Pillow | ProcessorBackend::Pillow12 => pillow::table(from, to, filter),
        ProcessorBackend::Torchvision => torchvision::table(from, to, filter),
    })
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

fn across_to(picture: &Rgb, table: Option<&WeightTable>) -> Rgb {
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

fn down_to(picture: &Rgb, table: Option<&WeightTable>) -> Rgb {
    let Some(table) = table else {
        return picture.clone();
    };
    let (height, stride) = (table.weights.len(), 3 * picture.width);
    let mut data = Vec::with_capacity(stride * height);
    let mut sums = vec![0i64; stride];
    for (first, weights) in &table.weights {
        // One half first: cutting the fraction off rounds then.
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
