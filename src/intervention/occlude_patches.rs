//! Occlude patches: PatchDrop of Naseer et al. 2021, "Intriguing Properties of Vision Transformers", as Lee et al. 2024
//! (section 3.5) use it.
//!
//! Law: salient and non-salient patches of one amount partition the picture.

use super::plan::{Paint, Plan, Resolution, Resolved};
use super::{Context, Error, Place, check_share};
use crate::vision::Grid;

/// Paints over cells of a grid on every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct OccludePatches {
    /// Which cells.
    pub choice: Choice,
    /// Cells along each side; 0 is the tower's patch grid.
    pub grid: usize,
    /// With what.
    pub fill: Fill,
    /// Seed of the noise; `None` until the server has drawn it.
    pub fill_seed: Option<u64>,
}

/// Which cells.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// `floor(ratio * cells + 0.5)` of them, at random; the seed is `None` until the server has drawn it.
    Random {
        /// Share of the cells.
        ratio: f64,
        /// Seed of the draw.
        seed: Option<u64>,
    },
    /// The most attended.
    Salient(Amount),
    /// All but the most attended.
    NonSalient(Amount),
    /// By number.
    Indices(Vec<u32>),
}

impl Choice {
    pub(super) fn is_salient(&self) -> bool {
        matches!(self, Self::Salient(_) | Self::NonSalient(_))
    }
}

/// How many cells are salient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// The fewest that together hold at least this share of the attention mass.
    Mass(f64),
    /// `floor(share * cells + 0.5)`.
    Share(f64),
}

/// What stands in an occluded cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Zero before normalisation.
    Black,
    /// Zero after normalisation, to the nearest level below.
    Mean,
    /// Gaussian noise, standard normal after normalisation, clipped to 8 bits.
    Noise,
}

impl OccludePatches {
    pub(super) fn draw_open_seeds(&mut self, fresh: &mut impl FnMut() -> u64) {
        if let Choice::Random { seed: seed @ None, .. } = &mut self.choice {
            *seed = Some(fresh());
        }
        if self.fill == Fill::Noise && self.fill_seed.is_none() {
            self.fill_seed = Some(fresh());
        }
    }

    pub(super) fn compile(&self, place: Place, context: &Context<'_>, plan: &mut Plan) -> Result<Resolved, Error> {
        let config = context.model.tower.config();
        let side = if self.grid == 0 { config.grid() } else { self.grid };
        if side > context.model.processor.side {
            let limit = context.model.processor.side;
            return Err(place.invalid("grid", format!("{side} is more than the {limit} pixels of a side")));
        }
        let grid = Grid { side };
        self.check(place, grid)?;
        place.needs_image(context)?;
        let mut resolved = Resolved { changed_nothing: true, ..Resolved::default() };
        for image in 0..context.images.len() {
            let cells = self.cells(place, context, grid, image)?;
            resolved.changed_nothing &= cells.is_empty();
            resolved.resolutions.push(Resolution { image, indices: cells.clone(), ..Resolution::default() });
            let draws = place.draws(self.fill_seed.unwrap_or(0), context, image);
            plan.paints.push(Paint { image, grid, cells, fill: self.fill, draws });
        }
        Ok(resolved)
    }

    fn check(&self, place: Place, grid: Grid) -> Result<(), Error> {
        match &self.choice {
            Choice::Random { ratio, .. } => check_share(place, "random.ratio", *ratio),
            Choice::Salient(amount) => amount.check(place, "salient"),
            Choice::NonSalient(amount) => amount.check(place, "non_salient"),
            Choice::Indices(cells) => match cells.iter().find(|&&c| c as usize >= grid.cells()) {
                Some(cell) => {
                    let message = format!("{cell} is not below {}, the cells of the grid", grid.cells());
                    Err(place.invalid("indices.indices", message))
                }
                None => Ok(()),
            },
        }
    }

    fn cells(&self, place: Place, context: &Context<'_>, grid: Grid, image: usize) -> Result<Vec<u32>, Error> {
        let salient = |amount: Amount| {
            let attention =
                context.saliency.get(image).ok_or_else(|| place.never_fired("no attention was measured"))?;
            let mass = pool(attention, context.model.tower.config().grid(), grid);
            Ok::<_, Error>(amount.top(&mass))
        };
        let mut cells = match &self.choice {
            Choice::Random { ratio, seed } => {
                let seed = seed.ok_or_else(|| place.invalid("random.seed", "not drawn"))?;
                place.draws(seed, context, image).subset(grid.cells(), rounded(*ratio, grid.cells()))
            }
            Choice::Indices(cells) => cells.clone(),
            Choice::Salient(amount) => salient(*amount)?,
            Choice::NonSalient(amount) => {
                let keep = salient(*amount)?;
                (0..grid.cells() as u32).filter(|c| !keep.contains(c)).collect()
            }
        };
        cells.sort_unstable();
        cells.dedup();
        Ok(cells)
    }
}

fn rounded(share: f64, cells: usize) -> usize {
    (share * cells as f64 + 0.5).floor() as usize
}

impl Amount {
    fn check(self, place: Place, path: &str) -> Result<(), Error> {
        match self {
            Self::Mass(mass) => check_share(place, &format!("{path}.mass"), mass),
            Self::Share(share) => check_share(place, &format!("{path}.share"), share),
        }
    }

    /// The chosen cells; of equal ones those that come first.
    fn top(self, mass: &[f64]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..mass.len() as u32).collect();
        order.sort_by(|&a, &b| mass[b as usize].total_cmp(&mass[a as usize]));
        let count = match self {
            Self::Share(share) => rounded(share, mass.len()),
            Self::Mass(share) => {
                let wanted = share * mass.iter().sum::<f64>();
                let mut held = 0.0;
                order
                    .iter()
                    .take_while(|&&c| {
                        held < wanted && {
                            held += mass[c as usize];
                            true
                        }
                    })
                    .count()
            }
        };
        order.truncate(count);
        order
    }
}

/// Attention on a `side` x `side` patch grid, poured into the cells of `grid` by shared area.
fn pool(attention: &[f32], side: usize, grid: Grid) -> Vec<f64> {
    let overlap = |cell: usize, patch: usize| {
        let low = (cell as f64 / grid.side as f64).max(patch as f64 / side as f64);
        let high = ((cell + 1) as f64 / grid.side as f64).min((patch + 1) as f64 / side as f64);
        (high - low).max(0.0) * side as f64
    };
    (0..grid.cells())
        .map(|cell| {
            let (row, column) = (cell / grid.side, cell % grid.side);
            attention
                .iter()
                .enumerate()
                .map(|(i, &a)| f64::from(a) * overlap(row, i / side) * overlap(column, i % side))
                .sum()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pouring_keeps_the_mass() {
        let attention: Vec<f32> = (0..36).map(|i| i as f32).collect();
        for side in 1..15 {
            let total: f64 = pool(&attention, 6, Grid { side }).iter().sum();
            assert!((total - 630.0).abs() < 1e-9, "{side}: {total}");
        }
        assert!((pool(&attention, 6, Grid { side: 6 })[7] - 7.0).abs() < 1e-12);
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
