//! Edits of a picture after resizing and before normalisation, in its base view and on the canvas of
//! its tiles.

use crate::intervention::random::Draws;
use crate::vision::{CellGrid, Picture, Processor, Rgb, View, blur};

/// An edit of one picture.
#[derive(Debug, Clone)]
pub struct ImageEdit {
    /// The intervention that it belongs to.
    pub owner: usize,
    /// The picture.
    pub image: usize,
    /// The grid of its cells.
    pub grid: CellGrid,
    /// The change of the cells.
    pub change: ImageChange,
}

/// A change of cells.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "few per request")]
pub enum ImageChange {
    /// Paints over these.
    Paint {
        /// Ascending.
        cells: Vec<u32>,
        /// The paint.
        fill: Fill,
        /// The source of noise.
        draws: Draws,
    },
    /// Lets cell i show what cell `order[i]` showed.
    Shuffle {
        /// A permutation of all cells.
        order: Vec<u32>,
    },
}

/// The paint of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// One colour.
    Colour([u8; 3]),
    /// Exactly zero after normalisation; the nearest colour where it is seen.
    Mean,
    /// Gaussian noise: standard normal after normalisation, clipped to 8 bits.
    Noise,
    /// The picture under a Gaussian blur of this standard deviation in pixels.
    Blur(f64),
}

impl Fill {
    /// Zero before normalisation.
    pub const BLACK: Self = Self::Colour([0; 3]);
}

impl ImageEdit {
    /// Edits `picture`; returns the sums of squares of the change and of the old values.
    pub(super) fn apply(&self, picture: &mut Picture, processor: &Processor) -> (f64, f64) {
        // The whole picture: an edit may touch any of its cells, in both of its views.
        let before = picture.clone();
        match &self.change {
            ImageChange::Paint { cells, fill, draws } => {
                self.paint(picture, processor, cells, *fill, draws.clone());
            }
            ImageChange::Shuffle { order } => self.shuffle(picture, order),
        }
        let mut sums = (0.0, 0.0);
        add_difference(&mut sums, &before.base, &picture.base, processor);
        if let (Some(old), Some(new)) = (&before.canvas, &picture.canvas) {
            add_difference(&mut sums, &old.view, &new.view, processor);
        }
        sums
    }

    fn shuffle(&self, picture: &mut Picture, order: &[u32]) {
        for (view, area) in picture.areas() {
            // The mask of exact means moves with the picture.
            for image in std::iter::once(&mut view.image).chain(&mut view.mean) {
                let old = image.clone();
                for (to, &from) in order.iter().enumerate() {
                    self.grid.copy(&old, image, area, from as usize, to);
                }
            }
        }
    }

    fn paint(
        &self,
        picture: &mut Picture,
        processor: &Processor,
        cells: &[u32],
        fill: Fill,
        mut draws: Draws,
    ) {
        let nearest = processor.nearest_mean();
        let mut areas = picture.areas();
        // Blurred before anything is painted: a cell's blur must not see its painted neighbours.
        let blurred: Vec<Option<Rgb>> = areas
            .iter()
            .map(|(view, area)| match fill {
                Fill::Blur(sigma) => Some(blur(&view.image, *area, sigma)),
                _ => None,
            })
            .collect();
        // Cell by cell and, within, view by view: the order in which noise is drawn.
        for &cell in cells {
            let cell = cell as usize;
            for ((view, area), blurred) in areas.iter_mut().zip(&blurred) {
                let View { image, mean } = &mut **view;
                self.grid.paint(image, *area, cell, |at, pixel| {
                    fill.write(
                        pixel,
                        at,
                        (blurred.as_ref(), nearest),
                        processor,
                        &mut draws,
                    );
                });
                // The exact mean is no 8-bit value: a mask marks where it stands. Other paint
                // clears the mask again.
                if fill == Fill::Mean && mean.is_none() {
                    *mean = Some(Rgb::filled(image.width, image.height, [0; 3]));
                }
                if let Some(mean) = mean {
                    let mark = if fill == Fill::Mean { 255 } else { 0 };
                    self.grid
                        .paint(mean, *area, cell, |_, pixel| pixel.fill(mark));
                }
            }
        }
    }
}

impl Fill {
    /// Writes the pixel at byte `at` of the picture, whose blurred copy and nearest mean colour are
    /// given.
    fn write(
        self,
        pixel: &mut [u8],
        at: usize,
        (blurred, nearest): (Option<&Rgb>, [u8; 3]),
        processor: &Processor,
        draws: &mut Draws,
    ) {
        match (self, blurred) {
            (Self::Colour(colour), _) => pixel.copy_from_slice(&colour),
            (Self::Blur(_), Some(blurred)) => pixel.copy_from_slice(&blurred.data[at..at + 3]),
            // A blur always comes with its blurred copy, which the compiler cannot know.
            (Self::Mean | Self::Blur(_), _) => pixel.copy_from_slice(&nearest),
            (Self::Noise, _) => {
                let moments = processor.mean.iter().zip(&processor.std);
                for (value, (&mean, &std)) in pixel.iter_mut().zip(moments) {
                    let normal = f64::from(mean) + f64::from(std) * draws.gaussian();
                    let level = (normal / processor.rescale_factor).round();
                    *value = level.clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
}

fn add_difference(sums: &mut (f64, f64), old: &View, new: &View, processor: &Processor) {
    for (old, new) in levels(old, processor).zip(levels(new, processor)) {
        sums.0 += (new - old).powi(2);
        sums.1 += old.powi(2);
    }
}

/// Returns the values of a view before normalisation, with the exact mean where it was painted.
fn levels<'a>(view: &'a View, processor: &Processor) -> impl Iterator<Item = f64> + 'a {
    let mean = processor.mean_levels();
    let is_mean = move |i: usize| view.mean.as_ref().is_some_and(|mean| mean.data[i] > 0);
    view.image.data.iter().enumerate().map(move |(i, &v)| {
        if is_mean(i) {
            mean[i % 3]
        } else {
            f64::from(v)
        }
    })
}
