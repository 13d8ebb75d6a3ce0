//! Which patches matter most: by the tower's attention, by that of a saliency model, or by given
//! weights.

use std::collections::BTreeMap;

use super::selector::Item;
use super::{Context, Error, Place as At, check_share};
use crate::model::Place;
use crate::vision::{Grid, Size};

/// The most attended patches.
#[derive(Debug, Clone, PartialEq)]
pub struct Salient {
    /// How many.
    pub amount: Amount,
    /// Whose attention.
    pub source: SaliencySource,
    /// One head; the mean over heads where it is `None`.
    pub head: Option<u32>,
}

/// Whose attention.
#[derive(Debug, Clone, PartialEq)]
pub enum SaliencySource {
    /// The tower's own.
    Tower,
    /// A resident saliency model's.
    Model(String),
    /// Given, `n * n` of them.
    Weights(Vec<f32>),
}

/// How many cells are salient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// The fewest that together hold at least this share of the attention mass.
    Mass(f64),
    /// `floor(share * cells + 0.5)`.
    Share(f64),
}

/// A look at the pictures that has to be taken before compiling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look {
    /// Name of a saliency model; the tower where it is `None`.
    pub model: Option<String>,
    /// One head.
    pub head: Option<u32>,
}

/// Attention mass by look, picture, view and patch (row by row of a square grid). A saliency model
/// sees one view.
pub type Looks = BTreeMap<Look, Vec<Vec<Vec<f32>>>>;

impl Salient {
    /// What has to be looked at for it.
    pub(super) fn look(&self) -> Option<Look> {
        match &self.source {
            SaliencySource::Tower => Some(Look {
                model: None,
                head: self.head,
            }),
            SaliencySource::Model(name) => Some(Look {
                model: Some(name.clone()),
                head: self.head,
            }),
            SaliencySource::Weights(_) => None,
        }
    }

    /// The digest of the saliency model that it asks.
    pub(super) fn model_digest(&self, context: &Context<'_>) -> Option<String> {
        match &self.source {
            SaliencySource::Model(name) => context.saliency_digests.get(name).cloned(),
            SaliencySource::Tower | SaliencySource::Weights(_) => None,
        }
    }

    pub(super) fn check(&self, at: At, field: &str) -> Result<(), Error> {
        match self.amount {
            Amount::Mass(mass) => check_share(at, &format!("{field}.mass"), mass)?,
            Amount::Share(share) => check_share(at, &format!("{field}.share"), share)?,
        }
        if let SaliencySource::Weights(weights) = &self.source {
            let path = format!("{field}.weights.weights");
            if weights.is_empty() || side(weights.len()).pow(2) != weights.len() {
                let message = format!(
                    "{} weights; a square number of them is needed, 36 for instance",
                    weights.len()
                );
                return Err(at.invalid(&path, message));
            }
            if let Some(weight) = weights.iter().find(|w| !w.is_finite() || **w < 0.0) {
                return Err(at.invalid(&path, format!("{weight}; numbers from 0 up are needed")));
            }
        }
        Ok(())
    }

