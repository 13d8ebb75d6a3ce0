//! Pictures: from the bytes of a file to the tensor that the tower sees.
//!
//! bytes -> [`decode`] -> [`Rgb`] -> [`Processor::picture`] (resize, crop or tile: what the model
//! sees) -> image interventions -> [`Processor::normalise`] -> `(3, H, W)` for each view. The
//! results are those of Hugging Face's processors, Pillow's and torchvision's, to the last bit. The
//! module must not know which model it is for.

mod anyres;
mod decode;
mod error;
mod paint;
mod picture;
mod processor;
mod resize;
mod rgb;

pub use anyres::{Size, best_canvas, best_tiles, fitted};
pub use decode::{count_pixels, decode};
pub use error::Error;
pub use paint::{CellGrid, blur, encode_png};
pub use picture::{Area, Canvas, Picture, View};
pub use processor::{Aspect, Processor, ProcessorBackend, Tiling};
pub use resize::{Filter, bicubic, resize};
pub use rgb::Rgb;

/// Most pixels of a picture, unless somebody says otherwise: 192 MiB as RGB.
pub const MAX_PIXELS: u64 = 64 << 20;
