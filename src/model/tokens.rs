//! The visual tokens of a picture as they stand in the language model's input: which row of which view, or a newline.
//!
//! Agrees with `pack_image_features` and `unpad_image` of Hugging Face's LLaVA-NeXT and LLaVA-OneVision.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::Error;
use crate::vision::Size;

/// What one visual token shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The tower's class token.
    Class,
    /// A patch of the base view.
    Base {
        /// From the top.
        row: usize,
        /// From the left.
        column: usize,
    },
    /// A patch of the canvas that the tiles make up.
    Canvas {
        /// The tile under its middle, row by row.
        tile: usize,
        /// From the top of what is left after unpadding.
        row: usize,
        /// From the left of what is left after unpadding.
        column: usize,
    },
    /// The end of a row of the canvas, or of a picture without one.
    Newline,
}

/// A value mixed of rows of the projector's output; row `views * rows_per_view` is the newline vector.
type Mix = [(u32, f32); 4];

/// The visual tokens of one picture.
#[derive(Debug, Clone)]
pub struct ImageTokens {
    /// Views that the tower sees.
    pub views: usize,
    /// What each token shows, in order.
    pub places: Vec<Place>,
    /// Rows and columns of the base view, in patches.
    pub base: Size,
    /// Rows and columns of the canvas after unpadding, in patches; 0 x 0 without one.
    pub canvas: Size,
    /// The row that each token is, or the four that it is mixed of.
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Rows(Vec<u32>),
    Mixed(Vec<Mix>),
}

impl ImageTokens {
    /// One view of `side` x `side` patches, with the class token in front where `class` says so.
    pub fn of_view(side: usize, class: bool) -> Self {
        let mut places = if class { vec![Place::Class] } else { Vec::new() };
        places.extend(base_places(side));
        let source = Source::Rows((0..places.len() as u32).collect());
        Self { views: 1, places, base: (side, side), canvas: (0, 0), source }
    }

    /// One view and a newline: LLaVA-OneVision's pictures that do not come alone.
    pub fn of_view_with_newline(side: usize) -> Self {
        let mut tokens = Self::of_view(side, false);
        tokens.places.push(Place::Newline);
        tokens.source = Source::Rows((0..tokens.places.len() as u32).collect());
        tokens
    }

    /// The base view, then the rows of `tiles` (rows, columns) without what pads a picture of `size` pixels, each with a
    /// newline. More than `most_tiles` times the base view's patches, by a tenth and more, are scaled down to about that.
    pub fn of_tiles(side: usize, tiles: (usize, usize), size: Size, most_tiles: Option<usize>) -> Self {
        let per_view = side * side;
        let (rows, columns) = unpadded((tiles.0 * side, tiles.1 * side), size);
        let newline = ((1 + tiles.0 * tiles.1) * per_view) as u32;
        let tile_at = |row: usize, column: usize| (row / side) * tiles.1 + column / side;
        let row_at = |row: usize, column: usize| {
            (per_view * (1 + tile_at(row, column)) + (row % side) * side + column % side) as u32
        };
        let mut tokens = Self {
            views: 1 + tiles.0 * tiles.1,
            places: base_places(side).collect(),
            base: (side, side),
            canvas: (rows.len(), columns.len()),
            source: Source::Rows(Vec::new()),
        };
        let shrunk = most_tiles.and_then(|most| shrink(tokens.canvas, most * per_view));
        tokens.canvas = shrunk.unwrap_or(tokens.canvas);
        let axis = |from: Range<usize>, to: usize| (0..to).map(|i| interpolate(&from, to, i)).collect::<Vec<_>>();
        let (by_row, by_column) = (axis(rows, tokens.canvas.0), axis(columns, tokens.canvas.1));
        let single = |row: u32| [(row, 1.0), (row, 0.0), (row, 0.0), (row, 0.0)];
        let mut mixes: Vec<Mix> = (0..per_view as u32).map(single).collect();
        for (row, &(top, bottom, down)) in by_row.iter().enumerate() {
            for (column, &(left, right, along)) in by_column.iter().enumerate() {
                let nearest = (if down < 0.5 { top } else { bottom }, if along < 0.5 { left } else { right });
                tokens.places.push(Place::Canvas { tile: tile_at(nearest.0, nearest.1), row, column });
                mixes.push([
                    (row_at(top, left), (1.0 - down) * (1.0 - along)),
                    (row_at(top, right), (1.0 - down) * along),
                    (row_at(bottom, left), down * (1.0 - along)),
                    (row_at(bottom, right), down * along),
                ]);
            }
            tokens.places.push(Place::Newline);
            mixes.push(single(newline));
        }
        tokens.source = if shrunk.is_some() {
            Source::Mixed(mixes)
        } else {
            Source::Rows(mixes.iter().map(|mix| mix[0].0).collect())
        };
        tokens
    }

