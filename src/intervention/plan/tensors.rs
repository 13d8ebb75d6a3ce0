//! Small tensor operations that edits and captures share.

use candle_core::{D, Tensor};

use crate::nn::Result;

/// Returns the rows `rows` of `x`.
pub(super) fn select(x: &Tensor, rows: &[u32]) -> Result<Tensor> {
    if rows.is_empty() {
        return x.narrow(0, 0, 0);
    }
    x.contiguous()?
        .index_select(&Tensor::from_slice(rows, rows.len(), x.device())?, 0)
}

/// Pads `values` with zeros to the width of `like`. Values for attention are as wide as the prompt;
/// the keys grow with the answer, and no token of the prompt sees those.
pub(super) fn fit(values: &Tensor, like: &Tensor) -> Result<Tensor> {
    let (has, wide) = (values.dim(D::Minus1)?, like.dim(D::Minus1)?);
    if has < wide {
        values.pad_with_zeros(D::Minus1, 0, wide - has)
    } else {
        Ok(values.clone())
    }
}

/// Returns a mask (u8) of `count` places with ones at `chosen`; ones everywhere for `None`.
pub(super) fn mask(chosen: Option<&[u32]>, count: usize, x: &Tensor) -> Result<Tensor> {
    let mut values = vec![u8::from(chosen.is_none()); count];
    for &i in chosen.unwrap_or_default() {
        if let Some(value) = values.get_mut(i as usize) {
            *value = 1;
        }
    }
    Tensor::from_vec(values, count, x.device())
}
