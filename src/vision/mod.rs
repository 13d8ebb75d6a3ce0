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
pub use decode::{decode, size_of};
pub use error::Error;
pub use paint::{CellGrid, blur, encode_png};
pub use picture::{Area, Canvas, Picture, View};
pub use processor::{Aspect, Processor, ProcessorBackend, Tiling};
pub use resize::{Filter, bicubic, resize};
pub use rgb::Rgb;

/// Most pixels of a picture, unless somebody says otherwise: 192 MiB as RGB.
pub const MAX_PIXELS: u64 = 64 << 20;

/// Longest edge of a picture, as it is read and after its short edge was resized: what JPEG (65500
/// pixels), GIF (65535) and WebP (16383) can hold fits. A strip of one pixel by millions does not:
/// resizing it takes 32 bytes of weights for each pixel of its edge.
pub const MAX_EDGE: u32 = 1 << 16;
