//! What is kept of a sequence on its way up a stack: keys and values of every layer that it ran,
//! and rows of the residual stream where other sequences will start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Result, Tensor};
use candle_nn::kv_cache::Cache;

use super::slots::{Lanes, Seat};
use crate::nn::layout::Span;

/// Counts the bytes that tracks hold: keys and values, each once however many sequences share them.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicUsize>);

impl Meter {
    /// The bytes held now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts the bytes of `tensors` until it is dropped.
    pub(in crate::nn) fn charge<'a>(
        &self,
        tensors: impl IntoIterator<Item = &'a Tensor>,
    ) -> Charge {
        let bytes = tensors
            .into_iter()
            .map(|t| t.elem_count() * t.dtype().size_in_bytes())
            .sum();
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            meter: self.clone(),
            bytes,
        }
    }
}

/// Bytes that are counted for as long as it lives.
#[derive(Debug)]
pub(in crate::nn) struct Charge {
    meter: Meter,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.meter.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Keys and values of some rows at one layer, shared by the sequences that agree on them.
#[derive(Debug)]
struct Piece {
    /// `(n, K, Dh)`.
    keys: Tensor,
    /// `(n, K, Dh)`.
    values: Tensor,
    tokens: Arc<[u32]>,
    _charge: Charge,
}

/// Keys and values of what is generated, one row after the other.
#[derive(Debug)]
struct Tail {
    keys: Cache,
    values: Cache,
    tokens: Vec<u32>,
    charge: Charge,
}

/// One layer that a sequence ran: of each piece the first rows.
#[derive(Debug, Default)]
struct Slot {
    layer: usize,
    pieces: Vec<(Arc<Piece>, usize)>,
    tail: Option<Tail>,
    /// The tokens whose keys are in a lane.
    in_lane: Vec<u32>,
}

/// Rows of the residual stream before some layer.
#[derive(Debug)]
pub struct Checkpoint {
    /// `(n, D)`.
    pub rows: Tensor,
    /// Their tokens, ascending.
    pub tokens: Vec<u32>,
    /// Their rotary positions.
    pub positions: Vec<u32>,
    _charge: Charge,
}

/// What is kept of one sequence. Not `Clone`: what is generated belongs to one alone; see
/// [`Track::fork`].
#[derive(Debug, Default)]
pub struct Track {
    slots: Vec<Slot>,
    /// Tokens from this one on are generated.
    prompt: u32,
    /// How many may be generated.
    room: usize,
    /// Layers before which the rows from a token on are kept.
    wanted: BTreeMap<usize, u32>,
    checkpoints: BTreeMap<usize, Vec<Arc<Checkpoint>>>,
    /// Where it keeps what is generated; none: with itself.
    lanes: Option<Lanes>,
    seat: Option<Seat>,
    kv: Meter,
    rows: Meter,
}

/// What one layer has of a sequence so far.
pub(in crate::nn) struct Keys {
    /// Keys and values `(n, K, Dh)`, one after the other.
    pub(in crate::nn) pieces: Vec<(Tensor, Tensor)>,
    /// The token of each.
    pub(in crate::nn) tokens: Vec<u32>,
}

impl Track {
    /// Of a sequence with `prompt` tokens that goes on for at most `room`. `kv` counts keys and
    /// values, `rows` the residual stream.
    pub fn new(prompt: usize, room: usize, kv: &Meter, rows: &Meter) -> Self {
        Self {
            prompt: prompt as u32,
            room: room.max(1),
            kv: kv.clone(),
            rows: rows.clone(),
            ..Self::default()
        }
    }

    /// Another sequence that agrees with this one below layer number `slot` (counted along its
    /// path), and there and above on the tokens before `position`: it shares these keys and values.
    /// Nothing that was generated is shared, and once something was, a sequence that writes in
    /// lanes has nothing to share.
    pub fn fork(&self, slot: usize, position: u32, prompt: usize, room: usize) -> Self {
        let mut fork = Self::new(prompt, room, &self.kv, &self.rows);
        for (i, own) in self.slots.iter().enumerate() {
            let until = if i < slot { u32::MAX } else { position };
            let cut = |(piece, rows): &(Arc<Piece>, usize)| {
                (
                    piece.clone(),
                    piece.tokens[..*rows].partition_point(|&t| t < until),
                )
            };
            let pieces = own
                .pieces
                .iter()
                .map(cut)
                .filter(|(_, rows)| *rows > 0)
                .collect();
            fork.slots.push(Slot {
                layer: own.layer,
                pieces,
                ..Slot::default()
            });
        }
        fork
    }

    /// What is generated will be kept in `lanes`. Nobody may look into the attention of such
    /// tokens.
    pub fn write_in(&mut self, lanes: &Lanes) {
        self.lanes = Some(lanes.clone());
    }

    /// Where the row of `span` is kept, if that is in lanes.
    pub(in crate::nn) fn lanes_of(&mut self, span: &Span) -> Option<(Lanes, &mut Option<Seat>)> {
        let generated = span.tokens.len() == 1 && span.tokens[0] >= self.prompt;
        self.lanes
            .clone()
            .filter(|_| generated)
            .map(|lanes| (lanes, &mut self.seat))
    }

