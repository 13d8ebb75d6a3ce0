//! Changes of a picture after resizing and before normalisation, in its base view and on the canvas
//! of its tiles.

use super::Draws;
use crate::vision::{Grid, Picture, Processor, Rgb, View, blur};

/// A change of one picture.
#[derive(Debug, Clone)]
pub struct Retouch {
    /// Which intervention it belongs to.
    pub owner: usize,
    /// Which picture.
    pub image: usize,
    /// The grid of its cells.
    pub grid: Grid,
    /// What happens to them.
    pub change: Change,
}

/// What happens to cells.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "few per request")]
pub enum Change {
    /// These are painted over.
    Paint {
        /// Ascending.
        cells: Vec<u32>,
        /// With what.
        fill: Fill,
        /// The source of noise.
        draws: Draws,
    },
    /// Cell i shows what cell `order[i]` showed.
    Shuffle {
        /// A permutation of all cells.
        order: Vec<u32>,
    },
}

/// What stands in a painted cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// One colour.
    Colour([u8; 3]),
    /// Exactly zero after normalisation; the nearest colour where it is seen.
    Mean,
    /// Gaussian noise, standard normal after normalisation, clipped to 8 bits.
    Noise,
    /// The picture under a Gaussian blur of this standard deviation in pixels.
    Blur(f64),
}

impl Fill {
    /// Zero before normalisation.
    pub const BLACK: Self = Self::Colour([0; 3]);
}

impl Retouch {
    /// Changes `picture`; the sums of squares of what changed and of what was there.
    pub fn apply(&self, picture: &mut Picture, processor: &Processor) -> (f64, f64) {
        let before = picture.clone();
        match &self.change {
            Change::Paint { cells, fill, draws } => {
                self.paint(picture, processor, cells, *fill, draws.clone())
            }
            Change::Shuffle { order } => {
                for (view, area) in picture.areas() {
                    for image in std::iter::once(&mut view.image).chain(&mut view.mean) {
                        let old = image.clone();
                        for (to, &from) in order.iter().enumerate() {
                            self.grid.copy(&old, image, area, from as usize, to);
                        }
                    }
                }
            }
        }
        let mut sums = (0.0, 0.0);
        let mut add = |old: &View, new: &View| {
            for (o, n) in levels(old, processor).zip(levels(new, processor)) {
                sums.0 += (n - o).powi(2);
                sums.1 += o.powi(2);
            }
        };
        add(&before.base, &picture.base);
        if let (Some(old), Some(new)) = (&before.canvas, &picture.canvas) {
            add(&old.view, &new.view);
        }
        sums
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
        let scale = processor.rescale_factor;
        let mut areas: Vec<_> = picture
            .areas()
            .into_iter()
            .map(|(view, area)| {
                let blurred = if let Fill::Blur(sigma) = fill {
                    Some(blur(&view.image, area, sigma))
                } else {
                    None
                };
                (view, area, blurred)
            })
            .collect();
        for &cell in cells {
            let cell = cell as usize;
            for (view, area, blurred) in &mut areas {
                let View { image, mean } = &mut **view;
                self.grid
                    .paint(image, *area, cell, |at, pixel| match (fill, &blurred) {
                        (Fill::Colour(colour), _) => pixel.copy_from_slice(&colour),
                        (Fill::Blur(_), Some(blurred)) => {
                            pixel.copy_from_slice(&blurred.data[at..at + 3])
                        }
                        (Fill::Mean | Fill::Blur(_), _) => pixel.copy_from_slice(&nearest),
                        (Fill::Noise, _) => {
                            for (channel, value) in pixel.iter_mut().enumerate() {
                                let (m, s) = (
                                    f64::from(processor.mean[channel]),
                                    f64::from(processor.std[channel]),
                                );
                                *value = ((m + s * draws.gaussian()) / scale)
                                    .round()
                                    .clamp(0.0, 255.0)
                                    as u8;
                            }
                        }
                    });
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

/// The values of a view before normalisation, the mean where it stands.
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
