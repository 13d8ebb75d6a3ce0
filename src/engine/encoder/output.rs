//! The results of the encoder.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use candle_core::Tensor;

use crate::engine::cost::Cost;
use crate::intervention::EffectRecord;
use crate::nn::digest::HostValues;

/// A picture as the language model reads it.
#[derive(Debug)]
pub(in crate::engine) struct EncodedImage {
    pub(in crate::engine) key: blake3::Hash,
    /// `(N, D)`.
    pub(in crate::engine) tokens: Tensor,
    /// Identifies the tokens.
    pub(in crate::engine) digest: TokensDigest,
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

/// Holds the BLAKE3 (hex) of visual tokens, little-endian f32; empty without any. It is made when it is
/// first asked for, if [`make_all`](Self::make_all) has not been done by then.
#[derive(Debug, Clone)]
pub(in crate::engine) struct TokensDigest(Arc<LazyLock<String, Hash>>);

type Hash = Box<dyn FnOnce() -> String + Send>;

impl TokensDigest {
    /// Describes the digest of `values`, without making it.
    pub(in crate::engine) fn of(values: Option<HostValues>) -> Self {
        let hash = move || values.map_or_else(String::new, |v| v.hash().to_hex().to_string());
        Self(Arc::new(LazyLock::new(Box::new(hash))))
    }

    /// Returns the digest.
    pub(in crate::engine) fn get(&self) -> &str {
        &self.0
    }

    /// Makes all of `digests`: here, or on a thread beside, where a device waits for this one.
    pub(in crate::engine) fn make_all(digests: Vec<Self>, is_beside: bool) {
        if !is_beside {
            return digests.iter().for_each(Self::make);
        }
        // Where no thread is to be had, whoever asks first makes them.
        let beside = thread::Builder::new().name("digests".into());
        let _ = beside.spawn(move || digests.iter().for_each(Self::make));
    }

    fn make(&self) {
        LazyLock::force(&self.0);
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
