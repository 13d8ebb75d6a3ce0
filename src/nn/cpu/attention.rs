//! Attention of the CPU: scores, softmax, weighted values, in f32 whatever the dtype.
//!
//! **Law.** The result of a row depends on that row and the keys that it sees, never on what shares
//! the call: scores are one chain over the width of a head, values are summed over keys in the
//! fixed blocks of [`gemm`](super::gemm) counted from the first key, and what a row does not see
//! weighs 0. [`fused`] keeps no scores; [`scores`], [`softmax`] and [`weigh`] do the same step by
//! step, to the same bits, where a hook reads or changes something.

use std::ops::Range;

use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::gemm::PackedWeight;
use super::pack::Panels;
use super::simd::{MIN_PARALLEL, Numbers, exp, run, tanh};
use super::tiles::PANEL;

/// Rows that share the packing of keys and values.
const ROWS: usize = 96;
/// Rows of scores that one thread normalises at a time.
const SOFTMAX_ROWS: usize = 16;

/// Turns the product of a query and a key into a score.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Scoring {
    pub(in crate::nn) scale: f64,
    /// Bounds scores: `c tanh(s / c)`.
    pub(in crate::nn) softcap: Option<f64>,
}

/// Keys and values `(count, K, Dh)` that stand side by side in memory.
pub(in crate::nn) struct Segment<'a> {
    pub(in crate::nn) keys: Numbers<'a>,
    pub(in crate::nn) values: Numbers<'a>,
    pub(in crate::nn) count: usize,
}

/// The rows of one sequence with the keys and values that they may see.
pub(in crate::nn) struct Sequence<'a> {
    /// The rows among those of the call.
    pub(in crate::nn) rows: Range<usize>,
    /// The keys and values, in order.
    pub(in crate::nn) segments: Vec<Segment<'a>>,
    /// K.
    pub(in crate::nn) kv_heads: usize,
    /// Dh.
    pub(in crate::nn) width: usize,
    /// The keys that each row sees.
    pub(in crate::nn) visible: &'a [Range<usize>],
}

impl Sequence<'_> {
    fn keys(&self) -> usize {
        self.segments.iter().map(|s| s.count).sum()
    }

    /// Packs the first `count` keys of a head as a weight of `count` outputs (a multiple of PANEL).
    fn pack_keys(&self, head: usize, count: usize) -> PackedHead {
        let width = self.width;
        let mut panels = vec![0.0; count * width];
        let mut row = vec![0.0; width];
        self.each_row(head, count, |segment, from, place| {
            segment.keys.read(from, &mut row);
            // Key `place` is output `place` of the weight: a column of its panel, a line a
            // dimension.
            let panel = &mut panels[place / PANEL * PANEL * width..][place % PANEL..];
            for (d, &value) in row.iter().enumerate() {
                panel[d * PANEL] = value;
            }
        });
        PackedHead {
            panels,
            input: width,
            columns: count,
        }
    }

    /// Packs the first `count` values of a head as a weight of `count` inputs.
    fn pack_values(&self, head: usize, count: usize) -> PackedHead {
        let padded = self.width.next_multiple_of(PANEL);
        let mut panels = vec![0.0; padded * count];
        // Dimensions behind the head's width stay 0, and are cut off with the product's padding.
        let mut row = vec![0.0; padded];
        self.each_row(head, count, |segment, from, place| {
            segment.values.read(from, &mut row[..self.width]);
            for (p, chunk) in row.chunks_exact(PANEL).enumerate() {
                panels[(p * count + place) * PANEL..][..PANEL].copy_from_slice(chunk);
            }
        });
        PackedHead {
            panels,
            input: count,
            columns: self.width,
        }
    }

    /// Calls `visit` with the segment, the offset in it and the number of each of the first `count`
    /// keys.
    fn each_row(
        &self,
        head: usize,
        count: usize,
        mut visit: impl FnMut(&Segment<'_>, usize, usize),
    ) {
        let mut place = 0;
        for segment in &self.segments {
            for i in 0..segment.count.min(count - place) {
                visit(segment, (i * self.kv_heads + head) * self.width, place);
                place += 1;
            }
        }
    }
}

/// Keys or values of one head, packed as a weight.
struct PackedHead {
    panels: Vec<f32>,
    input: usize,
    columns: usize,
}

impl PackedHead {
    /// Multiplies `rows (R, input)`: `(R, columns)`.
    fn times(&self, rows: &[f32]) -> Vec<f32> {
        // On this thread alone: heads are shared out already.
        PackedWeight {
            panels: Panels::F32(&self.panels),
            input: self.input,
            out: self.columns,
            bias: None,
        }
        .product_here(Numbers::F32(rows))
    }
}

/// Scales and bounds scores, hides what rows do not see and takes the softmax of each row, as asked.
struct ScoreRows<'a> {
    scores: &'a mut [f32],
    width: usize,
    scoring: Scoring,
    /// The keys that each row sees; rows beyond the list are not scaled, bounded or hidden.
    visible: &'a [Range<usize>],
    softmax: bool,
}

