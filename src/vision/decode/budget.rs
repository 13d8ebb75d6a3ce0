//! Limits of decoding, checked before anything is decoded.

use crate::vision::Error;

/// Limits of one picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Width times height.
    pub(super) pixels: u64,
}

impl Budget {
    /// Refuses pictures that are empty or above the limit.
    pub(super) fn check(self, width: u32, height: u32) -> Result<(), Error> {
        if width == 0 || height == 0 {
            return Err(Error::Empty {
                width: width as usize,
                height: height as usize,
            });
        }
        if u64::from(width) * u64::from(height) > self.pixels {
            return Err(Error::TooLarge {
                width,
                height,
                limit: self.pixels,
            });
        }
        Ok(())
    }

    /// Returns the bytes that a library may allocate: its widest pixel, 16-bit RGBA, and as much
    /// again for its own buffers.
    pub(super) fn bytes(self) -> u64 {
        // A floor, since small pictures still have tables and buffers.
        self.pixels.saturating_mul(16).max(1 << 20)
    }
}

/// Turns an error of a library into one of the picture.
pub(super) fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Damaged(error.to_string())
}
