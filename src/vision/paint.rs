//! Writing over cells of a grid, and PNG for people to look at.

use std::io::Cursor;
use std::ops::Range;

use image::{ImageEncoder, codecs::png::PngEncoder};

use super::{Area, Error, Rgb};

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

    /// The cell of one axis that place `at` of `pixels` falls in.
    pub fn cell_of(self, at: usize, pixels: usize) -> usize {
        (0..self.side).find(|&cell| self.cut(cell, pixels).contains(&at)).unwrap_or(0)
    }

    /// Number of cells.
    pub fn cells(self) -> usize {
        self.side * self.side
    }

    /// Calls `write` for every pixel of cell `cell` of the grid over `area`, row by row.
    pub fn paint(self, picture: &mut Rgb, area: Area, cell: usize, mut write: impl FnMut(&mut [u8])) {
        let (row, column) = (cell / self.side, cell % self.side);
        for y in self.cut(row, area.height) {
            for x in self.cut(column, area.width) {
                let at = 3 * ((area.top + y) * picture.width + area.left + x);
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

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn cells_cover_an_axis_once() {
        for side in 1..9 {
            for pixels in side..20 {
                let all: Vec<usize> = (0..side).flat_map(|cell| Grid { side }.cut(cell, pixels)).collect();
                assert_eq!(all, (0..pixels).collect::<Vec<_>>());
                assert!((0..pixels).all(|p| Grid { side }.cut(Grid { side }.cell_of(p, pixels), pixels).contains(&p)));
            }
        }
    }
}
