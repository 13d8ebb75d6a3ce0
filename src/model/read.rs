//! Layers as checkpoints hold them.

use super::error::Error;
use crate::nn::{Block, Linear, Norm};
use crate::weights::Tensors;

/// Reads `{name}.weight (out, input)`, and `{name}.bias (out)` where there is one.
pub(super) fn linear(
    weights: &Tensors<'_>,
    name: &str,
    out: usize,
    input: usize,
    bias: bool,
) -> Result<Linear, Error> {
    let (weight, shape) = (format!("{name}.weight"), [out, input]);
    let bias = if bias {
        Some(weights.get(&format!("{name}.bias"), &[out])?)
    } else {
        None
    };
    // Only a matrix that stays in the blocks of its file, or is quantised on the way, both on a
    // CPU; all others are numbers.
    if let Some(blocks) = weights.blocks(&weight, &shape)? {
        return Ok(Linear::of_blocks(&blocks, (out, input), bias)?);
    }
    Ok(Linear::new(weights.get(&weight, &shape)?, bias)?)
}

/// Reads `{name}.weight` and `{name}.bias` of a layer norm.
pub(super) fn layer_norm(
    weights: &Tensors<'_>,
    name: &str,
    width: usize,
    eps: f64,
) -> Result<Norm, Error> {
    Ok(Norm::Layer {
        weight: weights.get(&format!("{name}.weight"), &[width])?,
        bias: weights.get(&format!("{name}.bias"), &[width])?,
        eps,
    })
}

/// Reads `{name}.weight` of an RMS norm.
pub(super) fn rms_norm(
    weights: &Tensors<'_>,
    name: &str,
    width: usize,
    eps: f64,
) -> Result<Norm, Error> {
    Ok(Norm::Rms {
        weight: weights.get(&format!("{name}.weight"), &[width])?,
        eps,
    })
}

/// Counts the numbers that a row is multiplied with in a block.
pub(super) fn weights_of(block: &Block) -> usize {
    let (attention, mlp) = (&block.attention, &block.mlp);
    let linears = [&attention.q, &attention.k, &attention.v, &attention.o];
    // Norms and biases are left out: products are what takes time, and what FLOPs count.
    linears
        .into_iter()
        .chain([&mlp.pre, &mlp.out])
        .chain(&mlp.linear)
        .map(|linear| linear.sizes().0 * linear.sizes().1)
        .sum()
}
