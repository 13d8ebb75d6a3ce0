//! What a request takes, by arithmetic: rows through layers, and floating-point operations of
//! matrix products.

use std::ops::{Add, AddAssign};

use crate::intervention::{Passed, Plan};
use crate::model::{Model, Projector};
use crate::nn::Stack;

/// What was computed, or will be.
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

/// One layer over `rows` rows that see `keys` keys: `weights` numbers in its matrices, scores and
/// values `width` wide in all.
fn layer(rows: usize, keys: usize, weights: usize, width: usize) -> Cost {
    Cost {
        rows: rows as u64,
        flops: 2 * (rows * weights + 2 * rows * keys * width) as u64,
    }
}

impl Cost {
    /// Of reading the pictures and a prompt of `prompt` tokens, once for each of `continuations`
    /// more tokens (a plain prompt has one continuation of 0).
    pub fn of_prompt(
        model: &Model,
        plan: &Plan,
        views: usize,
        prompt: usize,
        continuations: &[usize],
    ) -> Self {
        let mut cost = Self::of_pictures(model, plan, views);
        for &more in continuations {
            for (rows, weights) in Self::rows_by_layer(model, plan, prompt + more) {
                cost += layer(rows, rows, weights, attention_width(model));
            }
            cost += Self::of_head(model, more.max(1));
        }
        cost
    }

    /// Of reading generated token number `step`, from 1, after a prompt of `prompt` tokens.
    pub fn of_step(model: &Model, plan: &Plan, prompt: usize, step: usize) -> Self {
        let mut cost = Self::of_head(model, 1);
        for (rows, weights) in Self::rows_by_layer(model, plan, prompt) {
            cost += layer(1, rows + step, weights, attention_width(model));
        }
        cost
    }

    /// Of what has passed layers of a transformer.
    pub fn of_passed(model: &Model, stack: Stack, passed: Passed) -> Self {
        let (weights, width) = match stack {
            Stack::VisionTower => (tower_weights(model), model.tower.config().hidden_size),
            Stack::LanguageModel => (decoder_weights(model), attention_width(model)),
            Stack::Projector => return Self::default(),
        };
        let flops = 2 * (passed.rows * weights as u64 + 2 * passed.keys * width as u64);
        Self {
            rows: passed.rows,
            flops,
        }
    }

    /// Of `rows` rows through the head.
    pub fn of_head(model: &Model, rows: usize) -> Self {
        let config = model.decoder.config();
        Self {
            rows: 0,
            flops: 2 * (rows * config.hidden_size * config.vocab_size) as u64,
        }
    }

    /// Of cutting and embedding the patches of `views` views.
    pub fn of_patches(model: &Model, views: usize) -> Self {
        let config = model.tower.config();
        let kernel = 3 * config.patch_size * config.patch_size;
        Self {
            rows: 0,
            flops: 2 * (views * config.grid() * config.grid() * config.hidden_size * kernel) as u64,
        }
    }

    /// Of putting `views` views through a projector.
    pub fn of_projector(model: &Model, projector: &Projector, views: usize) -> Self {
        Self {
            rows: 0,
            flops: 2 * (views * model.tower.tokens() * projector.weights()) as u64,
        }
    }

    fn of_pictures(model: &Model, plan: &Plan, views: usize) -> Self {
        let rows = model.tower.rows();
        let projector = plan.projector.as_ref().unwrap_or(model.own_projector());
        let mut cost = Self::of_patches(model, views) + Self::of_projector(model, projector, views);
        for _ in plan.path(Stack::VisionTower, model.tower.feature_layers()) {
            let one = layer(
                rows,
                rows,
                tower_weights(model),
                model.tower.config().hidden_size,
            );
            cost += Self {
                rows: one.rows * views as u64,
                flops: one.flops * views as u64,
            };
        }
        cost
    }

    /// The rows of each layer that runs in the language model, pruned ones gone; with the numbers
    /// in its matrices.
    fn rows_by_layer(
        model: &Model,
        plan: &Plan,
        mut rows: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let weights = decoder_weights(model);
        let mut left = plan.prunes.clone();
        let path = plan.path(
            Stack::LanguageModel,
            model.decoder.config().num_hidden_layers,
        );
        path.into_iter().map(move |layer| {
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

/// Numbers in the matrices of a layer of the tower.
fn tower_weights(model: &Model) -> usize {
    let config = model.tower.config();
    4 * config.hidden_size * config.hidden_size + 2 * config.hidden_size * config.intermediate_size
}

/// Numbers in the matrices of a layer of the language model.
fn decoder_weights(model: &Model) -> usize {
    let config = model.decoder.config();
    let (width, head) = (config.hidden_size, config.head_width());
    2 * width * head * (config.num_attention_heads + config.kv_heads())
        + 3 * width * config.intermediate_size
}
