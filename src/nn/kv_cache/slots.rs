//! Keys and values of all sequences that decode where candle computes and no kernel of ours attends:
//! of each layer one tensor, so that one operation serves every sequence.
//!
//! A sequence has a slot. The keys of all slots end at the same column, where this step's keys go,
//! and the columns that a sequence does not fill on the left are masked. So a step appends with one
//! kernel, too. The keys of a prompt are copied into the slot once. Slots are packed anew when they
//! run out, and every [`SLACK`] steps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

use super::memory::{MemoryReservation, MemoryTracker};
use crate::nn::candle::attention::{self as candle, Masks};
use crate::nn::cpu::attention::Scoring;

/// Columns that are laid out ahead.
const SLACK: usize = 256;

/// The decode slots of one model; clones share them.
#[derive(Debug, Clone)]
pub struct DecodeSlots {
    table: Arc<Mutex<Table>>,
    memory: MemoryTracker,
}

#[derive(Debug, Default)]
struct Table {
    /// Says of each slot whether a sequence has it.
    in_use: Vec<bool>,
    /// The column of this step's keys.
    column: usize,
    /// Number of columns.
    columns: usize,
    /// The storage of each layer, and of each repetition of it on a path.
    layers: BTreeMap<(usize, usize), LayerSlots>,
}

/// Keys and values of one layer in all slots.
#[derive(Debug)]
struct LayerSlots {
    /// `(B, K, S, Dh)`.
    keys: Tensor,
    /// `(B, K, S, Dh)`.
    values: Tensor,
    /// Number of keys in each slot.
    lengths: Vec<usize>,
    _reservation: MemoryReservation,
}

/// The slot of one sequence, until it is dropped.
#[derive(Debug)]
pub(in crate::nn) struct Slot {
    slots: DecodeSlots,
    number: usize,
}

/// One sequence in one layer of a step.
pub(in crate::nn) struct SlotEntry {
    pub(in crate::nn) slot: usize,
    /// The row in the call.
    pub(in crate::nn) row: u32,
    /// Number of the last keys that the row sees, this step's included.
    pub(in crate::nn) seen: usize,
    /// Keys and values of its prompt, at its first step in this layer.
    pub(in crate::nn) prompt_kv: Vec<(Tensor, Tensor)>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.slots.lock();
        // After a failed repacking some layers have fewer slots than others.
        if let Some(in_use) = table.in_use.get_mut(self.number) {
            *in_use = false;
        }
        for layer in table.layers.values_mut() {
            if let Some(length) = layer.lengths.get_mut(self.number) {
                *length = 0;
            }
        }
        // The last one gives the memory back.
        if !table.in_use.contains(&true) {
            *table = Table::default();
        }
    }
}

impl Slot {
    /// Returns the slot's number, which repacking may change.
    pub(in crate::nn) fn number(&self) -> usize {
        self.number
    }
}

