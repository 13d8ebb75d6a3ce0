//! Keys and values of a sequence that decodes on a GPU: allocated once, with room for all tokens to
//! come, as `StaticCache` of Hugging Face is. So the kernel finds every sequence by one address, and
//! sequences come and go without moving others.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::cached_keys::CachedKeys;
use super::memory::{MemoryReservation, MemoryTracker};
use crate::nn::cuda;

/// Returns the tokens that there is room for where `tokens` are to come: sizes come again, so that the
/// pool of the device can hand out what others have left.
pub fn static_room(tokens: usize) -> usize {
    tokens.next_multiple_of(64)
}

/// Keys and values of several layers of one sequence.
#[derive(Debug)]
struct StaticCache {
    /// `(L, 2, K, S, Dh)`.
    kv: Tensor,
    _reservation: MemoryReservation,
}

/// One layer's part of a static cache.
#[derive(Debug)]
pub(in crate::nn) struct StaticLayer {
    cache: Arc<StaticCache>,
    index: usize,
    /// The token of each key.
    tokens: Vec<u32>,
}

impl StaticLayer {
    /// Moves the keys and values of some layers to one allocation with room for `more` tokens in every
    /// layer; `like (R, K, Dh)` has their sizes.
    pub(super) fn of_layers(
        layers: Vec<CachedKeys>,
        more: usize,
        like: &Tensor,
        memory: &MemoryTracker,
    ) -> Result<Vec<Self>> {
        let (_, kv_heads, width) = like.dims3()?;
        // One tensor for all layers, with room for the one that has the most.
        let longest = layers.iter().map(|layer| layer.tokens.len()).max();
        let room = static_room(longest.unwrap_or(0) + more);
        let shape = (layers.len(), 2, kv_heads, room, width);
        let kv = cuda::room(shape, like)?;
        let cache = Arc::new(StaticCache {
            _reservation: memory.reserve([&kv]),
            kv,
        });
        let mut moved = Vec::with_capacity(layers.len());
        for (index, layer) in layers.into_iter().enumerate() {
            let mut first = 0;
            for (keys, values) in &layer.segments {
                cuda::place_keys((keys, values), &cache.kv, (index, first))?;
                first += keys.dim(0)?;
            }
            moved.push(Self {
                cache: cache.clone(),
                index,
                tokens: layer.tokens,
            });
        }
        Ok(moved)
    }

    /// Makes `token` the last one, whose key and value the kernel will keep.
    pub(super) fn push(&mut self, token: u32) -> Result<()> {
        let room = self.cache.kv.dim(3)?;
        if self.tokens.len() == room {
            candle_core::bail!("a sequence decodes beyond the {room} tokens that it has room for");
        }
        self.tokens.push(token);
        Ok(())
    }

    /// Drops the tokens from `first` on.
    pub(super) fn truncate(&mut self, first: u32) {
        let left = self.tokens.partition_point(|&token| token < first);
        self.tokens.truncate(left);
    }

    /// Returns the token of each key.
    pub(in crate::nn) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Returns the keys and values `(L, 2, K, S, Dh)`, and the layer's number among the L.
    pub(in crate::nn) fn kv(&self) -> (&Tensor, usize) {
        (&self.cache.kv, self.index)
    }
}