impl NullaryFnOnce for ScoreRows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (i, row) in self.scores.chunks_exact_mut(self.width).enumerate() {
            let mut chunks = 0..self.width;
            if let Some(seen) = self.visible.get(i) {
                // A row of a prompt sees about half of the keys.
                chunks =
                    seen.start / PANEL * PANEL..seen.end.next_multiple_of(PANEL).min(self.width);
                row[..chunks.start].fill(f32::NEG_INFINITY);
                row[chunks.end..].fill(f32::NEG_INFINITY);
                let (first, row) = (chunks.start, &mut row[chunks.clone()]);
                let scale = self.scoring.scale as f32;
                row.iter_mut().for_each(|x| *x *= scale);
                if let Some(cap) = self.scoring.softcap {
                    let cap = cap as f32;
                    row.iter_mut().for_each(|x| *x = tanh(*x / cap) * cap);
                }
                row[..seen.start - first].fill(f32::NEG_INFINITY);
                row[seen.end - first..].fill(f32::NEG_INFINITY);
            }
            if self.softmax {
                // What is not seen weighs exactly 0, and adds nothing to a chain.
                row[..chunks.start].fill(0.0);
                row[chunks.end..].fill(0.0);
                softmax_row(&mut row[chunks]);
            }
        }
    }
}

/// Takes the softmax of a row; sums in 16 chains and then over these.
#[inline(always)]
fn softmax_row(row: &mut [f32]) {
    // Chains of fixed number, however wide the vectors: the order of the sum is part of the law.
    let mut chains = [f32::NEG_INFINITY; PANEL];
    let (whole, rest) = row.as_chunks::<PANEL>();
    for chunk in whole {
        for (chain, &x) in chains.iter_mut().zip(chunk) {
            // A comparison vectorises where `max` has to treat NaN.
            *chain = if x > *chain { x } else { *chain };
        }
    }
    let mut half = PANEL / 2;
    // The largest number is the same in any order, and this one takes four steps for sixteen.
    while half > 0 {
        let (low, high) = chains.split_at_mut(half);
        for (most, &x) in low.iter_mut().zip(&high[..half]) {
            *most = if x > *most { x } else { *most };
        }
        half /= 2;
    }
    let most = rest.iter().copied().fold(chains[0], f32::max);
    // Masked scores are minus infinity, and become exactly 0.
    for x in row.iter_mut() {
        *x = exp(*x - most);
    }
    let mut chains = [0.0; PANEL];
    let (whole, rest) = row.as_chunks::<PANEL>();
    for chunk in whole {
        for (chain, &x) in chains.iter_mut().zip(chunk) {
            *chain += x;
        }
    }
    for (chain, &x) in chains.iter_mut().zip(rest) {
        *chain += x;
    }
    let scale = 1.0 / chains.iter().sum::<f32>();
    row.iter_mut().for_each(|x| *x *= scale);
}

/// Does `work` on each of `tasks`, on all threads if `size` multiply-adds are worth it.
fn share<T: Sync, O: Send>(
    tasks: &[T],
    size: usize,
    work: impl Fn(&T) -> O + Sync + Send,
) -> Vec<O> {
    if size < MIN_PARALLEL {
        tasks.iter().map(work).collect()
    } else {
        tasks.par_iter().map(work).collect()
    }
}

/// A part of the work of [`fused`]: some rows of one sequence, and the heads that share a key.
struct Task {
    sequence: usize,
    kv_head: usize,
    rows: Range<usize>,
}