impl DecodeSlots {
    /// Creates an empty table, whose bytes `memory` counts.
    pub fn new(memory: &MemoryTracker) -> Self {
        Self {
            table: Arc::default(),
            memory: memory.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a step of all sequences that have a slot, and of those with `None`, which get one;
    /// the longest prompt of the latter has `longest` tokens.
    pub(in crate::nn) fn begin_step(
        &self,
        sequences: &mut [&mut Option<Slot>],
        longest: usize,
    ) -> Result<()> {
        let mut table = self.lock();
        // Slots are freed by drops, at any time between steps.
        let in_use = table.in_use.iter().filter(|t| **t).count();
        let known = sequences.iter().filter(|s| s.is_some()).count();
        // The columns of a sequence that sat out a step would no longer end with the others'.
        if known != in_use {
            candle_core::bail!("{known} of {in_use} sequences that decode take part in a step");
        }
        // All keys end together, so that every step moves one column on.
        let next = if in_use > 0 { table.column + 1 } else { 0 };
        let fits = sequences.len() <= table.in_use.len() && next < table.columns && longest <= next;
        // Repack when fewer than half of the slots are in use: every step reads all of them.
        if fits && table.in_use.len() <= 2 * sequences.len() {
            table.column = next;
        } else {
            self.repack(&mut table, sequences, longest, next)?;
        }
        for sequence in sequences.iter_mut().filter(|s| s.is_none()) {
            let Some(number) = table.in_use.iter().position(|t| !t) else {
                candle_core::bail!("no slot is free");
            };
            table.in_use[number] = true;
            **sequence = Some(Slot {
                slots: self.clone(),
                number,
            });
        }
        Ok(())
    }

    /// Lays all slots out anew, in the order of `sequences`; until now their keys ended at column
    /// `end`.
    fn repack(
        &self,
        table: &mut Table,
        sequences: &mut [&mut Option<Slot>],
        longest: usize,
        end: usize,
    ) -> Result<()> {
        let lengths = table
            .layers
            .values()
            .flat_map(|layer| layer.lengths.iter().copied());
        // The same column ends the keys of every layer.
        let column = lengths.chain([longest]).max().unwrap_or(0);
        let columns = (column + SLACK).next_multiple_of(64);
        // Up to a quarter more slots than sequences: moving all of them costs as much as many steps.
        let spare = (sequences.len() / 4).next_power_of_two();
        // Up to seven sequences get none: `spare` is 1.
        let count = sequences.len().next_multiple_of(spare);
        let numbers: Vec<Option<usize>> = sequences
            .iter()
            .map(|s| s.as_ref().map(Slot::number))
            .collect();
        for layer in table.layers.values_mut() {
            let to = Packing {
                count,
                columns,
                column,
            };
            let keys = moved(&layer.keys, &layer.lengths, &numbers, end, &to)?;
            let values = moved(&layer.values, &layer.lengths, &numbers, end, &to)?;
            let mut lengths = vec![0; count];
            for (length, number) in lengths.iter_mut().zip(&numbers) {
                *length = number.map_or(0, |number| layer.lengths[number]);
            }
            *layer = LayerSlots {
                _reservation: self.memory.reserve([&keys, &values]),
                keys,
                values,
                lengths,
            };
        }
        table.in_use = vec![false; count];
        for (number, sequence) in sequences.iter_mut().enumerate() {
            if let Some(slot) = sequence.as_mut() {
                slot.number = number;
                table.in_use[number] = true;
            }
        }
        (table.column, table.columns) = (column, columns);
        Ok(())
    }

    /// Runs one layer for sequences that read one row each: `q (R, H, Dh)` unscaled, `k` and
    /// `v (R, K, Dh)` of all rows of the call. Returns `(M, H, Dh)` in the order of `entries`.
    pub(in crate::nn) fn attend(
        &self,
        layer: (usize, usize),
        entries: &[SlotEntry],
        (q, k, v): (&Tensor, &Tensor, &Tensor),
        scoring: Scoring,
        masks: &Masks,
    ) -> Result<Tensor> {
        let mut table = self.lock();
        let (count, column, device) = (table.in_use.len(), table.column, q.device());
        let layer = self.layer(&mut table, layer, k)?;
        // An absent slot reads some row, and writes to a column where it has no keys.
        let mut rows = vec![entries[0].row; count];
        entries.iter().for_each(|e| rows[e.slot] = e.row);
        let by_slot = gather(&rows, device)?;
        layer.append(entries, (k, v), &by_slot, column)?;

        // Columns that none of them sees are not read.
        let from = entries
            .iter()
            .map(|e| column + 1 - e.seen)
            .min()
            .unwrap_or(0);
        // An absent slot sees all of them: its row is computed, and taken by nobody.
        let mut visible: Vec<Range<usize>> = vec![from..column + 1; count];
        for entry in entries {
            visible[entry.slot].start = column + 1 - entry.seen;
        }
        let seen = column + 1 - from;
        let mask = masks.of(&visible, from..column + 1, device)?;
        let mask = mask.map(|m| m.reshape((count, 1, 1, seen))).transpose()?;
        // Scaled before the product, as for whole prompts.
        let q = (by_slot.take(q)? * scoring.scale)?.unsqueeze(1)?; // (B, 1, H, Dh)
        let scores = candle::scores(
            &q,
            &layer.keys.narrow(2, from, seen)?,
            scoring.softcap,
            mask.as_ref(),
        )?; // (B H, 1, S)
        let z = candle::weigh(
            &candle::softmax(&scores)?,
            &layer.values.narrow(2, from, seen)?,
        )?
        .squeeze(1)?; // (B, H, Dh)
        let order: Vec<u32> = entries.iter().map(|e| e.slot as u32).collect();
        gather(&order, device)?.take(&z)
    }

    /// Returns the storage of a layer, empty at first; `like (R, K, Dh)` has the sizes of its keys.
    fn layer<'a>(
        &self,
        table: &'a mut Table,
        layer: (usize, usize),
        like: &Tensor,
    ) -> Result<&'a mut LayerSlots> {
        Ok(match table.layers.entry(layer) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => {
                let (_, kv_heads, width) = like.dims3()?;
                let shape = (table.in_use.len(), kv_heads, table.columns, width);
                place.insert(self.empty_layer(shape, like.dtype(), like.device())?)
            }
        })
    }

    fn empty_layer(
        &self,
        shape: (usize, usize, usize, usize),
        dtype: DType,
        device: &Device,
    ) -> Result<LayerSlots> {
        let keys = Tensor::zeros(shape, dtype, device)?;
        let values = Tensor::zeros(shape, dtype, device)?;
        Ok(LayerSlots {
            _reservation: self.memory.reserve([&keys, &values]),
            keys,
            values,
            lengths: vec![0; shape.0],
        })
    }
}

