//! Attention by candle's operations, where no kernel of ours runs: on a GPU. Sequences that look
//! alike go through the same kernels; queries go in blocks, so that the scores of a long prompt
//! never stand in memory as a whole.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{D, DType, Device, Result, Tensor};

use crate::nn::cpu::attention::{Scoring, Sight};

/// Bytes of the f32 scores of one block of queries.
const BLOCK_BYTES: usize = 512 << 20;

/// What hides keys from queries, made once for all layers of a pass.
#[derive(Debug, Default)]
pub(in crate::nn) struct Masks(RefCell<Vec<Mask>>);

#[derive(Debug)]
struct Mask {
    visible: Vec<Range<usize>>,
    keys: Range<usize>,
    tensor: Tensor,
}

impl Masks {
    /// `(T, S)` for the keys `keys`: 0 where a row sees a key, minus infinity elsewhere; `None`
    /// where all rows see all of them.
    pub(in crate::nn) fn of(
        &self,
        visible: &[Range<usize>],
        keys: Range<usize>,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        if visible
            .iter()
            .all(|v| v.start <= keys.start && v.end >= keys.end)
        {
            return Ok(None);
        }
        let mut known = self.0.borrow_mut();
        if let Some(mask) = known
            .iter()
            .find(|m| m.keys == keys && m.visible == visible)
        {
            return Ok(Some(mask.tensor.clone()));
        }
        let row = |seen: &Range<usize>| {
            let seen = seen.clone();
            keys.clone().map(move |key| {
                if seen.contains(&key) {
                    0.0
                } else {
                    f32::NEG_INFINITY
                }
            })
        };
        let values: Vec<f32> = visible.iter().flat_map(row).collect();
        let tensor = Tensor::from_vec(values, (visible.len(), keys.len()), device)?;
        known.push(Mask {
            visible: visible.to_vec(),
            keys,
            tensor: tensor.clone(),
        });
        Ok(Some(tensor))
    }
}

/// Keys or values of `count` sequences of equal length, `(n, K, Dh)` each or in pieces:
/// `(N, K, S, Dh)`.
pub(in crate::nn) fn heads_first(pieces: &[&Tensor], count: usize) -> Result<Tensor> {
    let all = if let [one] = pieces {
        (*one).clone()
    } else {
        Tensor::cat(pieces, 0)?
    };
    let (rows, heads, width) = all.dims3()?;
    all.reshape((count, rows / count, heads, width))?
        .transpose(1, 2)?
        .contiguous()
}

/// Scaled queries `(N, T, H, Dh)` by keys `(N, K, S, Dh)`: scores `(N H, T, S)`, f32, bounded by
/// `softcap`; `mask` is `(T, S)`, or `(N, 1, 1, S)` for one query of each sequence.
pub(in crate::nn) fn scores(
    q: &Tensor,
    keys: &Tensor,
    softcap: Option<f64>,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let (count, rows, heads, width) = q.dims4()?;
    let (kv_heads, seen) = (keys.dim(1)?, keys.dim(2)?);
    // Heads that share keys stand together, so that one batched product serves a group.
    let q = q.transpose(1, 2)?.contiguous()?.reshape((
        count,
        kv_heads,
        heads / kv_heads * rows,
        width,
    ))?;
    let scores = q.matmul(&keys.transpose(2, 3)?)?.to_dtype(DType::F32)?; // (N, K, G T, S)
    let scores = match softcap {
        Some(cap) => ((scores / cap)?.tanh()? * cap)?,
        None => scores,
    };
    let scores = match mask {
        Some(mask) if mask.rank() == 4 => scores.broadcast_add(mask)?,
        Some(mask) => scores
            .reshape((count * heads, rows, seen))?
            .broadcast_add(mask)?,
        None => scores,
    };
    scores.reshape((count * heads, rows, seen))
}

/// The softmax over the last dimension, f32.
pub(in crate::nn) fn softmax(scores: &Tensor) -> Result<Tensor> {
    candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?.contiguous()?)
}

/// A pattern `(N H, T, S)` by values `(N, K, S, Dh)`: `(N, T, H, Dh)`.
pub(in crate::nn) fn weigh(pattern: &Tensor, values: &Tensor) -> Result<Tensor> {
    let (count, kv_heads, seen, width) = values.dims4()?;
    let (heads, rows) = (pattern.dim(0)? / count, pattern.dim(1)?);
    let pattern = pattern.to_dtype(values.dtype())?.reshape((
        count,
        kv_heads,
        heads / kv_heads * rows,
        seen,
    ))?;
    let z = pattern.contiguous()?.matmul(values)?; // (N, K, G T, Dh)
    z.reshape((count, heads, rows, width))?
        .transpose(1, 2)?
        .contiguous()
}

/// Sights that are alike, and stand together: the same number of rows, of keys, and the same of
/// them visible.
pub(in crate::nn) fn alike<'a>(sights: &[&'a Sight]) -> Vec<Vec<&'a Sight>> {
    let mut groups: Vec<Vec<&Sight>> = Vec::new();
    for &sight in sights {
        let like = |group: &&mut Vec<&Sight>| {
            group[0].keys() == sight.keys() && group[0].visible == sight.visible
        };
        match groups.iter_mut().find(like) {
            Some(group) => group.push(sight),
            None => groups.push(vec![sight]),
        }
    }
    groups
}

/// The rows of `sights`, end to end.
pub(in crate::nn) fn rows_of(x: &Tensor, sights: &[&Sight]) -> Result<Tensor> {
    let first = sights[0].rows.start;
    let rows: usize = sights.iter().map(|s| s.rows.len()).sum();
    if sights
        .windows(2)
        .all(|pair| pair[0].rows.end == pair[1].rows.start)
    {
        return x.narrow(0, first, rows);
    }
    let parts = sights
        .iter()
        .map(|s| x.narrow(0, s.rows.start, s.rows.len()))
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&parts, 0)
}

