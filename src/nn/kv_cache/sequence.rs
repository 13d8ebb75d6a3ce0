//! The cache of one sequence: keys and values of every layer that it ran, and rows of the residual
//! stream where other sequences will start.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::kv_cache::Cache;

use super::cached_keys::CachedKeys;
use super::memory::{MemoryReservation, MemoryTracker};
use super::slots::{DecodeSlots, Slot};
use super::static_cache::StaticLayer;
use crate::nn::device::DeviceId;
use crate::nn::layout::Span;

/// Keys and values of some prompt rows at one layer, shared by the sequences that agree on them.
#[derive(Debug)]
struct Segment {
    /// `(n, K, Dh)`.
    keys: Tensor,
    /// `(n, K, Dh)`.
    values: Tensor,
    tokens: Arc<[u32]>,
    _reservation: MemoryReservation,
}

/// Keys and values of generated tokens, one row after the other.
#[derive(Debug)]
struct DecodeBuffer {
    keys: Cache,
    values: Cache,
    tokens: Vec<u32>,
    reservation: MemoryReservation,
}

/// Keys and values of one layer of the path.
#[derive(Debug, Default)]
struct LayerCache {
    layer: usize,
    /// Each segment with the number of its first rows that this sequence sees.
    segments: Vec<(Arc<Segment>, usize)>,
    generated: Option<DecodeBuffer>,
    /// Tokens whose keys are in a decode slot.
    in_slot: Vec<u32>,
    /// All keys and values, once the sequence decodes where kernels of ours attend.
    in_static: Option<StaticLayer>,
}

/// Rows of the residual stream before some layer.
#[derive(Debug)]
pub struct ResidualCheckpoint {
    /// `(n, D)`.
    pub rows: Tensor,
    /// The token of each row, ascending.
    pub tokens: Vec<u32>,
    /// The rotary position of each row.
    pub positions: Vec<u32>,
    _reservation: MemoryReservation,
}

/// The cache of one sequence. Not `Clone`: generated rows belong to one sequence alone; see
/// [`SequenceCache::share_prefix`].
#[derive(Debug, Default)]
pub struct SequenceCache {
    /// One entry for each layer of the path, in the order of the path.
    layers: Vec<LayerCache>,
    /// Tokens from this one on are generated.
    prompt: u32,
    max_new_tokens: usize,
    /// First token of the rows to keep, by the number of layers they have passed.
    requested: BTreeMap<usize, u32>,
    checkpoints: BTreeMap<usize, Vec<Arc<ResidualCheckpoint>>>,
    /// Says that the sequence decodes together with others, and where candle attends keeps their keys;
    /// without it generated rows are kept in a buffer of each layer.
    slots: Option<DecodeSlots>,
    slot: Option<Slot>,
    kv: MemoryTracker,
    residuals: MemoryTracker,
}

/// A layer's entry for a sequence that decodes in a slot.
pub(in crate::nn) struct SlotKeys<'a> {
    /// The slot's number.
    pub(in crate::nn) slot: usize,
    /// Number of times that the sequence ran this layer earlier on its path.
    pub(in crate::nn) repetition: usize,
    /// The tokens in the slot, this step's included.
    pub(in crate::nn) tokens: &'a [u32],
    /// Keys and values of the prompt, where the slot does not have them yet.
    pub(in crate::nn) prompt_kv: Vec<(Tensor, Tensor)>,
}

impl SequenceCache {
    /// Creates the cache of a sequence of `prompt` tokens that generates at most `max_new_tokens`
    /// more. `kv` counts keys and values, `residuals` the rows of checkpoints.
    pub fn new(
        prompt: usize,
        max_new_tokens: usize,
        kv: &MemoryTracker,
        residuals: &MemoryTracker,
    ) -> Self {
        Self {
            prompt: prompt as u32,
            // candle's cache grows by its first size: with 0 it would loop for ever.
            max_new_tokens: max_new_tokens.max(1),
            kv: kv.clone(),
            residuals: residuals.clone(),
            ..Self::default()
        }
    }

    /// Creates the cache of another sequence that agrees with this one on all tokens below layer
    /// `depth` of the path, and on the tokens before `position` from there on: it shares these
    /// keys and values.
    ///
    /// Generated rows are not shared. A sequence that decodes together with others has nothing left
    /// to share once it has generated a token.
    pub fn share_prefix(
        &self,
        depth: usize,
        position: u32,
        prompt: usize,
        max_new_tokens: usize,
    ) -> Self {
        let mut shared = Self::new(prompt, max_new_tokens, &self.kv, &self.residuals);
        for (i, own) in self.layers.iter().enumerate() {
            // Below `depth` both are the same at every token, and so are their keys behind
            // `position`.
            let end = if i < depth { u32::MAX } else { position };
            let mut segments = Vec::with_capacity(own.segments.len());
            for (segment, rows) in &own.segments {
                let rows = segment.tokens[..*rows].partition_point(|&t| t < end);
                // No copy: a sequence sees the first rows of a shared segment.
                if rows > 0 {
                    segments.push((segment.clone(), rows));
                }
            }
            shared.layers.push(LayerCache {
                layer: own.layer,
                segments,
                ..LayerCache::default()
            });
        }
        shared
    }