impl LayerSlots {
    /// Writes this step's keys and values to `column`, and prompts to the columns before it.
    fn append(
        &mut self,
        entries: &[SlotEntry],
        (k, v): (&Tensor, &Tensor),
        by_slot: &Gather,
        column: usize,
    ) -> Result<()> {
        let mut present = vec![false; self.lengths.len()];
        entries.iter().for_each(|e| present[e.slot] = true);
        // Sequences on other paths may have keys in this layer that one write to all slots would
        // overwrite.
        let absent_slot_holds_keys =
            (0..present.len()).any(|slot| !present[slot] && self.lengths[slot] > 0);
        for (to, new, is_key) in [(&self.keys, k, true), (&self.values, v, false)] {
            for entry in entries.iter().filter(|e| self.lengths[e.slot] == 0) {
                let segments: Vec<&Tensor> = entry
                    .prompt_kv
                    .iter()
                    .map(|(keys, values)| if is_key { keys } else { values })
                    .collect();
                begin(&to.narrow(0, entry.slot, 1)?, &segments, column)?;
            }
            if absent_slot_holds_keys {
                for entry in entries {
                    let row = new
                        .narrow(0, entry.row as usize, 1)?
                        .contiguous()?
                        .unsqueeze(2)?; // (1, K, 1, Dh)
                    to.narrow(0, entry.slot, 1)?.slice_set(&row, 2, column)?;
                }
            } else {
                to.slice_set(&by_slot.take(new)?.unsqueeze(2)?, 2, column)?; // (B, K, 1, Dh)
            }
        }
        for entry in entries {
            // `repack` moves as many keys as are counted here, and no others.
            let prompt: usize = entry.prompt_kv.iter().map(|(k, _)| k.dims()[0]).sum();
            self.lengths[entry.slot] += prompt + 1;
        }
        Ok(())
    }
}

/// Fills a slot `(1, K, S, Dh)` up to `column`: with a prompt's keys or values `(n, K, Dh)` on the
/// right, and zeros before them.
fn begin(slot: &Tensor, prompt: &[&Tensor], column: usize) -> Result<()> {
    let (_, heads, _, width) = slot.dims4()?;
    let mut first = column;
    if !prompt.is_empty() {
        let prompt = candle::heads_first(prompt, 1)?; // (1, K, n, Dh)
        // Its last key stands before this step's column. `begin_step` has seen to it that the
        // longest prompt fits there.
        first -= prompt.dim(2)?;
        slot.slice_set(&prompt, 2, first)?;
    }
    if first > 0 {
        // Those columns are masked, but a NaN that another sequence has left there would survive a
        // weight of 0.
        let zeros = Tensor::zeros((1, heads, first, width), slot.dtype(), slot.device())?;
        slot.slice_set(&zeros, 2, 0)?;
    }
    Ok(())
}

