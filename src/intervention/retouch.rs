//! Changes of a picture after resizing and before normalisation, in its base view and on the canvas of its tiles.

use super::Draws;
use crate::vision::{Area, Grid, Picture, Processor, Rgb, blur};

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
    /// Zero after normalisation, to the nearest level below.
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
            Change::Paint { cells, fill, draws } => self.paint(picture, processor, cells, *fill, draws.clone()),
            Change::Shuffle { order } => {
                for (image, area) in picture.areas() {
                    let old = image.clone();
                    for (to, &from) in order.iter().enumerate() {
                        self.grid.copy(&old, image, area, from as usize, to);
                    }
                }
            }
        }
        let mut sums = (0.0, 0.0);
        let mut add = |old: &Rgb, new: &Rgb| {
            for (&o, &n) in old.data.iter().zip(&new.data) {
                sums.0 += (f64::from(n) - f64::from(o)).powi(2);
                sums.1 += f64::from(o).powi(2);
            }
        };
        add(&before.base, &picture.base);
        if let (Some(old), Some(new)) = (&before.canvas, &picture.canvas) {
            add(&old.image, &new.image);
        }
        sums
    }

    fn paint(&self, picture: &mut Picture, processor: &Processor, cells: &[u32], fill: Fill, mut draws: Draws) {
        let mean = processor.mean_colour();
        let scale = processor.rescale_factor;
        let mut areas: Vec<(&mut Rgb, Area, Option<Rgb>)> = picture
            .areas()
            .into_iter()
            .map(|(image, area)| {
                let blurred = if let Fill::Blur(sigma) = fill { Some(blur(image, area, sigma)) } else { None };
                (image, area, blurred)
            })
            .collect();
        for &cell in cells {
            for (image, area, blurred) in &mut areas {
                self.grid.paint(image, *area, cell as usize, |at, pixel| match (fill, &blurred) {
                    (Fill::Colour(colour), _) => pixel.copy_from_slice(&colour),
                    (Fill::Blur(_), Some(blurred)) => pixel.copy_from_slice(&blurred.data[at..at + 3]),
                    (Fill::Mean | Fill::Blur(_), _) => pixel.copy_from_slice(&mean),
                    (Fill::Noise, _) => {
                        for (channel, value) in pixel.iter_mut().enumerate() {
                            let (m, s) = (f64::from(processor.mean[channel]), f64::from(processor.std[channel]));
                            *value = ((m + s * draws.gaussian()) / scale).round().clamp(0.0, 255.0) as u8;
                        }
                    }
                });
            }
        }
    }
}
