//! Occlude patches: PatchDrop of Naseer et al. 2021, "Intriguing Properties of Vision
//! Transformers", as Lee et al. 2024 (section 3.5) use it.
//!
//! Law: salient and non-salient patches of one amount partition the picture.

use crate::intervention::compile::{
    Compiler, Context, Entry, SaliencyQuery, Salient, Spec, grid_work, rounded,
};
use crate::intervention::error::Error;
use crate::intervention::plan::{Fill, ImageChange, Resolution, Resolved, indices};
use crate::vision::CellGrid;

/// Paints over cells of a grid on every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct OccludePatches {
    /// The cells to paint over.
    pub choice: Choice,
    /// Cells along each side; 0 is the tower's patch grid.
    pub grid: usize,
    /// The paint. A blur of 0 pixels is a sixteenth of the side of the base view.
    pub fill: Fill,
    /// Seed of the noise.
    pub fill_seed: u64,
}

/// A choice of cells.
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
    /// Cells by number.
    Indices(Vec<u32>),
}

/// Largest standard deviation of the blur, in pixels.
const MAX_BLUR: f64 = 256.0;
/// Numbers of the kernel where none is asked for, about: a sixteenth of a side of 336.
const DEFAULT_TAPS: u64 = 128;

impl Spec for OccludePatches {
    fn saliency_queries(&self) -> Vec<SaliencyQuery> {
        self.salient()
            .and_then(Salient::query)
            .into_iter()
            .collect()
    }

    fn picture_work(&self, pixels: u64) -> u64 {
        let taps = match self.fill {
            Fill::Blur(0.0) => DEFAULT_TAPS,
            // Three standard deviations to both sides; above the bound it is refused.
            Fill::Blur(sigma) => (6.0 * sigma.clamp(0.0, MAX_BLUR)) as u64,
            _ => 0,
        };
        // Three channels along both axes.
        grid_work(self.grid, pixels) + pixels * 6 * taps
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let context = compiler.context;
        let given = match self.grid {
            0 => None,
            side => Some(entry.grid(context, side)?),
        };
        let fill = match self.fill {
            Fill::Blur(sigma) if !(0.0..=MAX_BLUR).contains(&sigma) => {
                return Err(entry.invalid(
                    "blur_sigma",
                    format!("{sigma} is not in 0 to {MAX_BLUR} pixels"),
                ));
            }
            Fill::Blur(0.0) => Fill::Blur(context.model.processor.side as f64 / 16.0),
            fill => fill,
        };
        // After the checks of values, which a preview without pictures reports, too.
        entry.needs_image(context)?;
        let mut resolved = Resolved {
            changed_nothing: true,
            ..Resolved::default()
        };
        for (image, tokens) in context.images.iter().enumerate() {
            // Of each picture: towers that take any size have grids that differ.
            let (rows, columns) = tokens.view.grid;
            let grid = given.unwrap_or(CellGrid { rows, columns });
            self.check(entry, grid)?;
            let cells = self.cells(entry, compiler, grid, image)?;
            resolved.changed_nothing &= cells.is_empty();
            let digest = self
                .salient()
                .and_then(|s| s.model_digest(context))
                .unwrap_or_default();
            resolved.resolutions.push(Resolution {
                digest,
                ..Resolution::of(image, cells.clone())
            });
            let draws = entry.draws(self.fill_seed, context, image);
            let change = ImageChange::Paint { cells, fill, draws };
            compiler.edit_image(entry, image, grid, change);
        }
        Ok(resolved)
    }
}

impl OccludePatches {
    /// Returns the attention that its choice ranks by.
    fn salient(&self) -> Option<&Salient> {
        match &self.choice {
            Choice::Salient(salient) | Choice::NonSalient(salient) => Some(salient),
            Choice::Random { .. } | Choice::Indices(_) => None,
        }
    }

    fn check(&self, entry: Entry, grid: CellGrid) -> Result<(), Error> {
        match &self.choice {
            Choice::Random { ratio, .. } => entry.check_share("random.ratio", *ratio),
            Choice::Salient(salient) => salient.check(entry, "salient"),
            Choice::NonSalient(salient) => salient.check(entry, "non_salient"),
            Choice::Indices(cells) => entry.check_numbers(
                "indices.indices",
                cells,
                grid.cells(),
                "the cells of the grid",
            ),
        }
    }

    fn cells(
        &self,
        entry: Entry,
        compiler: &Compiler<'_>,
        grid: CellGrid,
        image: usize,
    ) -> Result<Vec<u32>, Error> {
        let context = compiler.context;
        let mut cells = match &self.choice {
            Choice::Random { ratio, seed } => entry
                .draws(*seed, context, image)
                .subset(grid.cells(), rounded(*ratio, grid.cells())),
            Choice::Indices(cells) => cells.clone(),
            Choice::Salient(salient) => top(entry, "salient", salient, (context, image, grid))?,
            Choice::NonSalient(salient) => {
                // A mask: a grid may have a cell for each pixel, too many to look for in a list.
                let mut others = vec![true; grid.cells()];
                for cell in top(entry, "non_salient", salient, (context, image, grid))? {
                    others[cell as usize] = false;
                }
                indices(&others)
            }
        };
        // Noise is drawn cell by cell: the order must not depend on how cells were chosen.
        cells.sort_unstable();
        cells.dedup();
        Ok(cells)
    }
}

/// Returns the most attended cells of a picture.
fn top(
    entry: Entry,
    field: &str,
    salient: &Salient,
    (context, image, grid): (&Context<'_>, usize, CellGrid),
) -> Result<Vec<u32>, Error> {
    let mass = salient.of_grid(entry, field, context, image, grid)?;
    Ok(salient.amount.top(&mass))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_blurs_have_their_price() {
        let work = |grid: usize, fill: Fill| {
            let choice = Choice::Indices(Vec::new());
            let fill_seed = 0;
            let occlude = OccludePatches {
                choice,
                grid,
                fill,
                fill_seed,
            };
            occlude.picture_work(336 * 336)
        };
        let coarse = work(24, Fill::BLACK);
        assert!(work(336, Fill::BLACK) > 3 * coarse);
        // A kernel of 1,537 numbers for each of three channels, along two axes.
        assert!(work(24, Fill::Blur(256.0)) > 200 * coarse);
        // What is refused is not priced beyond all bounds.
        assert_eq!(work(usize::MAX, Fill::BLACK), work(336, Fill::BLACK));
        assert_eq!(
            work(24, Fill::Blur(f64::INFINITY)),
            work(24, Fill::Blur(256.0))
        );
    }
}
