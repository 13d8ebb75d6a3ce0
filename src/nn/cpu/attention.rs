//! Attention of the CPU: scores, softmax, weighted values, in f32 whatever the dtype.
//!
//! **Law.** What a row gets depends on that row and the keys that it sees, never on what shares the
//! call: scores are one chain over the width of a head, values are summed over keys in the fixed
//! blocks of [`gemm`](super::gemm) counted from the first key, and what a row does not see weighs
//! 0. [`fused`] keeps no scores; [`scores`], [`softmax`] and [`weigh`] do the same step by step, to
//! the same bits, where somebody wants to look or to change something.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};
use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::gemm::{Columns, PANEL};
use super::simd::{Numbers, WORTH_SHARING, exp, floats, run, tanh};

/// Rows that share the packing of keys and values.
const ROWS: usize = 96;

/// How the product of a query and a key becomes a score.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Scoring {
    pub(in crate::nn) scale: f64,
    /// Scores are bounded by this, `c tanh(s / c)`.
    pub(in crate::nn) softcap: Option<f64>,
}

/// What the rows of one sequence see.
pub(in crate::nn) struct Sight {
    /// The number of its span.
    pub(in crate::nn) number: usize,
    /// The rows among those of the call.
    pub(in crate::nn) rows: Range<usize>,
    /// Keys and values `(n, K, Dh)` each, one after the other.
    pub(in crate::nn) pieces: Vec<(Tensor, Tensor)>,
    /// The token of each key.
    pub(in crate::nn) tokens: Arc<[u32]>,
    /// Of each row the keys that it sees.
    pub(in crate::nn) visible: Vec<Range<usize>>,
}

impl Sight {
    pub(in crate::nn) fn keys(&self) -> usize {
        self.pieces.iter().map(|(k, _)| k.dims()[0]).sum()
    }

    /// The sizes `(K, Dh)` of a key.
    fn head(&self) -> (usize, usize) {
        self.pieces
            .first()
            .map_or((1, 1), |(k, _)| (k.dims()[1], k.dims()[2]))
    }
}

/// Keys and values of one piece, and how many.
type Piece<'a> = (Numbers<'a>, Numbers<'a>, usize);

/// Hands the numbers of the pieces of all sights to `work`.
fn read<T>(sights: &[&Sight], work: impl FnOnce(&[Vec<Piece<'_>>]) -> T) -> Result<T> {
    let locks: Vec<Vec<_>> = sights
        .iter()
        .map(|s| {
            s.pieces
                .iter()
                .map(|p| {
                    (
                        p.0.storage_and_layout(),
                        p.1.storage_and_layout(),
                        p.0.dims()[0],
                    )
                })
                .collect()
        })
        .collect();
    let mut all = Vec::with_capacity(locks.len());
    for locks in &locks {
        let mut pieces = Vec::with_capacity(locks.len());
        for ((k, kl), (v, vl), count) in locks {
            let (Storage::Cpu(k), Storage::Cpu(v)) = (&**k, &**v) else {
                bail!("keys are not on the CPU")
            };
            pieces.push((Numbers::of(k, kl)?, Numbers::of(v, vl)?, *count));
        }
        all.push(pieces);
    }
    Ok(work(&all))
}

/// Keys or values of one head, packed as a weight.
struct Packed {
    panels: Vec<f32>,
    input: usize,
    columns: usize,
}

impl Packed {
    /// `rows (R, input) -> (R, columns)`.
    fn times(&self, rows: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; rows.len() / self.input * self.columns];
        let count = self.columns.div_ceil(PANEL);
        let panels = Numbers::F32(&self.panels);
        Columns {
            panels,
            input: self.input,
            bias: None,
            first: 0,
            count,
        }
        .times(rows, &mut y, self.columns);
        y
    }
}

/// The first `count` keys of head `head` as a weight of `count` outputs (a multiple of PANEL), and
/// the values as one of as many inputs.
fn pack(
    pieces: &[Piece<'_>],
    head: usize,
    (heads, width): (usize, usize),
    count: usize,
) -> (Packed, Packed) {
    let padded = width.next_multiple_of(PANEL);
    let mut keys = Packed {
        panels: vec![0.0; count * width],
        input: width,
        columns: count,
    };
    let mut values = Packed {
        panels: vec![0.0; padded * count],
        input: count,
        columns: width,
    };
    let mut row = vec![0.0; padded];
    let mut place = 0;
    for (k, v, n) in pieces {
        for i in 0..(*n).min(count - place) {
            let from = (i * heads + head) * width;
            k.read(from, &mut row[..width]);
            let panel = &mut keys.panels[place / PANEL * PANEL * width..][place % PANEL..];
            for (d, &value) in row[..width].iter().enumerate() {
                panel[d * PANEL] = value;
            }
            v.read(from, &mut row[..width]);
            for (p, chunk) in row.chunks_exact(PANEL).enumerate() {
                values.panels[(p * count + place) * PANEL..][..PANEL].copy_from_slice(chunk);
            }
            place += 1;
        }
    }
    (keys, values)
}

/// Scales and bounds scores and hides what rows do not see; then, if asked, takes the softmax of
/// each row.
struct Rows<'a> {
    scores: &'a mut [f32],
    width: usize,
    scoring: Scoring,
    /// Of each row; all of it where there are none.
    visible: &'a [Range<usize>],
    soft: bool,
}

impl NullaryFnOnce for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (i, row) in self.scores.chunks_exact_mut(self.width).enumerate() {
            if let Some(seen) = self.visible.get(i) {
                let scale = self.scoring.scale as f32;
                row.iter_mut().for_each(|x| *x *= scale);
                if let Some(cap) = self.scoring.softcap {
                    let cap = cap as f32;
                    row.iter_mut().for_each(|x| *x = tanh(*x / cap) * cap);
                }
                row[..seen.start].fill(f32::NEG_INFINITY);
                row[seen.end..].fill(f32::NEG_INFINITY);
            }
            if self.soft {
                soften(row);
            }
        }
    }
}

