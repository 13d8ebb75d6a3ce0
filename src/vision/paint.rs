//! Writing over cells of a grid, and PNG for people to look at.

use std::io::Cursor;
use std::ops::Range;

use image::{ImageEncoder, codecs::png::PngEncoder};

use super::{Error, Rgb};

/// A grid of `side` x `side` cells over a picture; where the pixels do not divide, cells differ by one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Cells along each side.
    pub side: usize,
}

impl Grid {
    /// Pixels `[i * pixels / side, (i + 1) * pixels / side)` of one axis.
    pub fn cut(self, cell: usize, pixels: usize) -> Range<usize> {
        cell * pixels / self.side..(cell + 1) * pixels / self.side
    }

    /// Number of cells.
    pub fn cells(self) -> usize {
        self.side * self.side
    }

    /// Calls `write` for every pixel of cell `cell`, row by row.
    pub fn paint(self, picture: &mut Rgb, cell: usize, mut write: impl FnMut(&mut [u8])) {
        let (row, column) = (cell / self.side, cell % self.side);
        for y in self.cut(row, picture.height) {
            for x in self.cut(column, picture.width) {
                let at = 3 * (y * picture.width + x);
                write(&mut picture.data[at..at + 3]);
            }
        }
    }
}

/// The picture as PNG.
pub fn encode_png(picture: &Rgb) -> Result<Vec<u8>, Error> {
    let mut out = Cursor::new(Vec::new());
    PngEncoder::new(&mut out)
        .write_image(&picture.data, picture.width as u32, picture.height as u32, image::ExtendedColorType::Rgb8)
        .map_err(|e| Error::Damaged(e.to_string()))?;
    Ok(out.into_inner())
}