/// Attends `q (R, H, Dh)` to the keys and values of each sequence: `(R, H, Dh)`; rows of no
/// sequence become 0.
pub(in crate::nn) fn fused(
    q: &[f32],
    (heads, width): (usize, usize),
    sequences: &[Sequence<'_>],
    scoring: Scoring,
) -> Vec<f32> {
    let mut tasks = Vec::new();
    let mut size = 0;
    for (sequence, of) in sequences.iter().enumerate() {
        let count = of.rows.len();
        // The packing of a head's keys is shared by the heads of its group, and by some rows.
        for first in (0..count).step_by(ROWS) {
            let rows = first..count.min(first + ROWS);
            tasks.extend((0..of.kv_heads).map(|kv_head| Task {
                sequence,
                kv_head,
                rows: rows.clone(),
            }));
        }
        // Multiply-adds of the scores alone; the values take as many again.
        size += count * of.keys() * heads * width;
    }
    let done = share(&tasks, size, |task| {
        attend(task, q, (heads, width), &sequences[task.sequence], scoring)
    });
    let mut out = vec![0.0; q.len()];
    for (task, done) in tasks.iter().zip(done) {
        let of = &sequences[task.sequence];
        let group = heads / of.kv_heads;
        let of_heads = done.chunks_exact((task.rows.len() * width).max(1));
        for (h, z) in of_heads.enumerate() {
            for (r, z) in task.rows.clone().zip(z.chunks_exact(width)) {
                let head = task.kv_head * group + h;
                let from = ((of.rows.start + r) * heads + head) * width;
                out[from..from + width].copy_from_slice(z);
            }
        }
    }
    out
}

/// Returns `(heads of the group, rows, Dh)` of a task.
fn attend(
    task: &Task,
    q: &[f32],
    (heads, width): (usize, usize),
    of: &Sequence<'_>,
    scoring: Scoring,
) -> Vec<f32> {
    let group = heads / of.kv_heads;
    let visible = &of.visible[task.rows.clone()];
    // Keys beyond the last one that any of the rows sees are not packed.
    let count = visible
        .iter()
        .map(|v| v.end)
        .max()
        .unwrap_or(0)
        .next_multiple_of(PANEL);
    let keys = of.pack_keys(task.kv_head, count);
    let values = of.pack_values(task.kv_head, count);
    let heads_of_group: Vec<usize> = (task.kv_head * group..(task.kv_head + 1) * group).collect();
    let mut done = Vec::with_capacity(group * task.rows.len() * width);
    // Few rows fill the tiles of a product better with those of other heads beside them.
    for together in heads_of_group.chunks((ROWS / task.rows.len().max(1)).max(1)) {
        let mut own = Vec::with_capacity(together.len() * task.rows.len() * width);
        for head in together {
            for row in task.rows.clone() {
                let from = ((of.rows.start + row) * heads + head) * width;
                own.extend_from_slice(&q[from..from + width]);
            }
        }
        // (heads rows, Dh) -> (heads rows, keys).
        let mut scores = keys.times(&own);
        for scores in scores.chunks_exact_mut((task.rows.len() * count).max(1)) {
            // Padding lies beyond what any row sees, and is hidden with the rest.
            run(ScoreRows {
                scores,
                width: count,
                scoring,
                visible,
                softmax: true,
            });
        }
        // (heads rows, keys) -> (heads rows, Dh).
        done.append(&mut values.times(&scores));
    }
    done
}

/// Computes the scores `(H, T, S)` of one sequence's `q (T, H, Dh)`, minus infinity where a row
/// does not see a key.
pub(in crate::nn) fn scores(
    q: &[f32],
    (rows, heads, width): (usize, usize, usize),
    of: &Sequence<'_>,
    scoring: Scoring,
) -> Vec<f32> {
    let keys = of.keys();
    let group = heads / of.kv_heads;
    let count = keys.next_multiple_of(PANEL);
    let all: Vec<usize> = (0..heads).collect();
    let done = share(&all, rows * keys * heads * width, |head| {
        let mut own = Vec::with_capacity(rows * width);
        for row in 0..rows {
            own.extend_from_slice(&q[(row * heads + head) * width..][..width]);
        }
        // (T, Dh) -> (T, S), the keys filled up to whole panels.
        let mut scores = of.pack_keys(head / group, count).times(&own);
        run(ScoreRows {
            scores: &mut scores,
            width: count,
            scoring,
            visible: of.visible,
            softmax: false,
        });
        // Without the padding.
        scores
            .chunks_exact(count)
            .flat_map(|row| &row[..keys])
            .copied()
            .collect::<Vec<f32>>()
    });
    done.concat()
}

/// Takes the softmax of each row of `width` scores.
pub(in crate::nn) fn softmax(scores: &mut [f32], width: usize) {
    scores
        .par_chunks_mut(SOFTMAX_ROWS * width)
        .for_each(|scores| {
            run(ScoreRows {
                scores,
                width,
                scoring: Scoring {
                    scale: 1.0,
                    softcap: None,
                },
                visible: &[],
                softmax: true,
            });
        });
}

/// Weighs the values of one sequence by `pattern (H, T, S)`: `(T, H, Dh)`.
pub(in crate::nn) fn weigh(
    pattern: &[f32],
    (heads, rows, keys): (usize, usize, usize),
    of: &Sequence<'_>,
) -> Vec<f32> {
    let (group, width) = (heads / of.kv_heads, of.width);
    let count = keys.next_multiple_of(PANEL);
    let all: Vec<usize> = (0..heads).collect();
    let done = share(&all, rows * keys * heads * width, |head| {
        let values = of.pack_values(head / group, count);
        // Padded keys weigh 0.
        let mut weights = vec![0.0; rows * count];
        let own = &pattern[head * rows * keys..(head + 1) * rows * keys];
        for (to, from) in weights.chunks_exact_mut(count).zip(own.chunks_exact(keys)) {
            to[..keys].copy_from_slice(from);
        }
        // (T, S) -> (T, Dh).
        values.times(&weights)
    });
    let mut out = vec![0.0; rows * heads * width];
    for (head, z) in done.iter().enumerate() {
        for (r, z) in z.chunks_exact(width).enumerate() {
            out[(r * heads + head) * width..][..width].copy_from_slice(z);
        }
    }
    out
}