    /// Decodes together with the sequences that use `slots`. Attention scores of such tokens reach no
    /// hook.
    pub fn use_slots(&mut self, slots: &DecodeSlots) {
        self.slots = Some(slots.clone());
    }

    /// Tells whether the row of `span` is a generated one that decodes together with others.
    pub(in crate::nn) fn decodes_together(&self, span: &Span) -> bool {
        self.slots.is_some() && span.tokens.len() == 1 && span.tokens[0] >= self.prompt
    }

    /// Returns the slots and this sequence's own one, if the row of `span` decodes together with
    /// others.
    pub(in crate::nn) fn slot_of(
        &mut self,
        span: &Span,
    ) -> Option<(DecodeSlots, &mut Option<Slot>)> {
        let slots = self.slots.clone().filter(|_| self.decodes_together(span))?;
        Some((slots, &mut self.slot))
    }

    /// Returns the number of tokens before the first generated one.
    pub(in crate::nn) fn prompt(&self) -> usize {
        self.prompt as usize
    }

    /// Records that `token` passes layer `layer`, entry `depth` of the path, in a decode slot.
    pub(in crate::nn) fn append_to_slot(
        &mut self,
        (depth, layer): (usize, usize),
        token: u32,
    ) -> Result<SlotKeys<'_>> {
        let Some(slot) = self.slot.as_ref().map(Slot::number) else {
            candle_core::bail!("a sequence decodes without a slot");
        };
        self.reserve_layer(depth, layer);
        // A layer that runs twice has keys and values for each time.
        let repetition = self.layers[..depth]
            .iter()
            .filter(|l| l.layer == layer)
            .count();
        let own = &mut self.layers[depth];
        let mut prompt_kv = Vec::with_capacity(own.segments.len());
        // The slot holds a copy of the prompt from here on; the shared segments are let go.
        for (segment, rows) in own.segments.drain(..) {
            prompt_kv.push((
                segment.keys.narrow(0, 0, rows)?,
                segment.values.narrow(0, 0, rows)?,
            ));
            own.in_slot.extend_from_slice(&segment.tokens[..rows]);
        }
        own.in_slot.push(token);
        Ok(SlotKeys {
            slot,
            repetition,
            tokens: &own.in_slot,
            prompt_kv,
        })
    }

    /// Records that `token` passes layer `layer`, entry `depth` of the path, where kernels of ours
    /// attend, which will keep its key and value; `like (R, K, Dh)` has their sizes.
    pub(in crate::nn) fn append_to_static(
        &mut self,
        (depth, layer): (usize, usize),
        token: u32,
        like: &Tensor,
    ) -> Result<&StaticLayer> {
        self.reserve_layer(depth, layer);
        if self.layers[depth].in_static.is_none() {
            self.move_to_static(depth, like)?;
        }
        let Some(layer) = &mut self.layers[depth].in_static else {
            candle_core::bail!("a sequence decodes without its keys");
        };
        layer.push(token)?;
        Ok(layer)
    }

    /// Moves the keys and values of entry `depth` of the path, and of all others on its device, to one
    /// static cache.
    fn move_to_static(&mut self, depth: usize, like: &Tensor) -> Result<()> {
        let device = DeviceId::of(like.device());
        let is_there = |(keys, _): &(Tensor, Tensor)| DeviceId::of(keys.device()) == device;
        let (mut entries, mut moving) = (Vec::new(), Vec::new());
        for (entry, layer) in self.layers.iter().enumerate() {
            let keys = layer.keys()?;
            // Layers on other devices move when the sequence gets there.
            let is_near = !keys.segments.is_empty() && keys.segments.iter().all(is_there);
            if entry == depth || (layer.in_static.is_none() && is_near) {
                entries.push(entry);
                moving.push(keys);
            }
        }
        let moved = StaticLayer::of_layers(moving, self.max_new_tokens, like, &self.kv)?;
        for (entry, layer) in entries.into_iter().zip(moved) {
            // The shared segments are let go.
            self.layers[entry].segments.clear();
            self.layers[entry].in_static = Some(layer);
        }
        Ok(())
    }

    /// Makes layer `layer` entry `depth` of the path.
    fn reserve_layer(&mut self, depth: usize, layer: usize) {
        if self.layers.len() <= depth {
            self.layers.resize_with(depth + 1, LayerCache::default);
        }
        self.layers[depth].layer = layer;
    }

    /// Requests a checkpoint of the residual stream after `depth` layers of the path, for tokens
    /// from `position` on.
    pub fn request_checkpoint(&mut self, depth: usize, position: u32) {
        // The lowest for all who ask: a variant that starts further on skips the rows before.
        let from = self.requested.entry(depth).or_insert(position);
        *from = position.min(*from);
    }

    /// Reports whether a checkpoint after `depth` layers was requested.
    pub(in crate::nn) fn wants_checkpoint(&self, depth: usize) -> bool {
        self.requested.contains_key(&depth)
    }

    /// Returns the checkpoints after `depth` layers, in the order of their tokens.
    pub fn checkpoints(&self, depth: usize) -> &[Arc<ResidualCheckpoint>] {
        self.checkpoints.get(&depth).map_or(&[], Vec::as_slice)
    }

    /// Drops all checkpoints and requests for them.
    pub fn drop_checkpoints(&mut self) {
        self.requested.clear();
        self.checkpoints.clear();
    }

    /// Keeps the rows `x (T, D)` of `span` that a checkpoint was requested for.
    pub(in crate::nn) fn record_checkpoint(&mut self, span: &Span, x: &Tensor) -> Result<()> {
        let Some(&position) = self.requested.get(&span.layers_done) else {
            return Ok(());
        };
        let first = span.tokens.partition_point(|&t| t < position);
        let count = span.tokens.len() - first;
        if count == 0 {
            return Ok(());
        }
        // A copy: a view would keep the whole step's rows alive, uncounted.
        let rows = x
            .narrow(0, span.rows.start + first, count)?
            .force_contiguous()?;
        let checkpoint = ResidualCheckpoint {
            tokens: span.tokens[first..].to_vec(),
            positions: span.positions[first..].to_vec(),
            _reservation: self.residuals.reserve([&rows]),
            rows,
        };
        self.checkpoints
            .entry(span.layers_done)
            .or_default()
            .push(Arc::new(checkpoint));
        Ok(())
    }

    /// Forgets what a step that failed has appended at entries of the path from `depth` on: rows of
    /// tokens from `first` on. Returns false where that cannot be done, as in a decode slot, whose
    /// columns all sequences share.
    pub fn rewind(&mut self, depth: usize, first: u32) -> Result<bool> {
        if self.slot.is_some() && first >= self.prompt {
            return Ok(false);
        }
        for layer in self.layers.iter_mut().skip(depth) {
            layer.rewind(first)?;
        }
        // Chunks of a prompt come in order, so that those of the failed step stand last.
        for kept in self.checkpoints.values_mut() {
            let is_new =
                |c: &Arc<ResidualCheckpoint>| c.tokens.first().is_some_and(|&t| t >= first);
            while kept.last().is_some_and(is_new) {
                kept.pop();
            }
        }
        Ok(true)
    }

    /// Appends `k`, `v (T, K, Dh)` of `tokens` at layer `layer`, entry `depth` of the path, and
    /// returns all keys and values of that layer so far.
    pub(in crate::nn) fn append(
        &mut self,
        (depth, layer): (usize, usize),
        (k, v): (&Tensor, &Tensor),
        tokens: &Arc<[u32]>,
    ) -> Result<CachedKeys> {
        self.reserve_layer(depth, layer);
        let own = &mut self.layers[depth];
        if tokens.first().is_some_and(|&t| t < self.prompt) {
            // Copies, so that a segment does not keep the rows of the whole step alive.
            let (keys, values) = (k.force_contiguous()?, v.force_contiguous()?);
            let segment = Segment {
                _reservation: self.kv.reserve([&keys, &values]),
                keys,
                values,
                tokens: tokens.clone(),
            };
            // Shared from here on with every variant that agrees on these tokens.
            own.segments.push((Arc::new(segment), tokens.len()));
        } else {
            let generated = own.generated.get_or_insert_with(|| DecodeBuffer {
                keys: Cache::new(0, self.max_new_tokens),
                values: Cache::new(0, self.max_new_tokens),
                tokens: Vec::new(),
                // Nothing yet: candle allocates at the first append.
                reservation: self.kv.reserve([]),
            });
            generated.append((k, v), tokens, &self.kv)?;
        }
        own.keys()
    }
}

