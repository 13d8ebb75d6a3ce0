//! A plan: interventions compiled against one model and one input, every random choice made.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Draws, Fill};
use crate::model::Projector;
use crate::nn::{Point, Stack};
use crate::vision::{Grid, Picture, Processor};

/// The primitive operations of one request.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Cells painted over, in order.
    pub paints: Vec<Paint>,
    /// Layers that the request sits out.
    pub dropped: BTreeSet<(Stack, usize)>,
    /// The projector to run instead of the model's own.
    pub projector: Option<Arc<Projector>>,
    /// Edits at hook points, in order.
    pub edits: Vec<Edit>,
    /// What became of each intervention, in the order of the request.
    pub resolved: Vec<Resolved>,
}

/// Cells of one picture to be painted over before normalisation.
#[derive(Debug, Clone)]
pub struct Paint {
    /// Which picture.
    pub image: usize,
    /// The grid that the cells belong to.
    pub grid: Grid,
    /// Ascending.
    pub cells: Vec<u32>,
    /// With what.
    pub fill: Fill,
    /// The source of noise.
    pub draws: Draws,
}

impl Paint {
    /// Paints the cells of `picture`, in all its views.
    pub fn apply(&self, picture: &mut Picture, processor: &Processor) {
        let mut draws = self.draws.clone();
        let mean = processor.mean_colour();
        let scale = processor.rescale_factor;
        for &cell in &self.cells {
            picture.paint(self.grid, cell as usize, |pixel| {
                for (channel, value) in pixel.iter_mut().enumerate() {
                    *value = match self.fill {
                        Fill::Black => 0,
                        Fill::Mean => mean[channel],
                        Fill::Noise => {
                            let (m, s) = (f64::from(processor.mean[channel]), f64::from(processor.std[channel]));
                            ((m + s * draws.gaussian()) / scale).round().clamp(0.0, 255.0) as u8
                        }
                    };
                }
            });
        }
    }
}

/// An operation on the rows of one picture (or one sequence) at one hook point.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Where.
    pub point: Point,
    /// Which picture; 0 in the language model.
    pub image: usize,
    /// What.
    pub operation: Operation,
}

/// What can happen to rows.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Row i becomes what row `order[i]` was.
    Gather(Vec<u32>),
}

/// What became of one intervention.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// One per picture, or one in all.
    pub resolutions: Vec<Resolution>,
    /// It fired and changed nothing.
    pub changed_nothing: bool,
}

/// The concrete choice for one picture.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// Which picture.
    pub image: usize,
    /// The order, the cells, or the layers.
    pub indices: Vec<u32>,
    /// Digest of the weights that ran instead.
    pub digest: String,
}
