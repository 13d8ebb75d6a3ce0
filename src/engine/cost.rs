//! Prices requests by arithmetic: rows through layers, and floating-point operations of matrix
//! products.

use std::ops::{Add, AddAssign};

use crate::intervention::{Plan, RowsProcessed};
use crate::model::{ImageTokens, Model, ResidentProjector};
use crate::nn::{HostTensor, Stack};

/// Work that was done, or will be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// (row, layer) pairs in both transformers.
    pub rows: u64,
    /// Operations of all matrix products, a multiply-add counted as two; masked scores are
    /// computed, and count.
    pub flops: u64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            flops: self.flops + other.flops,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Prices one layer over `rows` rows that see `keys` keys: `weights` numbers in its matrices, scores
/// and values `width` wide in all.
fn layer(rows: usize, keys: usize, weights: usize, width: usize) -> Cost {
    Cost {
        rows: rows as u64,
        // Two products of attention: of queries with keys, and of the pattern with values.
        flops: 2 * (rows * weights + 2 * rows * keys * width) as u64,
    }
}

impl Cost {
    /// Multiplies both numbers.
    pub fn times(self, count: u64) -> Self {
        Self {
            rows: self.rows * count,
            flops: self.flops * count,
        }
    }

    /// Prices reading `images` and a prompt of `prompt` tokens, once for each of `continuations`
    /// more tokens (a plain prompt has one continuation of 0).
    pub fn of_prompt(
        model: &Model,
        plan: &Plan,
        images: &[ImageTokens],
        prompt: usize,
        continuations: &[usize],
    ) -> Self {
        let mut cost = Self::of_pictures(model, plan, images);
        for &more in continuations {
            for (rows, weights) in Self::rows_by_layer(model, plan, prompt + more) {
                cost += layer(rows, rows, weights, attention_width(model));
            }
            // A plain prompt needs the logits of its last row; a continuation those of each of its
            // tokens.
            cost += Self::of_head(model, more.max(1));
        }
        cost
    }

    /// Prices reading generated token number `step`, from 1, after a prompt of `prompt` tokens.
    pub fn of_step(model: &Model, plan: &Plan, prompt: usize, step: usize) -> Self {
        let mut cost = Self::of_head(model, 1);
        for (rows, weights) in Self::rows_by_layer(model, plan, prompt) {
            // One row; its keys are the prompt's that are left, and those of all tokens up to
            // itself.
            cost += layer(1, rows + step, weights, attention_width(model));
        }
        cost
    }

    /// Prices rows that have passed layers of a transformer.
    pub fn of_passed(model: &Model, stack: Stack, passed: RowsProcessed) -> Self {
        let (weights, width) = match stack {
            Stack::VisionTower => {
                let info = model.tower.info();
                (info.layer_weights, info.width)
            }
            Stack::LanguageModel => (model.decoder.layer_weights(), attention_width(model)),
            // Without layers, it is priced by picture; see `of_projector`.
            Stack::Projector => return Self::default(),
        };
        let flops = 2 * (passed.rows * weights as u64 + 2 * passed.keys * width as u64);
        Self {
            rows: passed.rows,
            flops,
        }
    }

    /// Prices `rows` rows through the head.
    pub fn of_head(model: &Model, rows: usize) -> Self {
        let config = model.decoder.config();
        Self {
            rows: 0,
            flops: 2 * (rows * config.hidden_size * config.vocab_size) as u64,
        }
    }

    /// Prices cutting and embedding the patches of a picture.
    pub fn of_patches(model: &Model, image: &ImageTokens) -> Self {
        let patches = image.views * image.view.patches();
        Self {
            rows: 0,
            flops: 2 * (patches * model.tower.info().patch_weights) as u64,
        }
    }

    /// Prices putting a picture's views through a projector.
    pub fn of_projector(projector: &ResidentProjector, image: &ImageTokens) -> Self {
        Self {
            rows: 0,
            flops: 2 * (image.views * image.view.tokens * projector.weights()) as u64,
        }
    }

    /// Prices pictures up to their visual tokens.
    fn of_pictures(model: &Model, plan: &Plan, images: &[ImageTokens]) -> Self {
        let mut cost = Self::default();
        for image in images {
            let projector = plan.projector.as_ref().unwrap_or(model.own_projector());
            cost += Self::of_projector(projector, image);
            cost += Self::of_features(model, plan, image);
        }
        cost
    }

    /// Prices the climb of one picture up the tower.
    pub(super) fn of_features(model: &Model, plan: &Plan, image: &ImageTokens) -> Self {
        let info = model.tower.info();
        let layers = plan.path(Stack::VisionTower, info.layers_run()).len() as u64;
        let rows = image.view.rows;
        let one = layer(rows, rows, info.layer_weights, info.width);
        // View by view: attention in the tower does not cross views.
        Self::of_patches(model, image) + one.times(layers * image.views as u64)
    }

    /// Returns the rows of each layer that runs in the language model, pruned ones gone; with the
    /// numbers in its matrices.
    fn rows_by_layer(
        model: &Model,
        plan: &Plan,
        mut rows: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let weights = model.decoder.layer_weights();
        let mut left = plan.prunes.clone();
        let path = plan.path(
            Stack::LanguageModel,
            model.decoder.config().num_hidden_layers,
        );
        path.into_iter().map(move |layer| {
            // Rows leave after the layer, which still runs all of them. Taken out of the map, since
            // a layer that runs again has nothing left to prune.
            let here = rows;
            rows -= left.remove(&layer).map_or(0, |p| p.leave.min(rows));
            (here, weights)
        })
    }
}

fn attention_width(model: &Model) -> usize {
    let config = model.decoder.config();
    config.num_attention_heads * config.head_width()
}

/// Returns the (row, layer) pairs of a picture's views `(V, 3, H, W)` in the tower.
pub(super) fn tower_cells(model: &Model, pixels: &HostTensor) -> u64 {
    let &[views, _, height, width] = pixels.dims() else {
        return 0;
    };
    let rows = views * model.tower.view((height, width)).rows;
    (rows * model.tower.info().layers_run()) as u64
}
