//! Writing over cells of a grid, and PNG for people to look at.

use std::io::Cursor;
use std::ops::Range;

use image::{ImageEncoder, codecs::png::PngEncoder};

use super::{Area, Error, Rgb, Size};

/// A grid of cells over a picture, counted row by row; where the pixels do not divide, cells differ
/// by one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellGrid {
    /// Cells along the height.
    pub rows: usize,
    /// Cells along the width.
    pub columns: usize,
}

/// Returns pixels `[i * pixels / cells, (i + 1) * pixels / cells)` of one axis.
fn cut(cell: usize, cells: usize, pixels: usize) -> Range<usize> {
    // Neighbours share their border, so that every pixel is in one cell, whatever is left over.
    cell * pixels / cells..(cell + 1) * pixels / cells
}

/// Returns the cell of one axis that place `at` of `pixels` falls in.
fn cell_of(at: usize, cells: usize, pixels: usize) -> usize {
    (0..cells)
        .find(|&cell| cut(cell, cells, pixels).contains(&at))
        .unwrap_or(0)
}

impl CellGrid {
    /// Creates a grid of `side` x `side` cells.
    pub fn square(side: usize) -> Self {
        Self {
            rows: side,
            columns: side,
        }
    }

    /// Returns the number of cells.
    pub fn cells(self) -> usize {
        self.rows * self.columns
    }

    /// Returns the cell that place (`row`, `column`) of an area of `(height, width)` falls in.
    pub fn cell_of(self, (row, column): Size, (height, width): Size) -> usize {
        cell_of(row, self.rows, height) * self.columns + cell_of(column, self.columns, width)
    }

    /// Returns the rows and the columns of pixels that a cell covers in an area.
    fn pixels(self, cell: usize, area: Area) -> (Range<usize>, Range<usize>) {
        (
            cut(cell / self.columns, self.rows, area.height),
            cut(cell % self.columns, self.columns, area.width),
        )
    }

    /// Calls `write` for every pixel of cell `cell` of the grid over `area`, row by row, with its place
    /// in the data.
    pub fn paint(
        self,
        picture: &mut Rgb,
        area: Area,
        cell: usize,
        mut write: impl FnMut(usize, &mut [u8]),
    ) {
        let (rows, columns) = self.pixels(cell, area);
        for y in rows {
            for x in columns.clone() {
                let at = 3 * ((area.top + y) * picture.width + area.left + x);
                write(at, &mut picture.data[at..at + 3]);
            }
        }
    }

    /// Copies cell `from` of the grid over `area` of `old` to cell `to` of `picture`. If their sizes
    /// differ by a pixel, the last row or column is repeated, or cut off.
    pub fn copy(self, old: &Rgb, picture: &mut Rgb, area: Area, from: usize, to: usize) {
        let (source, target) = (self.pixels(from, area), self.pixels(to, area));
        for y in target.0.clone() {
            for x in target.1.clone() {
                let place = |y: usize, x: usize| 3 * ((area.top + y) * old.width + area.left + x);
                let read = place(
                    source_of(y, &source.0, &target.0),
                    source_of(x, &source.1, &target.1),
                );
                let write = place(y, x);
                picture.data[write..write + 3].copy_from_slice(&old.data[read..read + 3]);
            }
        }
    }
}

/// Returns the place of the source for place `to` of the target.
fn source_of(to: usize, source: &Range<usize>, target: &Range<usize>) -> usize {
    source.start + (to - target.start).min(source.len().saturating_sub(1))
}

/// Blurs `area` of `picture` with a Gaussian: separable, in f64, the kernel cut off at three standard
/// deviations and normalised, the edges of the area repeated, rounded once at the end.
pub fn blur(picture: &Rgb, area: Area, sigma: f64) -> Rgb {
    let radius = (3.0 * sigma).ceil() as isize;
    let kernel: Vec<f64> = (-radius..=radius)
        .map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp())
        .collect();
    let total: f64 = kernel.iter().sum();
    let row = |y: usize| 3 * ((area.top + y) * picture.width + area.left);
    let length = 3 * area.width;
    let values: Vec<f64> = (0..area.height)
        .flat_map(|y| &picture.data[row(y)..row(y) + length])
        .map(|&v| f64::from(v))
        .collect();
    // Along a row neighbours of one channel stand 3 values apart, along a column a row apart.
    let across = blur_pass(&values, (area.width, 3), &kernel, total);
    let values = blur_pass(&across, (area.height, length), &kernel, total);
    let mut blurred = picture.clone();
    for y in 0..area.height {
        let line = &values[y * length..(y + 1) * length];
        for (to, value) in blurred.data[row(y)..row(y) + length].iter_mut().zip(line) {
            // Halves up, since a record must replay in any language: Rust's `round` and Python's
            // differ.
            *to = (value + 0.5).floor().clamp(0.0, 255.0) as u8;
        }
    }
    blurred
}