    /// Number of visual tokens.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none, which does not happen.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The projector's output for all views of the picture, `(V N, D)`, as visual tokens `(len, D)`.
    pub fn pack(&self, projected: &Tensor, newline: Option<&Tensor>) -> Result<Tensor, Error> {
        let rows = match newline {
            Some(newline) => Tensor::cat(&[projected, &newline.unsqueeze(0)?], 0)?, // (V N + 1, D)
            None => projected.clone(),
        };
        let device = rows.device();
        match &self.source {
            Source::Rows(index) if newline.is_none() && index.len() == projected.dim(0)? => Ok(rows),
            Source::Rows(index) => Ok(rows.index_select(&Tensor::from_slice(index, index.len(), device)?, 0)?),
            Source::Mixed(mixes) => mix(&rows, mixes, device),
        }
    }
}

/// The weighted sum of four rows for each token, in f32.
fn mix(rows: &Tensor, mixes: &[Mix], device: &Device) -> Result<Tensor, Error> {
    let full = rows.to_dtype(DType::F32)?;
    let mut sum: Option<Tensor> = None;
    for corner in 0..4 {
        let index: Vec<u32> = mixes.iter().map(|m| m[corner].0).collect();
        let weight: Vec<f32> = mixes.iter().map(|m| m[corner].1).collect();
        let part = full
            .index_select(&Tensor::from_vec(index, mixes.len(), device)?, 0)?
            .broadcast_mul(&Tensor::from_vec(weight, (mixes.len(), 1), device)?)?; // (N, D)
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    let sum = sum.ok_or_else(|| Error::Config("no visual tokens".into()))?;
    Ok(sum.to_dtype(rows.dtype())?)
}

fn base_places(side: usize) -> impl Iterator<Item = Place> {
    (0..side * side).map(move |i| Place::Base { row: i / side, column: i % side })
}

/// The rows and columns of a canvas of patches that do not pad a picture of `size` pixels.
fn unpadded(canvas: Size, (height, width): Size) -> (Range<usize>, Range<usize>) {
    // Hugging Face rounds to seven decimals before it truncates.
    let scaled = |length: usize, scale: f64| ((length as f64 * scale * 1e7).round_ties_even() / 1e7) as usize;
    if width as f64 / height as f64 > canvas.1 as f64 / canvas.0 as f64 {
        let padding = canvas.0.saturating_sub(scaled(height, canvas.1 as f64 / width as f64)) / 2;
        (padding..canvas.0 - padding, 0..canvas.1)
    } else {
        let padding = canvas.1.saturating_sub(scaled(width, canvas.0 as f64 / height as f64)) / 2;
        (0..canvas.0, padding..canvas.1 - padding)
    }
}

/// The size that `canvas` is scaled down to where it holds more than 1.1^2 times `most` patches.
fn shrink(canvas: Size, most: usize) -> Option<Size> {
    let ratio = ((canvas.0 * canvas.1) as f64 / most as f64).sqrt();
    (ratio > 1.1).then(|| ((canvas.0 as f64 / ratio).floor() as usize, (canvas.1 as f64 / ratio).floor() as usize))
}

/// Bilinear interpolation with half-pixel centres: the two entries of `from` that entry `i` of `to` lies between, and how
/// far it is from the first to the second.
fn interpolate(from: &Range<usize>, to: usize, i: usize) -> (usize, usize, f32) {
    let scale = from.len() as f32 / to as f32;
    let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
    let low = (at as usize).min(from.len() - 1);
    let high = (low + 1).min(from.len() - 1);
    (from.start + low, from.start + high, at - low as f32)
}