impl LayerCache {
    /// Drops the rows of tokens from `first` on.
    fn rewind(&mut self, first: u32) -> Result<()> {
        while let Some((segment, _)) = self.segments.last() {
            if segment.tokens.first().is_none_or(|&token| token < first) {
                break;
            }
            self.segments.pop();
        }
        if let Some(layer) = &mut self.in_static {
            layer.truncate(first);
        }
        if let Some(generated) = &mut self.generated {
            let left = generated.tokens.partition_point(|&token| token < first);
            if left < generated.tokens.len() {
                generated.truncate(left)?;
            }
        }
        Ok(())
    }

    fn keys(&self) -> Result<CachedKeys> {
        let mut keys = CachedKeys {
            segments: Vec::with_capacity(self.segments.len() + 1),
            tokens: Vec::new(),
        };
        for (segment, rows) in &self.segments {
            keys.segments.push((
                segment.keys.narrow(0, 0, *rows)?,
                segment.values.narrow(0, 0, *rows)?,
            ));
            keys.tokens.extend_from_slice(&segment.tokens[..*rows]);
        }
        if let Some(generated) = &self.generated
            && let (Some(k), Some(v)) = (
                generated.keys.current_data()?,
                generated.values.current_data()?,
            )
        {
            keys.segments.push((k, v));
            keys.tokens.extend_from_slice(&generated.tokens);
        }
        Ok(keys)
    }
}

