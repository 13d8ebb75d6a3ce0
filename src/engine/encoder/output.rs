//! The results of the encoder.

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;

use crate::engine::cost::Cost;
use crate::intervention::EffectRecord;

/// A picture as the language model reads it.
#[derive(Debug)]
pub(in crate::engine) struct EncodedImage {
    pub(in crate::engine) key: blake3::Hash,
    /// `(N, D)`.
    pub(in crate::engine) tokens: Tensor,
    /// BLAKE3 (hex) of the tokens, little-endian f32; empty without any.
    pub(in crate::engine) digest: String,
    /// The effects in the tower and the projector.
    pub(in crate::engine) cells: Vec<EffectRecord>,
    /// Encoding cost not yet attributed to a request; taken by the first one that uses the image.
    // A mutex and no cell: sequences are planned on the caller's thread, so that all they can hold
    // must be `Send`, though pictures are made on the engine's thread alone.
    pub(in crate::engine) unattributed_cost: Mutex<Cost>,
}

impl EncodedImage {
    /// Takes the cost of encoding: nothing after the first call.
    pub(in crate::engine) fn take_cost(&self) -> Cost {
        let cost = self.unattributed_cost.lock();
        std::mem::take(&mut cost.unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns its bytes, about.
    pub(in crate::engine) fn bytes(&self) -> u64 {
        bytes(&self.tokens, &self.cells)
    }
}

/// The features of a picture: the layers of the tower that the projector reads.
#[derive(Debug)]
pub(in crate::engine) struct TowerFeatures {
    /// `(V N, n D_vision)`.
    pub(in crate::engine) rows: Tensor,
    /// The effects in the tower.
    pub(in crate::engine) cells: Vec<EffectRecord>,
}

impl TowerFeatures {
    /// Returns its bytes, about.
    pub(in crate::engine) fn bytes(&self) -> u64 {
        bytes(&self.rows, &self.cells)
    }
}

/// Counts a tensor, and 128 bytes for each effect.
fn bytes(tensor: &Tensor, cells: &[EffectRecord]) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes() + cells.len() * 128 + 256) as u64
}
