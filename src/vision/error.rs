//! The error of pictures.

/// An error of a picture, or of the settings of its processing.
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
    /// An edge longer than the limit.
    #[error("the picture has {width} x {height} pixels; edges of up to {limit} pixels are read")]
    EdgeTooLong {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pixels of an edge.
        limit: u32,
    },
    /// A picture whose long edge becomes longer than the limit when the short one is enlarged.
    #[error(
        "the picture of {width} x {height} pixels has an edge of {edge} pixels after resizing; up \
         to {limit} are supported"
    )]
    TooThin {
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
        /// Pixels of the long edge after resizing.
        edge: usize,
        /// Pixels of an edge.
        limit: u32,
    },
    /// A picture that is padded to a square of more pixels than the limit.
    #[error(
        "the picture of {width} x {height} pixels is padded to {side} x {side}, the limit is \
         {limit} pixels"
    )]
    SquareTooLarge {
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
        /// Pixels of the square's side.
        side: usize,
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