/// The softmax; sums in 16 chains and then over these.
#[inline(always)]
fn soften(row: &mut [f32]) {
    let mut chains = [f32::NEG_INFINITY; PANEL];
    let (whole, rest) = row.as_chunks::<PANEL>();
    for chunk in whole {
        for (chain, &x) in chains.iter_mut().zip(chunk) {
            *chain = if x > *chain { x } else { *chain };
        }
    }
    let most = chains
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
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

/// Does `work` on each of `tasks`, on all threads if it comes to so many multiply-adds that this
/// pays.
fn share<T: Sync, O: Send>(
    tasks: &[T],
    size: usize,
    work: impl Fn(&T) -> O + Sync + Send,
) -> Vec<O> {
    if size < WORTH_SHARING {
        tasks.iter().map(work).collect()
    } else {
        tasks.par_iter().map(work).collect()
    }
}

/// `q (R, H, Dh)`, what each sequence sees -> `(R, H, Dh)`; rows of no sequence become 0.
pub(in crate::nn) fn fused(q: &Tensor, sights: &[&Sight], scoring: Scoring) -> Result<Tensor> {
    q.apply_op1_no_bwd(&Fused { sights, scoring })
}

struct Fused<'a> {
    sights: &'a [&'a Sight],
    scoring: Scoring,
}

impl CustomOp1 for Fused<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, heads, width) = layout.shape().dims3()?;
        let q = floats(storage, layout)?;
        let mut tasks: Vec<(usize, usize, Range<usize>)> = Vec::new();
        let mut size = 0;
        for (i, sight) in self.sights.iter().enumerate() {
            let rows = sight.rows.len();
            let parts = (0..rows).step_by(ROWS).map(|r| r..rows.min(r + ROWS));
            tasks.extend(
                parts.flat_map(|rows| (0..sight.head().0).map(move |head| (i, head, rows.clone()))),
            );
            size += rows * sight.keys() * heads * width;
        }
        let done = read(self.sights, |pieces| {
            share(&tasks, size, |(i, head, rows)| {
                let sight = self.sights[*i];
                let group = heads / sight.head().0;
                let visible = &sight.visible[rows.clone()];
                let count = visible
                    .iter()
                    .map(|v| v.end)
                    .max()
                    .unwrap_or(0)
                    .next_multiple_of(PANEL);
                let (keys, values) = pack(&pieces[*i], *head, sight.head(), count);
                let one = |h: usize| {
                    let from =
                        |r: usize| ((sight.rows.start + r) * heads + head * group + h) * width;
                    let mut own = Vec::with_capacity(rows.len() * width);
                    rows.clone()
                        .for_each(|r| own.extend_from_slice(&q[from(r)..from(r) + width]));
                    let mut scores = keys.times(&own);
                    run(Rows {
                        scores: &mut scores,
                        width: count,
                        scoring: self.scoring,
                        visible,
                        soft: true,
                    });
                    values.times(&scores)
                };
                (0..group).map(one).collect::<Vec<_>>()
            })
        })?;
        let mut out = vec![0.0; q.len()];
        for ((i, head, rows), done) in tasks.iter().zip(done) {
            let group = heads / self.sights[*i].head().0;
            for (h, z) in done.iter().enumerate() {
                for (r, z) in rows.clone().zip(z.chunks_exact(width)) {
                    let from =
                        ((self.sights[*i].rows.start + r) * heads + head * group + h) * width;
                    out[from..from + width].copy_from_slice(z);
                }
            }
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

/// The scores of one sequence: `q (T, H, Dh) -> (H, T, S)`, minus infinity at what a row does not
/// see.
pub(in crate::nn) fn scores(q: &Tensor, sight: &Sight, scoring: Scoring) -> Result<Tensor> {
    q.apply_op1_no_bwd(&Scores { sight, scoring })
}

struct Scores<'a> {
    sight: &'a Sight,
    scoring: Scoring,
}