    /// How many keys it has brought at most to its first token.
    pub(in crate::nn) fn prompt(&self) -> usize {
        self.prompt as usize
    }

    /// `token` passes layer `layer`, number `slot` of its path, in a lane: the lane, how often it
    /// ran that layer before, the tokens that are there, this one included, and what it brings.
    #[expect(clippy::type_complexity, reason = "four things that a lane needs")]
    pub(in crate::nn) fn write(
        &mut self,
        (slot, layer): (usize, usize),
        token: u32,
    ) -> Result<(usize, usize, &[u32], Vec<(Tensor, Tensor)>)> {
        let Some(lane) = self.seat.as_ref().map(Seat::number) else {
            candle_core::bail!("a sequence writes without a lane");
        };
        let slot = self.slot(slot, layer);
        let before = self.slots[..slot]
            .iter()
            .filter(|s| s.layer == layer)
            .count();
        let slot = &mut self.slots[slot];
        let mut brings = Vec::new();
        for (piece, rows) in slot.pieces.drain(..) {
            brings.push((
                piece.keys.narrow(0, 0, rows)?,
                piece.values.narrow(0, 0, rows)?,
            ));
            slot.in_lane.extend_from_slice(&piece.tokens[..rows]);
        }
        slot.in_lane.push(token);
        Ok((lane, before, &slot.in_lane, brings))
    }

    /// Makes room for layer `layer` as number `slot` of the path.
    fn slot(&mut self, slot: usize, layer: usize) -> usize {
        while self.slots.len() <= slot {
            self.slots.push(Slot::default());
        }
        self.slots[slot].layer = layer;
        slot
    }

    /// From now on the residual stream before layer number `slot` is kept, for tokens from
    /// `position` on.
    pub fn keep(&mut self, slot: usize, position: u32) {
        let from = self.wanted.entry(slot).or_insert(position);
        *from = position.min(*from);
    }

    /// What was kept before layer number `slot`, one after the other.
    pub fn checkpoint(&self, slot: usize) -> &[Arc<Checkpoint>] {
        self.checkpoints.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// Lets go of all checkpoints.
    pub fn forget_checkpoints(&mut self) {
        self.wanted.clear();
        self.checkpoints.clear();
    }

    /// Keeps the rows `x (T, D)` of `span` where they are wanted.
    pub(in crate::nn) fn pass(&mut self, span: &Span, x: &Tensor) -> Result<()> {
        let Some(&position) = self.wanted.get(&span.slot) else {
            return Ok(());
        };
        let first = span.tokens.partition_point(|&t| t < position);
        let count = span.tokens.len() - first;
        if count == 0 {
            return Ok(());
        }
        let rows = x
            .narrow(0, span.rows.start + first, count)?
            .force_contiguous()?;
        let (tokens, positions) = (
            span.tokens[first..].to_vec(),
            span.positions[first..].to_vec(),
        );
        let charge = self.rows.charge([&rows]);
        self.checkpoints
            .entry(span.slot)
            .or_default()
            .push(Arc::new(Checkpoint {
                rows,
                tokens,
                positions,
                _charge: charge,
            }));
        Ok(())
    }

    /// Appends `k`, `v (T, K, Dh)` of `tokens` at layer `layer`, number `slot` of its path, and
    /// returns all so far.
    pub(in crate::nn) fn extend(
        &mut self,
        (slot, layer): (usize, usize),
        (k, v): (&Tensor, &Tensor),
        tokens: &Arc<[u32]>,
    ) -> Result<Keys> {
        let slot = self.slot(slot, layer);
        let slot = &mut self.slots[slot];
        if tokens.first().is_some_and(|&t| t < self.prompt) {
            let (keys, values) = (k.force_contiguous()?, v.force_contiguous()?);
            let charge = self.kv.charge([&keys, &values]);
            let piece = Piece {
                keys,
                values,
                tokens: tokens.clone(),
                _charge: charge,
            };
            slot.pieces.push((Arc::new(piece), tokens.len()));
        } else {
            let tail = slot.tail.get_or_insert_with(|| Tail {
                keys: Cache::new(0, self.room),
                values: Cache::new(0, self.room),
                tokens: Vec::new(),
                charge: self.kv.charge([]),
            });
            tail.keys.append(k)?;
            tail.values.append(v)?;
            tail.tokens.extend_from_slice(tokens);
            if tail.charge.bytes == 0 {
                tail.charge = self.kv.charge(
                    [tail.keys.all_data(), tail.values.all_data()]
                        .into_iter()
                        .flatten(),
                );
            }
        }
        let mut keys = Keys {
            pieces: Vec::with_capacity(slot.pieces.len() + 1),
            tokens: Vec::new(),
        };
        for (piece, rows) in &slot.pieces {
            keys.pieces.push((
                piece.keys.narrow(0, 0, *rows)?,
                piece.values.narrow(0, 0, *rows)?,
            ));
            keys.tokens.extend_from_slice(&piece.tokens[..*rows]);
        }
        if let Some(tail) = &slot.tail
            && let (Some(k), Some(v)) = (tail.keys.current_data()?, tail.values.current_data()?)
        {
            keys.pieces.push((k, v));
            keys.tokens.extend_from_slice(&tail.tokens);
        }
        Ok(keys)
    }
}