/// The layout that slots are moved to.
struct Packing {
    /// Number of slots.
    count: usize,
    columns: usize,
    /// The column where the keys of all slots end.
    column: usize,
}

/// Returns `old (B, K, S, Dh)` in the layout `to`: slot `i` holds the keys of slot `numbers[i]`,
/// which ended at column `end`.
fn moved(
    old: &Tensor,
    lengths: &[usize],
    numbers: &[Option<usize>],
    end: usize,
    to: &Packing,
) -> Result<Tensor> {
    let (_, heads, _, width) = old.dims4()?;
    let shape = (to.count, heads, to.columns, width);
    // Zeros: unused columns are masked, but a NaN in them would survive a weight of 0.
    let new = Tensor::zeros(shape, old.dtype(), old.device())?;
    for (slot, number) in numbers.iter().enumerate() {
        let Some(number) = *number else { continue };
        let length = lengths[number];
        if length > 0 {
            let rows = old
                .narrow(0, number, 1)?
                // All keys end before `end`, however many a slot has.
                .narrow(2, end - length, length)?
                .contiguous()?;
            new.narrow(0, slot, 1)?
                .slice_set(&rows, 2, to.column - length)?;
        }
    }
    Ok(new)
}

/// A choice of rows of a tensor; a view of it where they stand together.
enum Gather {
    Part(usize, usize),
    Index(Tensor),
}

fn gather(rows: &[u32], device: &Device) -> Result<Gather> {
    // There is a row: nobody calls without entries.
    if rows.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
        return Ok(Gather::Part(rows[0] as usize, rows.len()));
    }
    Ok(Gather::Index(Tensor::from_slice(rows, rows.len(), device)?))
}

