//! The visual tokens of a picture as they stand in the language model's input: which row of which
//! view, or a newline.
//!
//! Agrees with `pack_image_features` and `unpad_image` of Hugging Face's LLaVA-NeXT and
//! LLaVA-OneVision.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::error::Error;
use super::vision_tower::ViewInfo;
use crate::vision::Size;

/// Content of one visual token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The tower's class token.
    Class,
    /// A patch of the base view.
    Base {
        /// Rows above it.
        row: usize,
        /// Columns before it.
        column: usize,
    },
    /// A patch of the canvas that the tiles make up.
    Canvas {
        /// The tile under its middle, row by row.
        tile: usize,
        /// Rows above it that are left after unpadding.
        row: usize,
        /// Columns before it that are left after unpadding.
        column: usize,
    },
    /// The end of a row of the canvas, or of a picture without one.
    Newline,
    /// The mean of several.
    Pooled,
}

impl Place {
    /// Counts in squares of `merge` x `merge` patches in place of patches.
    pub fn merged(self, merge: usize) -> Self {
        match self {
            Self::Base { row, column } => Self::Base {
                row: row / merge,
                column: column / merge,
            },
            Self::Canvas { tile, row, column } => Self::Canvas {
                tile,
                row: row / merge,
                column: column / merge,
            },
            other => other,
        }
    }
}

/// A value mixed of rows of the projector's output; row `views * rows_per_view` is the newline
/// vector, or the first of several.
type Mix = [(u32, f32); 4];

/// The visual tokens of one picture.
#[derive(Debug, Clone)]
pub struct ImageTokens {
    /// Views that the tower sees.
    pub views: usize,
    /// The sizes of each view.
    pub view: ViewInfo,
    /// Content of each token, in order.
    pub places: Vec<Place>,
    /// Rows and columns of the base view, in tokens.
    pub base: Size,
    /// Rows and columns of the canvas after unpadding (and shrinking), in tokens; 0 x 0 without
    /// one.
    pub canvas: Size,
    /// Says how far each token's rotary position is from that of the picture's first place;
    /// ascending.
    pub offsets: Vec<u32>,
    /// Rotary positions that the picture takes.
    pub extent: usize,
    /// The number of each token before any selection; of a pooled one, that of the first of its
    /// group.
    pub origins: Vec<u32>,
    /// The row that each token is, or the four that it is mixed of, before any selection.
    source: Source,
    /// The row of patch 0 in the projector's output of a picture of one view: 1 behind a class
    /// token, -1 where it was dropped.
    lead: isize,
    /// Rows and columns of tiles; 0 x 0 without any.
    tiles: Size,
    /// The part of the canvas, in patches before shrinking, that shows the picture.
    content: (Range<usize>, Range<usize>),
}

#[derive(Debug, Clone)]
enum Source {
    Rows(Vec<u32>),
    Mixed(Vec<Mix>),
}

impl ImageTokens {
    /// Places one view, with the class token in front where `class` says so.
    pub fn of_view(view: ViewInfo, class: bool) -> Self {
        let mut places = if class {
            vec![Place::Class]
        } else {
            Vec::new()
        };
        places.extend(base_places(view.token_grid()));
        let source = Source::Rows((0..places.len() as u32).collect());
        let tokens = Self {
            views: 1,
            view,
            places,
            base: view.token_grid(),
            canvas: (0, 0),
            offsets: Vec::new(),
            extent: 0,
            origins: Vec::new(),
            source,
            lead: isize::from(class),
            tiles: (0, 0),
            content: (0..0, 0..0),
        };
        tokens.placed()
    }

    /// Places one view without its first patch: what "default" leaves of a tower that has no class
    /// token.
    pub fn of_view_without_first(view: ViewInfo) -> Self {
        let mut tokens = Self::of_view(view, false);
        // transformers cuts `[:, 1:]` whether or not row 0 is a class token; with SigLIP it is a
        // patch, and the answer of the reference is that of the rest.
        tokens.places.remove(0);
        tokens.source = Source::Rows((0..tokens.places.len() as u32).collect());
        tokens.lead = -1;
        tokens.placed()
    }