    /// Attention of a picture by view and patch.
    fn views<'a>(
        &'a self,
        at: At,
        field: &str,
        context: &'a Context<'_>,
        image: usize,
    ) -> Result<&'a [Vec<f32>], Error> {
        if let SaliencySource::Weights(weights) = &self.source {
            return Ok(std::slice::from_ref(weights));
        }
        let found = self
            .look()
            .and_then(|look| context.looks.get(&look))
            .and_then(|l| l.get(image));
        found
            .map(Vec::as_slice)
            .ok_or_else(|| at.invalid(field, "no attention was measured"))
    }

    /// Returns the rows and columns of patches that attention over one view counts: those of the
    /// tower's view, or of a square.
    fn patches(&self, context: &Context<'_>, image: usize, view: &[f32]) -> Size {
        match (&self.source, context.images.get(image)) {
            (SaliencySource::Tower, Some(tokens)) => tokens.view.grid,
            _ => (side(view.len()), side(view.len())),
        }
    }

    /// The mass of each cell of `grid` over the base view.
    pub(super) fn of_grid(
        &self,
        at: At,
        field: &str,
        context: &Context<'_>,
        image: usize,
        grid: Grid,
    ) -> Result<Vec<f64>, Error> {
        let views = self.views(at, field, context, image)?;
        let base = views.first().map_or(&[][..], Vec::as_slice);
        let patches = self.patches(context, image, base);
        let mass = |cell: usize| {
            let at = (cell / grid.columns, cell % grid.columns);
            poured(base, patches, at, (grid.rows, grid.columns))
        };
        Ok((0..grid.cells()).map(mass).collect())
    }

    /// The mass of a patch, or of a token made of patches.
    pub(super) fn of_item(
        &self,
        at: At,
        field: &str,
        context: &Context<'_>,
        image: usize,
        item: &Item,
    ) -> Result<f64, Error> {
        let views = self.views(at, field, context, image)?;
        let Item::Visual {
            place,
            extent,
            patches,
            ..
        } = item
        else {
            return Ok(0.0);
        };
        Ok(match (&self.source, place) {
            (SaliencySource::Tower, _) => patches
                .iter()
                .map(|&(view, patch, weight)| {
                    f64::from(weight)
                        * views
                            .get(view)
                            .and_then(|v| v.get(patch))
                            .map_or(0.0, |&a| f64::from(a))
                })
                .sum(),
            // A picture's weights, laid over its base view or its canvas.
            (_, Some(Place::Base { row, column } | Place::Canvas { row, column, .. })) => {
                let weights = views.first().map_or(&[][..], Vec::as_slice);
                let patches = self.patches(context, image, weights);
                poured(weights, patches, (*row, *column), *extent)
            }
            _ => 0.0,
        })
    }
}

pub(super) fn rounded(share: f64, cells: usize) -> usize {
    (share * cells as f64 + 0.5).floor() as usize
}

fn side(cells: usize) -> usize {
    cells.isqrt()
}

impl Amount {
    /// The chosen cells; of equal ones those that come first.
    pub(super) fn top(self, mass: &[f64]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..mass.len() as u32).collect();
        order.sort_by(|a, b| mass[*b as usize].total_cmp(&mass[*a as usize]));
        let count = match self {
            Self::Share(share) => rounded(share, mass.len()),
            Self::Mass(wanted) => {
                let wanted = wanted * mass.iter().sum::<f64>();
                let mut held = 0.0;
                let fewer = order.iter().take_while(|c| {
                    let before = held;
                    held += mass[**c as usize];
                    before < wanted
                });
                fewer.count()
            }
        };
        order.truncate(count);
        order
    }
}

/// Pours the mass of a grid of `patches` (rows, columns) into the cell (row, column) of `extent`
/// (rows, columns) over the same picture, by overlap of area.
fn poured(attention: &[f32], patches: Size, (row, column): Size, extent: Size) -> f64 {
    let mass = |(i, &a): (usize, &f32)| {
        f64::from(a)
            * overlap((row, extent.0), (i / patches.1, patches.0))
            * overlap((column, extent.1), (i % patches.1, patches.1))
    };
    attention.iter().enumerate().map(mass).sum()
}

/// Returns the share of a patch, (number, count) along an axis, that lies in a cell of that axis.
fn overlap((cell, cells): (usize, usize), (patch, patches): (usize, usize)) -> f64 {
    // Both edges in units of 1 / (patches * cells).
    let low = (cell * patches).max(patch * cells);
    let high = ((cell + 1) * patches).min((patch + 1) * cells);
    high.saturating_sub(low) as f64 / cells as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pouring_keeps_the_mass() {
        let attention: Vec<f32> = (0..36).map(|i| i as f32).collect();
        for rows in 1..15 {
            let extent = (rows, 9);
            let total: f64 = (0..rows * 9)
                .map(|c| poured(&attention, (6, 6), (c / 9, c % 9), extent))
                .sum();
            assert!((total - 630.0).abs() < 1e-9, "{rows}: {total}");
        }
        assert!((poured(&attention, (6, 6), (1, 1), (6, 6)) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn mass_takes_the_fewest_cells() {
        let mass = [0.1, 0.4, 0.2, 0.3];
        assert_eq!(Amount::Mass(0.0).top(&mass), [0u32; 0]);
        assert_eq!(Amount::Mass(0.4).top(&mass), [1]);
        assert_eq!(Amount::Mass(0.5).top(&mass), [1, 3]);
        assert_eq!(Amount::Share(0.5).top(&mass), [1, 3]);
        assert_eq!(Amount::Share(1.0).top(&mass).len(), 4);
    }
}