impl Gather {
    fn take(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Part(0, count) if *count == x.dim(0)? => Ok(x.clone()),
            Self::Part(first, count) => x.narrow(0, *first, *count),
            Self::Index(index) => x.index_select(index, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: usize = 4;
    const KV_HEADS: usize = 2;
    const WIDTH: usize = 8;

    fn plainly(scale: f64) -> Scoring {
        Scoring {
            scale,
            softcap: None,
        }
    }

    /// One sequence and all its keys and values, one `(K, Dh)` after the other.
    struct Sequence {
        slot: Option<Slot>,
        prompt: usize,
        keys: Vec<Tensor>,
        values: Vec<Tensor>,
        ends: usize,
        window: usize,
    }

    fn random(shape: (usize, usize), seed: &mut u64) -> Tensor {
        let mut next = || {
            *seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*seed >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let values: Vec<f32> = (0..shape.0 * shape.1).map(|_| next()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// `softmax(q k^T) v` of one sequence, written plainly.
    fn plain(q: &Tensor, of: &Sequence) -> Vec<f32> {
        let from = of.keys.len().saturating_sub(of.window);
        let q: Vec<Vec<f32>> = q.to_vec2().unwrap();
        let rows = |all: &[Tensor]| -> Vec<Vec<Vec<f32>>> {
            all[from..].iter().map(|t| t.to_vec2().unwrap()).collect()
        };
        let (keys, values) = (rows(&of.keys), rows(&of.values));
        let mut out = Vec::new();
        for (head, q) in q.iter().enumerate() {
            let kv = head / (HEADS / KV_HEADS);
            let score = |k: &Vec<Vec<f32>>| {
                q.iter()
                    .zip(&k[kv])
                    .map(|(a, b)| f64::from(a * b))
                    .sum::<f64>()
                    * 0.5
            };
            let weights: Vec<f64> = keys.iter().map(|k| score(k).exp()).collect();
            let total: f64 = weights.iter().sum();
            for d in 0..WIDTH {
                let sum: f64 = weights
                    .iter()
                    .zip(&values)
                    .map(|(w, v)| w * f64::from(v[kv][d]))
                    .sum();
                out.push((sum / total) as f32);
            }
        }
        out
    }

    /// Sequences come and go for longer than any layout lasts; each sees what it alone would see.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one story of many steps")]
    fn each_sees_its_own() {
        let (memory, mut seed) = (MemoryTracker::default(), 7);
        let slots = DecodeSlots::new(&memory);
        let mut sequences: Vec<Sequence> = Vec::new();
        let (mut packed, mut steps) = (0, 0);
        for step in 0..700_usize {
            sequences.retain(|s| s.ends > step);
            // Now and then nobody is left, now and then many come at once.
            let many = if step % 97 == 0 {
                9
            } else {
                usize::from(step % 11 == 0)
            };
            for i in 0..if (300..330).contains(&step) { 0 } else { many } {
                let prompt = 1 + (step * 7 + i * 13) % 90;
                let rows = |seed: &mut u64| {
                    (0..prompt)
                        .map(|_| random((KV_HEADS, WIDTH), seed))
                        .collect::<Vec<_>>()
                };
                let (keys, values) = (rows(&mut seed), rows(&mut seed));
                let ends = step
                    + 1
                    + (step * 3 + i * 29) % 120
                    + if step == 0 && i == 0 { 290 } else { 0 };
                let window = if i % 3 == 1 { 20 } else { usize::MAX };
                sequences.insert(
                    sequences.len() * i / 9,
                    Sequence {
                        slot: None,
                        prompt,
                        keys,
                        values,
                        ends,
                        window,
                    },
                );
            }
            if sequences.is_empty() {
                assert_eq!(memory.bytes(), 0, "nobody is left in step {step}");
                continue;
            }
            let fresh: Vec<bool> = sequences.iter().map(|s| s.slot.is_none()).collect();
            let longest = sequences
                .iter()
                .filter(|s| s.slot.is_none())
                .map(|s| s.prompt)
                .max()
                .unwrap_or(0);
            let before = slots.lock().columns;
            slots
                .begin_step(
                    &mut sequences
                        .iter_mut()
                        .map(|s| &mut s.slot)
                        .collect::<Vec<_>>(),
                    longest,
                )
                .unwrap();
            packed += usize::from(slots.lock().columns != before);
            steps += 1;
            let count = sequences.len();
            let rows = |heads: usize, seed: &mut u64| {
                let rows: Vec<Tensor> = (0..count).map(|_| random((heads, WIDTH), seed)).collect();
                Tensor::stack(&rows, 0).unwrap()
            };
            let (q, k, v) = (
                rows(HEADS, &mut seed),
                rows(KV_HEADS, &mut seed),
                rows(KV_HEADS, &mut seed),
            );
            // Every third step the call is made in two parts, and its rows stand in another order
            // than the slots.
            let halves = if step % 3 == 0 {
                [0..count / 2, count / 2..count]
            } else {
                [0..0, 0..count]
            };
            for half in halves.into_iter().filter(|h| !h.is_empty()) {
                let mut entries = Vec::new();
                for row in half.clone().rev() {
                    let sequence = &mut sequences[row];
                    let prompt_kv = if fresh[row] {
                        let piece = |all: &[Tensor]| Tensor::stack(all, 0).unwrap();
                        let cut = sequence.prompt.div_ceil(2);
                        let two = [0..cut, cut..sequence.prompt]
                            .into_iter()
                            .filter(|r| !r.is_empty());
                        two.map(|r| (piece(&sequence.keys[r.clone()]), piece(&sequence.values[r])))
                            .collect()
                    } else {
                        Vec::new()
                    };
                    sequence.keys.push(k.get(row).unwrap());
                    sequence.values.push(v.get(row).unwrap());
                    let (slot, seen) = (
                        sequence.slot.as_ref().unwrap().number(),
                        sequence.keys.len().min(sequence.window),
                    );
                    entries.push(SlotEntry {
                        slot,
                        row: row as u32,
                        seen,
                        prompt_kv,
                    });
                }
                let z = slots
                    .attend(
                        (3, 0),
                        &entries,
                        (&q, &k, &v),
                        plainly(0.5),
                        &Masks::default(),
                    )
                    .unwrap();
                for (i, row) in half.rev().enumerate() {
                    let found: Vec<f32> =
                        z.get(i).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                    for (a, b) in found
                        .iter()
                        .zip(plain(&q.get(row).unwrap(), &sequences[row]))
                    {
                        assert!(
                            (a - b).abs() < 1e-5,
                            "step {step}, row {row}: {a}, expected {b}"
                        );
                    }
                }
            }
        }
        assert!(
            packed > 3 && steps > 500,
            "{packed} layouts in {steps} steps"
        );
        sequences.clear();
        assert_eq!(memory.bytes(), 0);
    }

    /// A sequence of one layer: its slot's number, the level of all its keys and values, the keys
    /// that it sees, and those of its prompt.
    type Flat = (usize, f64, usize, usize);

    fn flat_rows(level: f64, count: usize) -> Tensor {
        let ones = Tensor::ones((count, KV_HEADS, WIDTH), DType::F32, &Device::Cpu);
        (ones.unwrap() * level).unwrap()
    }

    /// Runs a step of flat sequences; returns the sum of each row.
    fn attend_flat(slots: &DecodeSlots, sequences: &[Flat]) -> Vec<f32> {
        let (mut entries, mut rows) = (Vec::new(), Vec::new());
        for &(slot, level, seen, prompt) in sequences {
            let prompt = (prompt > 0).then(|| flat_rows(level, prompt));
            entries.push(SlotEntry {
                slot,
                row: rows.len() as u32,
                seen,
                prompt_kv: prompt.into_iter().map(|kv| (kv.clone(), kv)).collect(),
            });
            rows.push(flat_rows(level, 1));
        }
        let kv = Tensor::cat(&rows, 0).unwrap();
        let q = Tensor::ones((rows.len(), HEADS, WIDTH), DType::F32, &Device::Cpu).unwrap();
        let masks = Masks::default();
        let z = slots.attend((0, 0), &entries, (&q, &kv, &kv), plainly(0.5), &masks);
        z.unwrap().sum((1, 2)).unwrap().to_vec1().unwrap()
    }

    /// A sequence whose numbers overflow harms itself alone, also where another one gets its slot.
    #[test]
    fn what_a_sequence_leaves_in_its_slot_reaches_no_other() {
        let number = |slot: &Option<Slot>| slot.as_ref().unwrap().number();
        let slots = DecodeSlots::new(&MemoryTracker::default());
        let (mut overflows, mut stays, mut late) = (None, None, None);
        slots
            .begin_step(&mut [&mut overflows, &mut stays], 4)
            .unwrap();
        let (taken, other) = (number(&overflows), number(&stays));
        let found = attend_flat(&slots, &[(taken, f64::NAN, 5, 4), (other, 1.0, 5, 4)]);
        assert!(found[0].is_nan() && found[1].is_finite(), "{found:?}");
        drop(overflows);
        slots.begin_step(&mut [&mut late, &mut stays], 1).unwrap();
        assert_eq!(number(&late), taken);
        // Its two keys stand on the right of the columns that the other one sees as well.
        let found = attend_flat(&slots, &[(taken, 1.0, 2, 1), (other, 1.0, 6, 0)]);
        assert!(found.iter().all(|sum| sum.is_finite()), "{found:?}");
    }

    #[test]
    fn a_sequence_that_is_left_out_is_an_error() {
        let slots = DecodeSlots::new(&MemoryTracker::default());
        let (mut a, mut b) = (None, None);
        slots.begin_step(&mut [&mut a, &mut b], 4).unwrap();
        assert!(slots.begin_step(&mut [&mut a], 0).is_err());
        drop(b);
        slots.begin_step(&mut [&mut a], 0).unwrap();
        let x = Tensor::zeros((1, 2, 8), DType::F32, &Device::Cpu).unwrap();
        let entry = SlotEntry {
            slot: a.as_ref().unwrap().number(),
            row: 0,
            seen: 1,
            prompt_kv: Vec::new(),
        };
        assert!(
            slots
                .attend(
                    (0, 0),
                    &[entry],
                    (&x, &x, &x),
                    plainly(1.0),
                    &Masks::default()
                )
                .is_ok()
        );
    }
}
