//! Noise that is fixed by its row and its place within the row, however rows are batched.

use std::sync::Arc;

use candle_core::{D, Tensor};

use super::tensors::fit;
use crate::intervention::random::Draws;
use crate::nn::{Result, Span};

/// Random numbers, each fixed by its row and its place within the row.
#[derive(Debug, Clone)]
pub struct Noise {
    /// A stream for each picture; the first one is the sequence's.
    pub draws: Arc<[Draws]>,
    /// Standard normal numbers, or uniform ones in `[-1, 1)`.
    pub gaussian: bool,
    /// Rows of each view, which number the rows of a picture through.
    pub per_view: usize,
    /// Length of the last dimension; at attention scores and patterns that of the prompt.
    pub width: usize,
}

impl Noise {
    /// Returns the numbers of the rows `rows` of a span, in the shape of `like`, f32.
    pub(super) fn rows(&self, span: &Span, rows: &[u32], like: &Tensor) -> Result<Tensor> {
        let width = self.width.min(like.dim(D::Minus1)?);
        // As wide as the noise and not as the rows: the place of a number must not depend on how
        // many keys there are so far.
        let count = like.elem_count() / like.dim(D::Minus1)? / rows.len() * self.width;
        let mut values = Vec::with_capacity(rows.len() * count);
        if let Some(draws) = self.draws.get(span.image) {
            for &row in rows {
                // By token: the rows of a chunk, or those that pruning leaves, draw what they would
                // in one piece.
                let number = span.view * self.per_view + span.tokens[row as usize] as usize;
                values.extend(draws.noise(number, count, self.gaussian));
            }
        }
        let mut shape = like.dims().to_vec();
        shape.pop();
        shape.push(self.width);
        // During the prompt there may be fewer keys than the noise is wide.
        let values = Tensor::from_vec(values, shape, like.device())?.narrow(D::Minus1, 0, width)?;
        fit(&values, like)
    }

    /// Feeds all of it to `hasher`.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) {
        for draws in self.draws.iter() {
            hasher.update(&draws.key());
        }
        let rest = format!("noise {} {} {}", self.gaussian, self.per_view, self.width);
        hasher.update(rest.as_bytes());
    }
}
