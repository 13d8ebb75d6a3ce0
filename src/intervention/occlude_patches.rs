//! Occlude patches: PatchDrop of Naseer et al. 2021, "Intriguing Properties of Vision
//! Transformers", as Lee et al. 2024 (section 3.5) use it.
//!
//! Law: salient and non-salient patches of one amount partition the picture.

use super::plan::{Resolution, Resolved};
use super::retouch::{Change, Fill, Retouch};
use super::salient::{Salient, rounded};
use super::{Compiler, Error, Place, check_share};
use crate::vision::Grid;

/// Paints over cells of a grid on every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct OccludePatches {
    /// Which cells.
    pub choice: Choice,
    /// Cells along each side; 0 is the tower's patch grid.
    pub grid: usize,
    /// With what. A blur of 0 pixels is a sixteenth of the side of the base view.
    pub fill: Fill,
    /// Seed of the noise.
    pub fill_seed: u64,
}

/// Which cells.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// `floor(ratio * cells + 0.5)` of them, at random.
    Random {
        /// Share of the cells.
        ratio: f64,
        /// Seed of the draw.
        seed: u64,
    },
    /// The most attended.
    Salient(Salient),
    /// All but the most attended.
    NonSalient(Salient),
    /// By number.
    Indices(Vec<u32>),
}

const MOST_BLUR: f64 = 256.0;

impl OccludePatches {
    pub(super) fn salient(&self) -> Option<&Salient> {
        match &self.choice {
            Choice::Salient(salient) | Choice::NonSalient(salient) => Some(salient),
            Choice::Random { .. } | Choice::Indices(_) => None,
        }
    }

    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let context = compiler.context;
        let given = match self.grid {
            0 => None,
            side => Some(place.grid(context, side)?),
        };
        let fill = match self.fill {
            Fill::Blur(sigma) if !(0.0..=MOST_BLUR).contains(&sigma) => {
                return Err(place.invalid(
                    "blur_sigma",
                    format!("{sigma} is not in 0 to {MOST_BLUR} pixels"),
                ));
            }
            Fill::Blur(0.0) => Fill::Blur(context.model.processor.side as f64 / 16.0),
            fill => fill,
        };
        place.needs_image(context)?;
        let mut resolved = Resolved {
            changed_nothing: true,
            ..Resolved::default()
        };
        for (image, tokens) in context.images.iter().enumerate() {
            let (rows, columns) = tokens.view.grid;
            let grid = given.unwrap_or(Grid { rows, columns });
            self.check(place, grid)?;
            let cells = self.cells(place, compiler, grid, image)?;
            resolved.changed_nothing &= cells.is_empty();
            let digest = self
                .salient()
                .and_then(|s| s.model_digest(context))
                .unwrap_or_default();
            resolved.resolutions.push(Resolution {
                digest,
                ..Resolution::of(image, cells.clone())
            });
            let draws = place.draws(self.fill_seed, context, image);
            let change = Change::Paint { cells, fill, draws };
            compiler.plan.retouches.push(Retouch {
                owner: place.index,
                image,
                grid,
                change,
            });
        }
        Ok(resolved)
    }

    fn check(&self, place: Place, grid: Grid) -> Result<(), Error> {
        match &self.choice {
            Choice::Random { ratio, .. } => check_share(place, "random.ratio", *ratio),
            Choice::Salient(salient) => salient.check(place, "salient"),
            Choice::NonSalient(salient) => salient.check(place, "non_salient"),
            Choice::Indices(cells) => match cells.iter().find(|&&c| c as usize >= grid.cells()) {
                Some(cell) => {
                    let message = format!(
                        "{cell} is not below {}, the cells of the grid",
                        grid.cells()
                    );
                    Err(place.invalid("indices.indices", message))
                }
                None => Ok(()),
            },
        }
    }

    fn cells(
        &self,
        place: Place,
        compiler: &Compiler<'_>,
        grid: Grid,
        image: usize,
    ) -> Result<Vec<u32>, Error> {
        let context = compiler.context;
        let top = |salient: &Salient, field: &str| {
            Ok::<_, Error>(
                salient
                    .amount
                    .top(&salient.of_grid(place, field, context, image, grid)?),
            )
        };
        let mut cells = match &self.choice {
            Choice::Random { ratio, seed } => place
                .draws(*seed, context, image)
                .subset(grid.cells(), rounded(*ratio, grid.cells())),
            Choice::Indices(cells) => cells.clone(),
            Choice::Salient(salient) => top(salient, "salient")?,
            Choice::NonSalient(salient) => {
                let keep = top(salient, "non_salient")?;
                (0..grid.cells() as u32)
                    .filter(|c| !keep.contains(c))
                    .collect()
            }
        };
        cells.sort_unstable();
        cells.dedup();
        Ok(cells)
    }
}