impl DecodeBuffer {
    /// Keeps the first `rows` rows.
    fn truncate(&mut self, rows: usize) -> Result<()> {
        for cache in [&mut self.keys, &mut self.values] {
            // A new one: candle's cache can be emptied, but not cut.
            let mut short = Cache::new(cache.dim(), cache.max_seq_len());
            if let Some(data) = cache.current_data()?
                && rows > 0
            {
                short.append(&data.narrow(0, 0, rows)?.contiguous()?)?;
            }
            *cache = short;
        }
        self.tokens.truncate(rows);
        Ok(())
    }

    fn append(
        &mut self,
        (k, v): (&Tensor, &Tensor),
        tokens: &[u32],
        kv: &MemoryTracker,
    ) -> Result<()> {
        self.keys.append(k)?;
        self.values.append(v)?;
        self.tokens.extend_from_slice(tokens);
        // The first append allocates all of the buffer.
        if self.reservation.bytes() == 0 {
            let buffers = [self.keys.all_data(), self.values.all_data()];
            self.reservation = kv.reserve(buffers.into_iter().flatten());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, IndexOp};

    use super::*;

    /// A prompt of three tokens that has passed two layers, with the keys of the first.
    fn read_prompt() -> Result<(SequenceCache, MemoryTracker, Tensor)> {
        let kv = MemoryTracker::default();
        let mut cache = SequenceCache::new(3, 4, &kv, &kv);
        cache.use_slots(&DecodeSlots::new(&kv));
        let keys = Tensor::arange(0f32, 48.0, &Device::Cpu)?.reshape((3, 2, 8))?;
        let keys = keys.to_dtype(DType::BF16)?;
        for layer in 0..2 {
            // In two chunks, the second of which another sequence may not share.
            for tokens in [0..2u32, 2..3] {
                let own = keys.narrow(0, tokens.start as usize, tokens.len())?;
                let numbers: Arc<[u32]> = tokens.collect();
                cache.append((layer, layer), (&own, &own), &numbers)?;
            }
        }
        Ok((cache, kv, keys))
    }

    #[test]
    fn a_static_cache_has_all_layers_and_takes_tokens_back() -> Result<()> {
        let (mut cache, kv, keys) = read_prompt()?;
        let before = kv.bytes();
        let layer = cache.append_to_static((1, 1), 3, &keys)?;
        assert_eq!(layer.tokens(), [0, 1, 2, 3]);
        let (tensor, index) = layer.kv();
        assert_eq!((tensor.dims(), index), (&[2, 2, 2, 64, 8][..], 1));
        for part in 0..2 {
            let moved = tensor.i((0, part, .., 0..3))?.transpose(0, 1)?;
            let moved: Vec<f32> = moved.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            let numbers: Vec<f32> = (0..48u8).map(f32::from).collect();
            assert_eq!(moved, numbers, "part {part} of the other layer");
        }
        assert_eq!(kv.bytes(), before / 3 * 64, "segments are let go");
        assert!(cache.rewind(0, 3)?, "a step that failed is taken back");
        assert_eq!(
            cache.append_to_static((1, 1), 3, &keys)?.tokens(),
            [0, 1, 2, 3]
        );
        drop(cache);
        assert_eq!(kv.bytes(), 0);
        Ok(())
    }

    #[test]
    fn a_static_cache_that_is_full_is_an_error() -> Result<()> {
        let (mut cache, _, keys) = read_prompt()?;
        for token in 3..64 {
            cache.append_to_static((0, 0), token, &keys)?;
        }
        let full = cache.append_to_static((0, 0), 64, &keys).err();
        assert!(full.is_some_and(|error| error.to_string().contains("64 tokens")));
        Ok(())
    }
}