    /// Places the base view and all of `tiles` (rows, columns) with what pads the picture, without
    /// newlines: tile after tile, or the canvas row by row.
    pub fn of_padded_tiles(view: ViewInfo, tiles: Size, by_tile: bool) -> Self {
        let (height, width) = view.grid;
        let per_view = height * width;
        let (rows, columns) = (tiles.0 * height, tiles.1 * width);
        let mut tokens = Self {
            views: 1 + tiles.0 * tiles.1,
            canvas: (rows, columns),
            tiles,
            content: (0..rows, 0..columns),
            ..Self::of_view(view, false)
        };
        let mut index: Vec<u32> = (0..per_view as u32).collect();
        for i in 0..rows * columns {
            let (tile, within) = if by_tile {
                (i / per_view, i % per_view)
            } else {
                let (row, column) = (i / columns, i % columns);
                (
                    row / height * tiles.1 + column / width,
                    row % height * width + column % width,
                )
            };
            let (row, column) = (
                tile / tiles.1 * height + within / width,
                tile % tiles.1 * width + within % width,
            );
            tokens.places.push(Place::Canvas { tile, row, column });
            index.push((per_view * (1 + tile) + within) as u32);
        }
        tokens.source = Source::Rows(index);
        tokens.placed()
    }

    /// Places all of `tiles` (rows, columns), tile after tile, and the base view behind them; the
    /// picture fills its tiles.
    pub fn of_tiles_before_base(view: ViewInfo, tiles: Size) -> Self {
        let (rows, columns) = (tiles.0 * view.grid.0, tiles.1 * view.grid.1);
        let (height, width) = view.token_grid();
        let mut tokens = Self {
            views: 1 + tiles.0 * tiles.1,
            canvas: (tiles.0 * height, tiles.1 * width),
            tiles,
            content: (0..rows, 0..columns),
            ..Self::of_view(view, false)
        };
        let per_view = (height * width) as u32;
        // transformers' thumbnail is its last view; the tower here gets it first, as for every
        // family.
        let base = std::mem::take(&mut tokens.places);
        for tile in 0..tiles.0 * tiles.1 {
            let (top, left) = (tile / tiles.1 * height, tile % tiles.1 * width);
            tokens
                .places
                .extend((0..height * width).map(|i| Place::Canvas {
                    tile,
                    row: top + i / width,
                    column: left + i % width,
                }));
        }
        // In the projector's output the base view comes first.
        let last = per_view + tokens.places.len() as u32;
        tokens.source = Source::Rows((per_view..last).chain(0..per_view).collect());
        tokens.places.extend(base);
        tokens.placed()
    }

    /// Gives one rotary position to each token.
    fn placed(mut self) -> Self {
        self.offsets = (0..self.places.len() as u32).collect();
        self.origins = self.offsets.clone();
        self.extent = self.places.len();
        self
    }

    /// Places one view and a newline: LLaVA-OneVision's pictures that do not come alone.
    pub fn of_view_with_newline(view: ViewInfo) -> Self {
        let mut tokens = Self::of_view(view, false);
        tokens.places.push(Place::Newline);
        tokens.source = Source::Rows((0..tokens.places.len() as u32).collect());
        tokens.placed()
    }

    /// Places one view, each row of patches ended by a token: the first of two, or the second
    /// behind the last row (Pixtral).
    pub fn of_ended_rows(view: ViewInfo) -> Self {
        let (rows, columns) = view.grid;
        let (mut places, mut index) = (Vec::new(), Vec::new());
        let first_end = (rows * columns) as u32;
        for row in 0..rows {
            for column in 0..columns {
                places.push(Place::Base { row, column });
                index.push((row * columns + column) as u32);
            }
            places.push(Place::Newline);
            // Behind the patches `pack` appends two rows: [IMG_BREAK], then [IMG_END].
            index.push(first_end + u32::from(row + 1 == rows));
        }
        let tokens = Self {
            places,
            source: Source::Rows(index),
            ..Self::of_view(view, false)
        };
        tokens.placed()
    }