/// Keys and values `(N, K, S, Dh)` of sights that are alike; `k` and `v (R, K, Dh)` are those of
/// this call.
pub(in crate::nn) fn keys_of(
    k: &Tensor,
    v: &Tensor,
    sights: &[&Sight],
) -> Result<(Tensor, Tensor)> {
    let count = sights.len();
    // Who sees as many keys as it has rows sees its own.
    if sights[0].keys() == sights[0].rows.len() {
        return Ok((
            heads_first(&[&rows_of(k, sights)?], count)?,
            heads_first(&[&rows_of(v, sights)?], count)?,
        ));
    }
    let (keys, values): (Vec<&Tensor>, Vec<&Tensor>) = sights
        .iter()
        .flat_map(|s| s.pieces.iter().map(|(k, v)| (k, v)))
        .unzip();
    Ok((heads_first(&keys, count)?, heads_first(&values, count)?))
}

/// Sights that are alike, in one go: `q`, `k`, `v` are of all rows of the call; `(N T, H, Dh)`.
pub(in crate::nn) fn together(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    sights: &[&Sight],
    scoring: Scoring,
    masks: &Masks,
) -> Result<Tensor> {
    let (count, rows, visible) = (sights.len(), sights[0].rows.len(), &sights[0].visible);
    let (heads, width) = (q.dim(1)?, q.dim(2)?);
    let (keys, values) = keys_of(k, v, sights)?;
    #[cfg(feature = "flash-attn")]
    if let Some(causal) = plain(sights[0])
        .filter(|_| scoring.softcap.is_none() && matches!(q.dtype(), DType::F16 | DType::BF16))
    {
        let q = rows_of(q, sights)?
            .reshape((count, rows, heads, width))?
            .contiguous()?;
        let (keys, values) = (
            keys.transpose(1, 2)?.contiguous()?,
            values.transpose(1, 2)?.contiguous()?,
        );
        let z = candle_flash_attn::flash_attn(&q, &keys, &values, scoring.scale as f32, causal)?;
        return z.reshape((count * rows, heads, width));
    }
    let q = (rows_of(q, sights)? * scoring.scale)?.reshape((count, rows, heads, width))?;
    let block = (BLOCK_BYTES / (4 * count * heads * sights[0].keys())).clamp(1, rows);
    let mut parts = Vec::with_capacity(rows.div_ceil(block));
    for first in (0..rows).step_by(block) {
        let visible = &visible[first..rows.min(first + block)];
        // Keys that no row of the block sees are not looked at.
        let start = visible.iter().map(|v| v.start).min().unwrap_or(0);
        let end = visible.iter().map(|v| v.end).max().unwrap_or(0);
        let mask = masks.of(visible, start..end, q.device())?;
        let cut = |t: &Tensor| t.narrow(2, start, end - start);
        let scores = scores(
            &q.narrow(1, first, visible.len())?,
            &cut(&keys)?,
            scoring.softcap,
            mask.as_ref(),
        )?;
        parts.push(weigh(&softmax(&scores)?, &cut(&values)?)?);
    }
    let z = if let [one] = parts.as_slice() {
        one.clone()
    } else {
        Tensor::cat(&parts, 1)?
    };
    z.reshape((count * rows, heads, width))
}

/// Whether each row sees all keys up to its own (true), or all of them (false); `None` where it is
/// neither.
#[cfg(feature = "flash-attn")]
fn plain(sight: &Sight) -> Option<bool> {
    let (rows, keys) = (sight.rows.len(), sight.keys());
    if sight.visible.iter().all(|v| *v == (0..keys)) {
        return Some(false);
    }
    let own = |(row, visible): (usize, &Range<usize>)| *visible == (0..keys - rows + 1 + row);
    sight.visible.iter().enumerate().all(own).then_some(true)
}

/// `parts` with the rows that each holds, in the order of the rows, which are 0, 1, ... in all.
pub(in crate::nn) fn in_order(parts: &[(Vec<u32>, Tensor)]) -> Result<Tensor> {
    let rows: Vec<u32> = parts
        .iter()
        .flat_map(|(rows, _)| rows.iter().copied())
        .collect();
    let all = if let [(_, one)] = parts {
        one.clone()
    } else {
        Tensor::cat(&parts.iter().map(|(_, part)| part).collect::<Vec<_>>(), 0)?
    };
    if rows.is_sorted() {
        return Ok(all);
    }
    let mut index = vec![0u32; rows.len()];
    (0u32..)
        .zip(&rows)
        .for_each(|(place, &row)| index[row as usize] = place);
    all.index_select(&Tensor::from_vec(index, rows.len(), all.device())?, 0)
}

/// The likeliest entry of each row of `logits (R, V)`, the lowest among equals, and its
/// log-probability: `(R, 2)`, f32. A row that is not finite has a log-probability that is not
/// either.
pub fn likeliest(logits: &Tensor) -> Result<Tensor> {
    let logits = logits.to_dtype(DType::F32)?;
    let (rows, width) = logits.dims2()?;
    let highest = logits.max_keepdim(D::Minus1)?;
    let ids = Tensor::arange(0f32, width as f32, logits.device())?
        .unsqueeze(0)?
        .broadcast_as((rows, width))?;
    let none = Tensor::full(width as f32, (rows, width), logits.device())?;
    let id = logits
        .broadcast_eq(&highest)?
        .where_cond(&ids, &none)?
        .min_keepdim(D::Minus1)?;
    let total = logits
        .broadcast_sub(&highest)?
        .exp()?
        .sum_keepdim(D::Minus1)?;
    Tensor::cat(&[id, total.log()?.neg()?], 1)
}
