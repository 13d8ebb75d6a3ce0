//! The most attended patches, by the tower's attention, by that of a saliency model, or by given
//! weights.

use std::ops::Range;

use super::context::{Context, SaliencyQuery};
use super::entry::Entry;
use super::token_map::TokenInfo;
use crate::intervention::error::Error;
use crate::model::Place;
use crate::vision::{CellGrid, Size};

/// The most attended patches.
#[derive(Debug, Clone, PartialEq)]
pub struct Salient {
    /// The number of patches.
    pub amount: Amount,
    /// The source of attention.
    pub source: SaliencySource,
    /// One head; the mean over heads where it is `None`.
    pub head: Option<u32>,
}

/// A source of attention.
#[derive(Debug, Clone, PartialEq)]
pub enum SaliencySource {
    /// The tower's own.
    Tower,
    /// A resident saliency model's.
    Model(String),
    /// Given, `n * n` of them.
    Weights(Vec<f32>),
}

/// The number of salient cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// The fewest that together hold at least this share of the attention mass.
    Mass(f64),
    /// `floor(share * cells + 0.5)`.
    Share(f64),
    /// So many, or all.
    Count(u32),
}

impl Salient {
    /// Returns the attention map that it needs.
    pub(crate) fn query(&self) -> Option<SaliencyQuery> {
        match &self.source {
            SaliencySource::Tower => Some(SaliencyQuery {
                model: None,
                head: self.head,
            }),
            SaliencySource::Model(name) => Some(SaliencyQuery {
                model: Some(name.clone()),
                head: self.head,
            }),
            SaliencySource::Weights(_) => None,
        }
    }

    /// Returns the digest of the saliency model that it asks.
    pub(crate) fn model_digest(&self, context: &Context<'_>) -> Option<String> {
        match &self.source {
            SaliencySource::Model(name) => context.saliency_digests.get(name).cloned(),
            SaliencySource::Tower | SaliencySource::Weights(_) => None,
        }
    }

    /// Fails where the amount or the given weights are out of their range.
    pub(crate) fn check(&self, entry: Entry, field: &str) -> Result<(), Error> {
        match self.amount {
            Amount::Mass(mass) => entry.check_share(&format!("{field}.mass"), mass)?,
            Amount::Share(share) => entry.check_share(&format!("{field}.share"), share)?,
            Amount::Count(_) => {}
        }
        if let SaliencySource::Weights(weights) = &self.source {
            let path = format!("{field}.weights.weights");
            if weights.is_empty() || side(weights.len()).pow(2) != weights.len() {
                let message = format!(
                    "{} weights; a square number of them is needed, 36 for instance",
                    weights.len()
                );
                return Err(entry.invalid(&path, message));
            }
            if let Some(weight) = weights.iter().find(|w| !w.is_finite() || **w < 0.0) {
                let message = format!("{weight}; numbers from 0 up are needed");
                return Err(entry.invalid(&path, message));
            }
        }
        Ok(())
    }

    /// Returns the attention of a picture by view and patch.
    fn views<'a>(
        &'a self,
        entry: Entry,
        field: &str,
        context: &'a Context<'_>,
        image: usize,
    ) -> Result<&'a [Vec<f32>], Error> {
        if let SaliencySource::Weights(weights) = &self.source {
            return Ok(std::slice::from_ref(weights));
        }
        let maps = self.query().and_then(|query| context.saliency.get(&query));
        maps.and_then(|pictures| pictures.get(image))
            .map(Vec::as_slice)
            .ok_or_else(|| entry.invalid(field, "no attention was measured"))
    }

    /// Returns the rows and columns of patches that the attention over one view counts: those of the
    /// tower's view, or of a square.
    fn patches(&self, context: &Context<'_>, image: usize, view: &[f32]) -> Size {
        match (&self.source, context.images.get(image)) {
            (SaliencySource::Tower, Some(tokens)) => tokens.view.grid,
            _ => (side(view.len()), side(view.len())),
        }
    }

    /// Returns the mass of each cell of `grid` over the base view.
    pub(crate) fn of_grid(
        &self,
        entry: Entry,
        field: &str,
        context: &Context<'_>,
        image: usize,
        grid: CellGrid,
    ) -> Result<Vec<f64>, Error> {
        let views = self.views(entry, field, context, image)?;
        // The base view shows the whole picture.
        let base = views.first().map_or(&[][..], Vec::as_slice);
        let patches = self.patches(context, image, base);
        let extent = (grid.rows, grid.columns);
        // Row by row, as cells are numbered.
        Ok((0..grid.cells())
            .map(|cell| (cell / grid.columns, cell % grid.columns))
            .map(|cell| mass_in_cell(base, patches, cell, extent))
            .collect())
    }

    /// Returns the mass of a patch, or of a token made of patches.
    pub(crate) fn of_token(
        &self,
        entry: Entry,
        field: &str,
        context: &Context<'_>,
        image: usize,
        token: &TokenInfo,
    ) -> Result<f64, Error> {
        let views = self.views(entry, field, context, image)?;
        let TokenInfo::Visual {
            place,
            extent,
            patches,
            ..
        } = token
        else {
            return Ok(0.0);
        };
        Ok(match (&self.source, place) {
            // By patch and weight: a merged token gets the mass of each patch that it is made of.
            (SaliencySource::Tower, _) => patches
                .iter()
                .map(|&(view, patch, weight)| f64::from(weight) * mass_at(views, view, patch))
                .sum(),
            // The map of a whole picture is laid over its base view or its canvas.
            (_, Some(Place::Base { row, column } | Place::Canvas { row, column, .. })) => {
                let map = views.first().map_or(&[][..], Vec::as_slice);
                mass_in_cell(
                    map,
                    self.patches(context, image, map),
                    (*row, *column),
                    *extent,
                )
            }
            // Class tokens, newlines and means of several have no place on such a map.
            _ => 0.0,
        })
    }
}