    /// Places the base view, then the rows of `tiles` (rows, columns) without what pads a picture
    /// of `size` pixels, each with a newline. More than `most_tiles` times the base view's patches,
    /// by a tenth and more, are scaled down to about that.
    pub fn of_tiles(
        view: ViewInfo,
        tiles: (usize, usize),
        size: Size,
        most_tiles: Option<usize>,
    ) -> Self {
        let (height, width) = view.grid;
        let per_view = height * width;
        let (rows, columns) = unpadded((tiles.0 * height, tiles.1 * width), size);
        let newline = ((1 + tiles.0 * tiles.1) * per_view) as u32;
        let view_grid = view.grid;
        let canvas = TiledCanvas { view_grid, tiles };
        let mut tokens = Self {
            views: 1 + tiles.0 * tiles.1,
            canvas: (rows.len(), columns.len()),
            tiles,
            content: (rows.clone(), columns.clone()),
            ..Self::of_view(view, false)
        };
        // `anyres_max_9` allows nine times the base view.
        let shrunk = most_tiles.and_then(|most| shrink(tokens.canvas, most * per_view));
        // The tiles are still all encoded: what is scaled down is the projector's output, as in
        // OneVision.
        tokens.canvas = shrunk.unwrap_or(tokens.canvas);
        let by_row = interpolated(&rows, tokens.canvas.0);
        let by_column = interpolated(&columns, tokens.canvas.1);
        // Four rows each, also where one is all: one gather serves all tokens.
        let single = |row: u32| [(row, 1.0), (row, 0.0), (row, 0.0), (row, 0.0)];
        let mut mixes: Vec<Mix> = (0..per_view as u32).map(single).collect();
        for (row, &(top, bottom, down)) in by_row.iter().enumerate() {
            for (column, &(left, right, along)) in by_column.iter().enumerate() {
                // A token that is mixed counts as what weighs most in it.
                let nearest = (
                    if down < 0.5 { top } else { bottom },
                    if along < 0.5 { left } else { right },
                );
                tokens.places.push(Place::Canvas {
                    tile: canvas.tile(nearest.0, nearest.1),
                    row,
                    column,
                });
                mixes.push([
                    (canvas.row(top, left), (1.0 - down) * (1.0 - along)),
                    (canvas.row(top, right), (1.0 - down) * along),
                    (canvas.row(bottom, left), down * (1.0 - along)),
                    (canvas.row(bottom, right), down * along),
                ]);
            }
            tokens.places.push(Place::Newline);
            mixes.push(single(newline));
        }
        tokens.source = if shrunk.is_some() {
            Source::Mixed(mixes)
        } else {
            // Exact rows, not a sum with three zeros: `0 * x` is NaN where an intervention made x
            // infinite.
            Source::Rows(mixes.iter().map(|mix| mix[0].0).collect())
        };
        tokens.placed()
    }

    /// Returns the patches, as (view, number within it, weight), that token `token` is made of;
    /// none for newlines and class tokens. A pooled token counts as the first of its group.
    pub fn patches(&self, token: usize) -> Vec<(usize, usize, f32)> {
        let per_view = self.base.0 * self.base.1;
        let origin = self.origins[token] as usize;
        let mix: &[(u32, f32)] = match &self.source {
            Source::Rows(index) => &[(index[origin], 1.0)],
            Source::Mixed(mixes) => &mixes[origin],
        };
        mix.iter()
            .filter_map(|&(row, weight)| {
                // A class token has no patch: with `lead` 1 its row 0 becomes -1 and drops out
                // here.
                let row = (row as usize).checked_add_signed(-self.lead)?;
                let is_patch = row < self.views * per_view && weight > 0.0;
                is_patch.then_some((row / per_view, row % per_view, weight))
            })
            .flat_map(|(view, token, weight)| self.merged(view, token, weight))
            .collect()
    }

    /// Returns the patches, as (view, number within it, weight), that row `row` of a view in the
    /// projector is made of.
    pub fn merged(
        &self,
        view: usize,
        row: usize,
        weight: f32,
    ) -> impl Iterator<Item = (usize, usize, f32)> + use<> {
        let (merge, columns) = (self.view.merge, self.view.grid.1);
        let (row, column) = (row / self.base.1 * merge, row % self.base.1 * merge);
        // The weights of a token's patches sum to 1, so that saliency of tokens is a mean over
        // patches.
        let weight = weight / (merge * merge) as f32;
        (0..merge * merge).map(move |i| {
            let patch = (row + i / merge) * columns + column + i % merge;
            (view, patch, weight)
        })
    }

    /// Returns what patch (`row`, `column`) of view `view` shows, at full resolution; `None` where
    /// it pads the canvas.
    pub fn shows(&self, view: usize, row: usize, column: usize) -> Option<Place> {
        let Some(tile) = view.checked_sub(1) else {
            return Some(Place::Base { row, column });
        };
        let (row, column) = (
            // `max(1)`: a picture without tiles has a base view alone, which returned above.
            tile / self.tiles.1.max(1) * self.view.grid.0 + row,
            tile % self.tiles.1.max(1) * self.view.grid.1 + column,
        );
        let inside = self.content.0.contains(&row) && self.content.1.contains(&column);
        inside.then(|| Place::Canvas {
            tile,
            row: row - self.content.0.start,
            column: column - self.content.1.start,
        })
    }

    /// Returns the rows and columns of the canvas after unpadding and before shrinking, in patches.
    pub fn content(&self) -> Size {
        (self.content.0.len(), self.content.1.len())
    }

    /// Leaves the tokens `kept`, those that `pooled` names with [`Place::Pooled`], at the positions
    /// they had or (`compact`) one after the other.
    pub fn keep(&mut self, kept: &[u32], pooled: &[bool], compact: bool) {
        let mut places = Vec::with_capacity(kept.len());
        for (&token, &pooled) in kept.iter().zip(pooled) {
            let own = self.places[token as usize];
            places.push(if pooled { Place::Pooled } else { own });
        }
        let offsets: Vec<u32> = kept.iter().map(|&i| self.offsets[i as usize]).collect();
        let origins = kept.iter().map(|&i| self.origins[i as usize]).collect();
        (self.places, self.offsets, self.origins) = (places, offsets, origins);
        // Otherwise `extent` stays, so that the words behind the picture keep the positions they
        // had.
        if compact {
            self.offsets = (0..self.places.len() as u32).collect();
            self.extent = self.places.len();
        }
    }