impl CustomOp1 for Scores<'_> {
    fn name(&self) -> &'static str {
        "attention scores"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, heads, width) = layout.shape().dims3()?;
        let q = floats(storage, layout)?;
        let (sight, keys) = (self.sight, self.sight.keys());
        let group = heads / sight.head().0;
        let all: Vec<usize> = (0..heads).collect();
        let done = read(&[sight], |pieces| {
            share(&all, rows * keys * heads * width, |head| {
                let count = keys.next_multiple_of(PANEL);
                let (packed, _) = pack(&pieces[0], head / group, sight.head(), count);
                let from = |r: usize| (r * heads + head) * width;
                let mut own = Vec::with_capacity(rows * width);
                (0..rows).for_each(|r| own.extend_from_slice(&q[from(r)..from(r) + width]));
                let mut scores = packed.times(&own);
                let visible = &sight.visible;
                run(Rows {
                    scores: &mut scores,
                    width: count,
                    scoring: self.scoring,
                    visible,
                    soft: false,
                });
                scores
                    .chunks_exact(count)
                    .flat_map(|row| &row[..keys])
                    .copied()
                    .collect::<Vec<f32>>()
            })
        })?;
        Ok((CpuStorage::F32(done.concat()), (heads, rows, keys).into()))
    }
}

/// The softmax over the last dimension of scores, f32.
pub(in crate::nn) fn softmax(scores: &Tensor) -> Result<Tensor> {
    scores.apply_op1_no_bwd(&Softmax)
}

struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut rows = floats(storage, layout)?.to_vec();
        let width = layout.shape().dims().last().copied().unwrap_or(0).max(1);
        rows.par_chunks_mut(16 * width).for_each(|scores| {
            let scoring = Scoring {
                scale: 1.0,
                softcap: None,
            };
            run(Rows {
                scores,
                width,
                scoring,
                visible: &[],
                soft: true,
            });
        });
        Ok((CpuStorage::F32(rows), layout.shape().clone()))
    }
}

/// The values of one sequence by a pattern `(H, T, S)`: `(T, H, Dh)`.
pub(in crate::nn) fn weigh(pattern: &Tensor, sight: &Sight) -> Result<Tensor> {
    pattern.apply_op1_no_bwd(&Weigh { sight })
}

struct Weigh<'a> {
    sight: &'a Sight,
}

impl CustomOp1 for Weigh<'_> {
    fn name(&self) -> &'static str {
        "weighted values"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (heads, rows, keys) = layout.shape().dims3()?;
        let pattern = floats(storage, layout)?;
        let (kv_heads, width) = self.sight.head();
        let group = heads / kv_heads;
        let count = keys.next_multiple_of(PANEL);
        let all: Vec<usize> = (0..heads).collect();
        let done = read(&[self.sight], |pieces| {
            share(&all, rows * keys * heads * width, |head| {
                let (_, values) = pack(&pieces[0], head / group, (kv_heads, width), count);
                let mut weights = vec![0.0; rows * count];
                let own = &pattern[head * rows * keys..(head + 1) * rows * keys];
                for (to, from) in weights.chunks_exact_mut(count).zip(own.chunks_exact(keys)) {
                    to[..keys].copy_from_slice(from);
                }
                values.times(&weights)
            })
        })?;
        let mut out = vec![0.0; rows * heads * width];
        for (head, z) in done.iter().enumerate() {
            for (r, z) in z.chunks_exact(width).enumerate() {
                out[(r * heads + head) * width..][..width].copy_from_slice(z);
            }
        }
        Ok((CpuStorage::F32(out), (rows, heads, width).into()))
    }
}
