//! Limits of decoding, checked before anything is decoded.

use crate::vision::{Error, MAX_EDGE};

/// Limits of one picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Width times height.
    pub(super) pixels: u64,
    /// Pixels that a library may have buffers for.
    pub(super) buffered: u64,
}

impl Budget {
    /// Returns the limits of a picture of so many pixels.
    pub(super) fn of(pixels: u64) -> Self {
        Self {
            pixels,
            buffered: pixels,
        }
    }

    /// Returns limits that refuse every picture once its head has been read.
    pub(super) fn of_head(pixels: u64) -> Self {
        Self {
            pixels: 0,
            ..Self::of(pixels)
        }
    }

    /// Returns the bytes that a library may allocate: its widest pixel, 16-bit RGBA, and as much
    /// again for its own buffers.
    pub(super) fn bytes(self) -> u64 {
        self.buffered.saturating_mul(16).max(1 << 20)
    }

    /// Refuses pictures that are empty or above a limit.
    pub(super) fn check(self, width: u32, height: u32) -> Result<(), Error> {
        if width == 0 || height == 0 {
            return Err(Error::Empty {
                width: width as usize,
                height: height as usize,
            });
        }
        if width.max(height) > MAX_EDGE {
            return Err(Error::EdgeTooLong {
                width,
                height,
                limit: MAX_EDGE,
            });
        }
        // In 64 bits, which the product of two of 32 fits in.
        if u64::from(width) * u64::from(height) > self.pixels {
            return Err(Error::TooLarge {
                width,
                height,
                limit: self.pixels,
            });
        }
        Ok(())
    }
}

/// Turns an error of a library into one of the picture.
pub(super) fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Damaged(error.to_string())
}
