//! Keys and values of sequences that write, where candle computes: of each layer one tensor for all
//! sequences, so that one kernel serves them all, however many they are.
//!
//! A sequence has a lane. Lanes end together: the keys of every sequence stand before the same
//! column, where this step's go, and what a sequence does not fill on the left is masked. So a step
//! appends with one kernel, too. What a sequence brings from its prompt is copied in once; lanes
//! are packed anew when they run out, and every [`SLACK`] steps.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{Result, Tensor};

use super::sequence::{Charge, Meter};
use crate::nn::candle::attention::{self as dense, Masks};
use crate::nn::cpu::attention::Scoring;

/// Columns that are laid out ahead.
const SLACK: usize = 256;

/// The lanes of one model; clones share them.
#[derive(Debug, Clone)]
pub struct Lanes {
    table: Arc<Mutex<Table>>,
    meter: Meter,
}

#[derive(Debug, Default)]
struct Table {
    /// Which lanes belong to somebody.
    taken: Vec<bool>,
    /// Where this step's keys go.
    column: usize,
    /// How many there are.
    columns: usize,
    /// By layer, and how often the sequence has run it before.
    stored: BTreeMap<(usize, usize), Stored>,
}

#[derive(Debug)]
struct Stored {
    /// `(B, K, S, Dh)`.
    keys: Tensor,
    /// `(B, K, S, Dh)`.
    values: Tensor,
    /// How many keys each lane has.
    lengths: Vec<usize>,
    _charge: Charge,
}

/// A sequence's lane, its own until it is dropped.
#[derive(Debug)]
pub(in crate::nn) struct Seat {
    lanes: Lanes,
    number: usize,
}

/// A sequence in one layer of a step.
pub(in crate::nn) struct Member {
    pub(in crate::nn) lane: usize,
    /// Its row in the call.
    pub(in crate::nn) row: u32,
    /// How many of its last keys it sees, this step's included.
    pub(in crate::nn) seen: usize,
    /// Keys and values of its prompt, where it is here for the first time.
    pub(in crate::nn) brings: Vec<(Tensor, Tensor)>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.lanes.lock();
        // Where the device refused to pack, some layers have fewer lanes than others.
        let number = self.number;
        table
            .taken
            .get_mut(number)
            .into_iter()
            .for_each(|taken| *taken = false);
        table
            .stored
            .values_mut()
            .filter_map(|s| s.lengths.get_mut(number))
            .for_each(|length| *length = 0);
        if !table.taken.contains(&true) {
            *table = Table::default();
        }
    }
}

impl Seat {
    pub(in crate::nn) fn number(&self) -> usize {
        self.number
    }
}

