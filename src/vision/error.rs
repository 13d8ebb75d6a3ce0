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