/// Convolves along one axis, of `length` values that stand `step` apart.
fn blur_pass(
    values: &[f64],
    (length, step): (usize, usize),
    kernel: &[f64],
    total: f64,
) -> Vec<f64> {
    let radius = (kernel.len() / 2) as isize;
    let mut out = vec![0.0; values.len()];
    for (i, out) in out.iter_mut().enumerate() {
        let at = (i / step % length) as isize;
        let taps = (-radius..=radius).zip(kernel).map(|(k, weight)| {
            // Edges of the area are repeated, not of the picture: nothing bleeds in from outside.
            let place = (at + k).clamp(0, length as isize - 1);
            weight * values[(i as isize + (place - at) * step as isize) as usize]
        });
        *out = taps.sum::<f64>() / total;
    }
    out
}

/// Encodes a picture as PNG.
pub fn encode_png(picture: &Rgb) -> Result<Vec<u8>, Error> {
    let mut out = Cursor::new(Vec::new());
    PngEncoder::new(&mut out)
        .write_image(
            &picture.data,
            picture.width as u32,
            picture.height as u32,
            image::ExtendedColorType::Rgb8,
        )
        .map_err(|e| Error::Damaged(e.to_string()))?;
    Ok(out.into_inner())
}

#[cfg(test)]
mod tests {
    use super::{Area, CellGrid, Rgb, blur, cell_of, cut};

    #[test]
    fn cells_cover_an_axis_once() {
        for side in 1..9 {
            for pixels in side..20 {
                let all: Vec<usize> = (0..side).flat_map(|cell| cut(cell, side, pixels)).collect();
                assert_eq!(all, (0..pixels).collect::<Vec<_>>());
                let holds = |p| cut(cell_of(p, side, pixels), side, pixels).contains(&p);
                assert!((0..pixels).all(holds));
            }
        }
    }

    #[test]
    fn blurring_keeps_what_is_flat_and_smooths_the_rest() {
        let area = Area {
            left: 1,
            top: 0,
            width: 5,
            height: 4,
        };
        let flat = Rgb::filled(7, 4, [9, 100, 255]);
        assert_eq!(blur(&flat, area, 2.0), flat);
        let mut dot = Rgb::filled(7, 4, [0; 3]);
        dot.data[3 * (7 + 3)] = 255;
        let blurred = blur(&dot, area, 1.0);
        let red = |x: usize, y: usize| blurred.data[3 * (7 * y + x)];
        assert!(red(3, 1) > red(2, 1) && red(2, 1) == red(4, 1) && red(3, 0) > 0);
        assert_eq!(
            (red(0, 1), red(6, 1)),
            (0, 0),
            "outside of the area nothing changes"
        );
    }

    #[test]
    fn shuffled_cells_of_unlike_sizes_repeat_or_lose_an_edge() {
        let mut old = Rgb::filled(5, 1, [0; 3]);
        old.data
            .iter_mut()
            .enumerate()
            .for_each(|(i, v)| *v = (i / 3) as u8);
        let mut new = old.clone();
        let area = Area {
            left: 0,
            top: 0,
            width: 5,
            height: 1,
        };
        // Columns 0..2 and 2..5; the grid has two rows, of which the first is empty.
        CellGrid::square(2).copy(&old, &mut new, area, 2, 3);
        CellGrid::square(2).copy(&old, &mut new, area, 3, 2);
        let shown: Vec<u8> = new.data.iter().step_by(3).copied().collect();
        assert_eq!(shown, [2, 3, 0, 1, 1]);
    }
}