impl Lanes {
    /// Empty; `meter` counts their bytes.
    pub fn new(meter: &Meter) -> Self {
        Self {
            table: Arc::default(),
            meter: meter.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a step in which all that have a lane take part, and those that have `None` get one;
    /// of these the longest prompt has `longest` tokens.
    pub(in crate::nn) fn step(
        &self,
        seats: &mut [&mut Option<Seat>],
        longest: usize,
    ) -> Result<()> {
        let mut table = self.lock();
        let seated = table.taken.iter().filter(|t| **t).count();
        let known = seats.iter().filter(|s| s.is_some()).count();
        if known != seated {
            candle_core::bail!("{known} of {seated} sequences that write take part in a step");
        }
        let next = if seated > 0 { table.column + 1 } else { 0 };
        let fits = seats.len() <= table.taken.len() && next < table.columns && longest <= next;
        // A half that is empty is not worth reading.
        if fits && table.taken.len() <= 2 * seats.len() {
            table.column = next;
        } else {
            self.pack(&mut table, seats, longest, next)?;
        }
        for seat in seats.iter_mut().filter(|s| s.is_none()) {
            let Some(number) = table.taken.iter().position(|t| !t) else {
                candle_core::bail!("no lane is free");
            };
            table.taken[number] = true;
            **seat = Some(Seat {
                lanes: self.clone(),
                number,
            });
        }
        Ok(())
    }

    /// Lays all lanes out anew, in the order of `seats`; before, their keys ended at column `end`.
    fn pack(
        &self,
        table: &mut Table,
        seats: &mut [&mut Option<Seat>],
        longest: usize,
        end: usize,
    ) -> Result<()> {
        let lengths = table
            .stored
            .values()
            .flat_map(|s| s.lengths.iter().copied());
        let column = lengths.chain([longest]).max().unwrap_or(0);
        let columns = (column + SLACK).next_multiple_of(64);
        // Some lanes more, so that not everyone who joins moves all.
        let count = seats.len().next_multiple_of((seats.len() / 8).max(1));
        for stored in table.stored.values_mut() {
            let mut lengths = vec![0; count];
            let moved = |old: &Tensor| -> Result<Tensor> {
                let (_, heads, _, width) = old.dims4()?;
                let new = Tensor::zeros((count, heads, columns, width), old.dtype(), old.device())?;
                for (lane, seat) in (0..).zip(seats.iter()) {
                    let Some(seat) = seat.as_ref() else { continue };
                    let length = stored.lengths[seat.number];
                    if length > 0 {
                        let rows = old
                            .narrow(0, seat.number, 1)?
                            .narrow(2, end - length, length)?
                            .contiguous()?;
                        new.narrow(0, lane, 1)?
                            .slice_set(&rows, 2, column - length)?;
                    }
                }
                Ok(new)
            };
            let (keys, values) = (moved(&stored.keys)?, moved(&stored.values)?);
            for (lane, seat) in seats.iter().enumerate() {
                lengths[lane] = seat.as_ref().map_or(0, |s| stored.lengths[s.number]);
            }
            let charge = self.meter.charge([&keys, &values]);
            *stored = Stored {
                keys,
                values,
                lengths,
                _charge: charge,
            };
        }
        table.taken = vec![false; count];
        for (number, seat) in seats.iter_mut().enumerate() {
            if let Some(seat) = seat.as_mut() {
                seat.number = number;
                table.taken[number] = true;
            }
        }
        (table.column, table.columns) = (column, columns);
        Ok(())
    }

    /// One layer for sequences that each read one row: `q (R, H, Dh)`, `k` and `v (R, K, Dh)` of
    /// all rows of the call, the queries scaled; `(M, H, Dh)` in the order of `members`.
    pub(in crate::nn) fn attend(
        &self,
        layer: (usize, usize),
        members: &[Member],
        (q, k, v): (&Tensor, &Tensor, &Tensor),
        scoring: Scoring,
        masks: &Masks,
    ) -> Result<Tensor> {
        let mut table = self.lock();
        let Table {
            taken,
            column,
            columns,
            stored,
        } = &mut *table;
        let (count, column, device) = (taken.len(), *column, q.device());
        let (_, kv_heads, width) = k.dims3()?;
        let stored = match stored.entry(layer) {
            std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let empty = || Tensor::zeros((count, kv_heads, *columns, width), k.dtype(), device);
                let (keys, values) = (empty()?, empty()?);
                let charge = self.meter.charge([&keys, &values]);
                place.insert(Stored {
                    keys,
                    values,
                    lengths: vec![0; count],
                    _charge: charge,
                })
            }
        };
        // A lane that is absent reads some row and writes where it has no keys.
        let mut rows = vec![members[0].row; count];
        members.iter().for_each(|m| rows[m.lane] = m.row);
        let lanes = gather(&rows, device)?;
        let mut whole = vec![false; count];
        members.iter().for_each(|m| whole[m.lane] = true);
        let disturbs = (0..count).any(|lane| !whole[lane] && stored.lengths[lane] > 0);
        for (to, new, of) in [(&stored.keys, k, 0), (&stored.values, v, 1)] {
            for member in members.iter().filter(|m| !m.brings.is_empty()) {
                let pieces: Vec<&Tensor> = member
                    .brings
                    .iter()
                    .map(|p| if of == 0 { &p.0 } else { &p.1 })
                    .collect();
                let prompt = dense::heads_first(&pieces, 1)?; // (1, K, n, Dh)
                to.narrow(0, member.lane, 1)?
                    .slice_set(&prompt, 2, column - prompt.dim(2)?)?;
            }
            if disturbs {
                for member in members {
                    let row = new
                        .narrow(0, member.row as usize, 1)?
                        .contiguous()?
                        .unsqueeze(2)?; // (1, K, 1, Dh)
                    to.narrow(0, member.lane, 1)?.slice_set(&row, 2, column)?;
                }
            } else {
                to.slice_set(&lanes.take(new)?.unsqueeze(2)?, 2, column)?; // (B, K, 1, Dh)
            }
        }
        for member in members {
            let brought: usize = member.brings.iter().map(|(k, _)| k.dims()[0]).sum();
            stored.lengths[member.lane] += brought + 1;
        }
        let from = members
            .iter()
            .map(|m| column + 1 - m.seen)
            .min()
            .unwrap_or(0);
        let mut visible: Vec<Range<usize>> = vec![from..column + 1; count];
        members
            .iter()
            .for_each(|m| visible[m.lane].start = column + 1 - m.seen);
        let seen = column + 1 - from;
        let mask = masks.of(&visible, from..column + 1, device)?;
        let mask = mask.map(|m| m.reshape((count, 1, 1, seen))).transpose()?;
        let q = (lanes.take(q)? * scoring.scale)?.unsqueeze(1)?; // (B, 1, H, Dh)
        let scores = dense::scores(
            &q,
            &stored.keys.narrow(2, from, seen)?,
            scoring.softcap,
            mask.as_ref(),
        )?;
        let z = dense::weigh(
            &dense::softmax(&scores)?,
            &stored.values.narrow(2, from, seen)?,
        )?
        .squeeze(1)?; // (B, H, Dh)
        let order: Vec<u32> = members.iter().map(|m| m.lane as u32).collect();
        gather(&order, device)?.take(&z)
    }
}

/// Some rows of a tensor; a part of it where they stand together.
enum Gather {
    Part(usize, usize),
    Index(Tensor),
}

fn gather(rows: &[u32], device: &candle_core::Device) -> Result<Gather> {
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
    use candle_core::{DType, Device};

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
        seat: Option<Seat>,
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
    fn each_sees_its_own() {
        let (meter, mut seed) = (Meter::default(), 7);
        let lanes = Lanes::new(&meter);
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
                        seat: None,
                        prompt,
                        keys,
                        values,
                        ends,
                        window,
                    },
                );
            }
            if sequences.is_empty() {
                assert_eq!(meter.bytes(), 0, "nobody is left in step {step}");
                continue;
            }
            let fresh: Vec<bool> = sequences.iter().map(|s| s.seat.is_none()).collect();
            let longest = sequences
                .iter()
                .filter(|s| s.seat.is_none())
                .map(|s| s.prompt)
                .max()
                .unwrap_or(0);
            let before = lanes.lock().columns;
            lanes
                .step(
                    &mut sequences
                        .iter_mut()
                        .map(|s| &mut s.seat)
                        .collect::<Vec<_>>(),
                    longest,
                )
                .unwrap();
            packed += usize::from(lanes.lock().columns != before);
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
            // than the lanes.
            let halves = if step % 3 == 0 {
                [0..count / 2, count / 2..count]
            } else {
                [0..0, 0..count]
            };
            for half in halves.into_iter().filter(|h| !h.is_empty()) {
                let mut members = Vec::new();
                for row in half.clone().rev() {
                    let sequence = &mut sequences[row];
                    let brings = if fresh[row] {
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
                    let (lane, seen) = (
                        sequence.seat.as_ref().unwrap().number(),
                        sequence.keys.len().min(sequence.window),
                    );
                    members.push(Member {
                        lane,
                        row: row as u32,
                        seen,
                        brings,
                    });
                }
                let z = lanes
                    .attend(
                        (3, 0),
                        &members,
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
        assert_eq!(meter.bytes(), 0);
    }

    #[test]
    fn a_sequence_that_is_left_out_is_an_error() {
        let lanes = Lanes::new(&Meter::default());
        let (mut a, mut b) = (None, None);
        lanes.step(&mut [&mut a, &mut b], 4).unwrap();
        assert!(lanes.step(&mut [&mut a], 0).is_err());
        drop(b);
        lanes.step(&mut [&mut a], 0).unwrap();
        let x = Tensor::zeros((1, 2, 8), DType::F32, &Device::Cpu).unwrap();
        let member = Member {
            lane: a.as_ref().unwrap().number(),
            row: 0,
            seen: 1,
            brings: Vec::new(),
        };
        assert!(
            lanes
                .attend(
                    (0, 0),
                    &[member],
                    (&x, &x, &x),
                    plainly(1.0),
                    &Masks::default()
                )
                .is_ok()
        );
    }
}