fn mass_at(views: &[Vec<f32>], view: usize, patch: usize) -> f64 {
    let mass = views.get(view).and_then(|v| v.get(patch));
    mass.map_or(0.0, |&mass| f64::from(mass))
}

/// Returns `share` of `cells`, halves rounded up.
pub(crate) fn rounded(share: f64, cells: usize) -> usize {
    (share * cells as f64 + 0.5).floor() as usize
}

fn side(cells: usize) -> usize {
    cells.isqrt()
}

impl Amount {
    /// Returns the chosen cells, the most attended first; equal ones by their number.
    pub(crate) fn top(self, mass: &[f64]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..mass.len() as u32).collect();
        // The sort is stable, which keeps equal cells in order.
        order.sort_by(|a, b| mass[*b as usize].total_cmp(&mass[*a as usize]));
        let count = match self {
            Self::Share(share) => rounded(share, mass.len()),
            Self::Count(count) => count as usize,
            Self::Mass(wanted) => {
                // Of what there is: given weights need not add up to 1.
                let wanted = wanted * mass.iter().sum::<f64>();
                let mut held = 0.0;
                let fewer = order.iter().take_while(|cell| {
                    let before = held;
                    held += mass[**cell as usize];
                    // The cell that reaches the share belongs to it.
                    before < wanted
                });
                fewer.count()
            }
        };
        order.truncate(count);
        order
    }
}

/// Returns the mass that a map of `patches` (rows, columns) has within the cell (row, column) of
/// `extent` (rows, columns) over the same picture, by overlap of area.
fn mass_in_cell(map: &[f32], patches: Size, (row, column): Size, extent: Size) -> f64 {
    // Those alone that it covers a part of: a grid may have a cell for each pixel.
    let rows = covered((row, extent.0), patches.0);
    let columns = covered((column, extent.1), patches.1);
    rows.flat_map(|row| columns.clone().map(move |column| (row, column)))
        // Patches row by row, as they are numbered: the order of a sum is part of its bits.
        .filter_map(|at| Some((at, map.get(at.0 * patches.1 + at.1)?)))
        .map(|(at, &mass)| {
            f64::from(mass)
                * overlap((row, extent.0), (at.0, patches.0))
                * overlap((column, extent.1), (at.1, patches.1))
        })
        .sum()
}

/// Returns the patches of `side` that cell `cell` of `cells` covers a part of along one axis.
fn covered((cell, cells): (usize, usize), side: usize) -> Range<usize> {
    cell * side / cells..((cell + 1) * side).div_ceil(cells)
}

/// Returns the share of patch `patch` of `side` that cell `cell` of `cells` covers along one axis.
fn overlap((cell, cells): (usize, usize), (patch, side): (usize, usize)) -> f64 {
    // Both edges in units of 1 / (side * cells), which keeps them whole numbers.
    let low = (cell * side).max(patch * cells);
    let high = ((cell + 1) * side).min((patch + 1) * cells);
    high.saturating_sub(low) as f64 / cells as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_share_the_mass_among_them() {
        let attention: Vec<f32> = (0..36).map(|i| i as f32).collect();
        for rows in 1..15 {
            let extent = (rows, 9);
            let total: f64 = (0..rows * 9)
                .map(|c| mass_in_cell(&attention, (6, 6), (c / 9, c % 9), extent))
                .sum();
            assert!((total - 630.0).abs() < 1e-9, "{rows}: {total}");
        }
        assert!((mass_in_cell(&attention, (6, 6), (1, 1), (6, 6)) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_cell_has_the_mass_of_the_patches_that_it_covers() {
        let map: Vec<f32> = (0..35).map(|i| 1.0 / (i as f32 + 0.7)).collect();
        // All patches, those that it does not cover at all as well.
        let of_all = |cell: Size, extent: Size| -> f64 {
            let patches = map.iter().enumerate();
            let parts = patches.map(|(i, &mass)| {
                f64::from(mass)
                    * overlap((cell.0, extent.0), (i / 7, 5))
                    * overlap((cell.1, extent.1), (i % 7, 7))
            });
            parts.sum()
        };
        for extent in [(1, 1), (5, 7), (3, 4), (7, 5), (13, 20)] {
            for cell in 0..extent.0 * extent.1 {
                let cell = (cell / extent.1, cell % extent.1);
                let found = mass_in_cell(&map, (5, 7), cell, extent);
                assert_eq!(found.to_bits(), of_all(cell, extent).to_bits(), "{cell:?}");
            }
        }
        // A cell for each of 336 x 336 pixels, over as many weights.
        let (side, even) = (336, vec![1.0; 336 * 336]);
        let cells = (0..side * side).map(|c| (c / side, c % side));
        let total: f64 = cells
            .map(|c| mass_in_cell(&even, (side, side), c, (side, side)))
            .sum();
        assert_eq!(total, 336.0 * 336.0);
    }

    #[test]
    fn mass_takes_the_fewest_cells() {
        let mass = [0.1, 0.4, 0.2, 0.3];
        assert_eq!(Amount::Mass(0.0).top(&mass), [0u32; 0]);
        assert_eq!(Amount::Mass(0.4).top(&mass), [1]);
        assert_eq!(Amount::Mass(0.5).top(&mass), [1, 3]);
        assert_eq!(Amount::Share(0.5).top(&mass), [1, 3]);
        assert_eq!(Amount::Share(1.0).top(&mass).len(), 4);
        assert_eq!(Amount::Count(2).top(&mass), [1, 3]);
        assert_eq!(Amount::Count(9).top(&mass).len(), 4);
    }
}