    /// Returns the number of visual tokens.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Tells whether a selection has left none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Packs the projector's output for all views of the picture, `(V N, D)`, as visual tokens
    /// `(len, D)`.
    pub fn pack(&self, projected: &Tensor, row_ends: Option<&Tensor>) -> Result<Tensor, Error> {
        let rows = match row_ends {
            Some(ends) => Tensor::cat(&[projected, ends], 0)?, // (V N + k, D)
            None => projected.clone(),
        };
        let device = rows.device();
        match &self.source {
            // All rows as they stand: nothing to copy.
            Source::Rows(index) if (0..rows.dim(0)? as u32).eq(index.iter().copied()) => Ok(rows),
            Source::Rows(index) => {
                Ok(rows.index_select(&Tensor::from_slice(index, index.len(), device)?, 0)?)
            }
            Source::Mixed(mixes) => mix(&rows, mixes, device),
        }
    }
}

/// Returns the weighted sum of four rows for each token, in f32.
fn mix(rows: &Tensor, mixes: &[Mix], device: &Device) -> Result<Tensor, Error> {
    // In half precision four rounded products would differ from torch, which interpolates in f32.
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

fn base_places((rows, columns): Size) -> impl Iterator<Item = Place> {
    (0..rows * columns).map(move |i| Place::Base {
        row: i / columns,
        column: i % columns,
    })
}

/// The grid of patches of a picture's tiles, side by side.
struct TiledCanvas {
    /// Patches of a tile.
    view_grid: Size,
    tiles: Size,
}

impl TiledCanvas {
    /// Returns the tile of a patch.
    fn tile(&self, row: usize, column: usize) -> usize {
        (row / self.view_grid.0) * self.tiles.1 + column / self.view_grid.1
    }

    /// Returns the projector's row of a patch: those of the base view stand first.
    fn row(&self, row: usize, column: usize) -> u32 {
        let (height, width) = self.view_grid;
        let within = (row % height) * width + column % width;
        (height * width * (1 + self.tile(row, column)) + within) as u32
    }
}

/// Scales a length as Hugging Face does, which rounds to seven decimals before it truncates.
fn scaled(length: usize, scale: f64) -> usize {
    ((length as f64 * scale * 1e7).round_ties_even() / 1e7) as usize
}

/// Returns the rows and columns of a canvas of patches that do not pad a picture of `size` pixels.
fn unpadded(canvas: Size, (height, width): Size) -> (Range<usize>, Range<usize>) {
    if width as f64 / height as f64 > canvas.1 as f64 / canvas.0 as f64 {
        // The picture touches the canvas left and right, so rows are cut; half of an odd rest
        // stays, as in the reference's integer division.
        let padding = canvas
            .0
            .saturating_sub(scaled(height, canvas.1 as f64 / width as f64))
            / 2;
        (padding..canvas.0 - padding, 0..canvas.1)
    } else {
        let padding = canvas
            .1
            .saturating_sub(scaled(width, canvas.0 as f64 / height as f64))
            / 2;
        (0..canvas.0, padding..canvas.1 - padding)
    }
}

/// Returns the size that `canvas` is scaled down to where it holds more than 1.1^2 times `most`
/// patches.
fn shrink(canvas: Size, most: usize) -> Option<Size> {
    let ratio = ((canvas.0 * canvas.1) as f64 / most as f64).sqrt();
    (ratio > 1.1).then(|| {
        (
            (canvas.0 as f64 / ratio).floor() as usize,
            (canvas.1 as f64 / ratio).floor() as usize,
        )
    })
}

/// Returns the places between `from` of all `to` entries, as [`interpolate`] finds them.
fn interpolated(from: &Range<usize>, to: usize) -> Vec<(usize, usize, f32)> {
    (0..to).map(|i| interpolate(from, to, i)).collect()
}

/// Interpolates bilinearly, with half-pixel centres: returns the two entries of `from` that entry
/// `i` of `to` lies between, and how far it is from the first to the second.
fn interpolate(from: &Range<usize>, to: usize, i: usize) -> (usize, usize, f32) {
    // In f32, as torch's `interpolate(mode="bilinear")` computes places.
    let scale = from.len() as f32 / to as f32;
    let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
    // torch clamps to the last entry at the border.
    let low = (at as usize).min(from.len() - 1);
    let high = (low + 1).min(from.len() - 1);
    (from.start + low, from.start + high, at - low as f32)
}
