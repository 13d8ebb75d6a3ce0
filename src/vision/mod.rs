//! Pictures: from the bytes of a file to the tensor that the tower sees.
//!
//! bytes -> [`decode`] -> [`Rgb`] -> [`Processor::picture`] (resize, crop or tile: what the model
//! sees) -> image interventions -> [`Processor::normalise`] -> `(3, H, W)` for each view. It agrees
//! with Hugging Face's processors, Pillow's and torchvision's, to the last bit; it must not know
//! which model asks.

mod anyres;
mod decode;
mod paint;
mod picture;
mod processor;
mod resize;

pub use anyres::{Size, best_canvas, fitted};
pub use decode::decode;
pub use paint::{Grid, blur, encode_png};
pub use picture::{Area, Canvas, Picture, View};
pub use processor::{Aspect, Processor, ProcessorBackend, Tiling};
pub use resize::{Filter, resize};

/// What can be wrong with a picture or the settings of its processing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No known form of picture.
    #[error("not a picture; JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, PGM, PBM and JPEG 2000 are read")]
    Format,
    /// A form of picture that is known and not read.
    #[error("{0} is not read; JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, PGM, PBM and JPEG 2000 are")]
    Unsupported(&'static str),
    /// The file is damaged.
    #[error("the picture cannot be decoded: {0}")]
    Damaged(String),
    /// More pixels than the limit.
    #[error("the picture has {width} x {height} pixels, the limit is {limit} pixels")]
    TooLarge {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pixels in all.
        limit: u64,
    },
    /// No pixels at all, or a shape that shrinks to none.
    #[error("the picture of {width} x {height} pixels leaves nothing after resizing")]
    Empty {
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
    },
    /// A setting of the image processor that is not understood.
    #[error("image processor: {0}")]
    Setting(String),
}

/// 8-bit RGB, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub data: Vec<u8>,
}

impl Rgb {
    /// One colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self {
            width,
            height,
            data: colour.repeat(width * height),
        }
    }

    /// Copies `other` in with its corner at (`x`, `y`); what stands out is cut off.
    pub fn paste(&mut self, other: &Self, x: isize, y: isize) {
        let columns = |width: usize| {
            (0..width as isize).filter(|c| (0..self.width as isize).contains(&(c + x)))
        };
        let (Some(first), Some(last)) = (
            columns(other.width).next(),
            columns(other.width).next_back(),
        ) else {
            return;
        };
        let length = 3 * (last - first + 1) as usize;
        for row in 0..other.height {
            let target = row as isize + y;
            if (0..self.height as isize).contains(&target) {
                let to = 3 * (target as usize * self.width + (first + x) as usize);
                let from = 3 * (row * other.width + first as usize);
                self.data[to..to + length].copy_from_slice(&other.data[from..from + length]);
            }
        }
    }
}
