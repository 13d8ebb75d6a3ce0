//! What attention reads of a sequence's cache.

use candle_core::Tensor;

/// Keys and values that one layer of a sequence sees.
pub(in crate::nn) struct CachedKeys {
    /// Keys and values `(n, K, Dh)`, one after the other.
    pub(in crate::nn) segments: Vec<(Tensor, Tensor)>,
    /// The token of each key.
    pub(in crate::nn) tokens: Vec<u32>,
}
