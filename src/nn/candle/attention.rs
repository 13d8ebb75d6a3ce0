//! Attention by candle's operations, on a GPU. Sequences of the same shape go through the same
//! kernels; queries go in blocks, so that the scores of a long prompt never stand in memory as a
//! whole.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{D, DType, Device, Result, Tensor};

use crate::nn::attention_inputs::AttentionInputs;
use crate::nn::cpu::attention::Scoring;

/// Bytes of the f32 scores of one block of queries.
const BLOCK_BYTES: usize = 512 << 20;

/// Masks that hide keys from queries, made once for all layers of a pass.
#[derive(Debug, Default)]
pub(in crate::nn) struct Masks(RefCell<Vec<Mask>>);

#[derive(Debug)]
struct Mask {
    visible: Vec<Range<usize>>,
    keys: Range<usize>,
    tensor: Tensor,
}

impl Masks {
    /// Returns `(T, S)` for the keys `keys`: 0 where a row sees a key, minus infinity elsewhere;
    /// `None` where all rows see all of them.
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
        // In f32, as the scores that it is added to, whatever the dtype of the model.
        let mut values = vec![f32::NEG_INFINITY; visible.len() * keys.len()];
        for (row, seen) in values.chunks_exact_mut(keys.len()).zip(visible) {
            let (start, end) = (seen.start.max(keys.start), seen.end.min(keys.end));
            if start < end {
                row[start - keys.start..end - keys.start].fill(0.0);
            }
        }
        let tensor = Tensor::from_vec(values, (visible.len(), keys.len()), device)?;
        known.push(Mask {
            visible: visible.to_vec(),
            keys,
            tensor: tensor.clone(),
        });
        Ok(Some(tensor))
    }
}

/// Stacks keys or values of `count` sequences of equal length, `(n, K, Dh)` each or in segments:
/// `(N, K, S, Dh)`.
pub(in crate::nn) fn heads_first(segments: &[&Tensor], count: usize) -> Result<Tensor> {
    let all = if let [one] = segments {
        (*one).clone()
    } else {
        Tensor::cat(segments, 0)?
    };
    // (N n, K, Dh) -> (N, n, K, Dh) -> (N, K, n, Dh).
    let (rows, heads, width) = all.dims3()?;
    all.reshape((count, rows / count, heads, width))?
        .transpose(1, 2)?
        .contiguous()
}

/// Multiplies scaled queries `(N, T, H, Dh)` by keys `(N, K, S, Dh)`: scores `(N H, T, S)`, f32, bounded by
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
    // (N, T, H, Dh) -> (N, K, G T, Dh), with G heads to a key.
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
    // Capped scores are masked afterwards: tanh would bring minus infinity back.
    let scores = match mask {
        Some(mask) if mask.rank() == 4 => scores.broadcast_add(mask)?,
        Some(mask) => scores
            .reshape((count * heads, rows, seen))?
            .broadcast_add(mask)?,
        None => scores,
    };
    scores.reshape((count * heads, rows, seen))
}

/// Takes the softmax over the last dimension, f32.
pub(in crate::nn) fn softmax(scores: &Tensor) -> Result<Tensor> {
    // candle's own kernel has no backward.
    if scores.track_op() {
        // The highest score cancels out: as a constant it costs no backward of a maximum.
        let highest = scores.detach().max_keepdim(D::Minus1)?;
        let powers = scores.broadcast_sub(&highest)?.exp()?;
        return powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?);
    }
    // In f32 as Hugging Face does, whatever the dtype.
    candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?.contiguous()?)
}

/// Weighs values `(N, K, S, Dh)` by a pattern `(N H, T, S)`: `(N, T, H, Dh)`.
pub(in crate::nn) fn weigh(pattern: &Tensor, values: &Tensor) -> Result<Tensor> {
    let (count, kv_heads, seen, width) = values.dims4()?;
    let (heads, rows) = (pattern.dim(0)? / count, pattern.dim(1)?);
    // As Hugging Face: the softmax in f32, its product with the values in the dtype of the model.
    // (N H, T, S) -> (N, K, G T, S).
    let pattern = pattern.to_dtype(values.dtype())?.reshape((
        count,
        kv_heads,
        heads / kv_heads * rows,
        seen,
    ))?;
    let z = pattern.contiguous()?.matmul(values)?; // (N, K, G T, Dh)
    // (N, K, G T, Dh) -> (N, H, T, Dh) -> (N, T, H, Dh).
    z.reshape((count, heads, rows, width))?
        .transpose(1, 2)?
        .contiguous()
}

/// Groups sequences with the same number of keys, of which the same are visible.
pub(in crate::nn) fn alike<'a>(inputs: &[&'a AttentionInputs]) -> Vec<Vec<&'a AttentionInputs>> {
    let mut groups: Vec<Vec<&AttentionInputs>> = Vec::new();
    for &one in inputs {
        let group = groups
            .iter_mut()
            .find(|group| group[0].keys() == one.keys() && group[0].visible == one.visible);
        match group {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// Returns the rows of `inputs`, end to end.
pub(in crate::nn) fn rows_of(x: &Tensor, inputs: &[&AttentionInputs]) -> Result<Tensor> {
    let first = inputs[0].rows.start;
    let rows: usize = inputs.iter().map(|s| s.rows.len()).sum();
    if inputs
        .windows(2)
        .all(|pair| pair[0].rows.end == pair[1].rows.start)
    {
        return x.narrow(0, first, rows);
    }
    let parts = inputs
        .iter()
        .map(|s| x.narrow(0, s.rows.start, s.rows.len()))
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&parts, 0)
}

/// Returns keys and values `(N, K, S, Dh)` of sequences that are alike; `k` and `v (R, K, Dh)` are
/// those of this call.
pub(in crate::nn) fn keys_of(
    k: &Tensor,
    v: &Tensor,
    inputs: &[&AttentionInputs],
) -> Result<(Tensor, Tensor)> {
    let count = inputs.len();
    // A sequence that sees as many keys as it has rows sees its own: nothing has to be joined.
    if inputs[0].keys() == inputs[0].rows.len() {
        return Ok((
            heads_first(&[&rows_of(k, inputs)?], count)?,
            heads_first(&[&rows_of(v, inputs)?], count)?,
        ));
    }
    let (keys, values): (Vec<&Tensor>, Vec<&Tensor>) = inputs
        .iter()
        .flat_map(|s| s.segments.iter().map(|(k, v)| (k, v)))
        .unzip();
    Ok((heads_first(&keys, count)?, heads_first(&values, count)?))
}

/// Runs sequences that are alike in one go: `(N T, H, Dh)`. `q`, `k`, `v` are of all rows of the
/// call.
pub(in crate::nn) fn together(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    inputs: &[&AttentionInputs],
    scoring: Scoring,
    masks: &Masks,
) -> Result<Tensor> {
    let (count, rows, visible) = (inputs.len(), inputs[0].rows.len(), &inputs[0].visible);
    let (heads, width) = (q.dim(1)?, q.dim(2)?);
    let (keys, values) = keys_of(k, v, inputs)?;
    // Scaled before the product: in half precision the scores might overflow.
    let q = (rows_of(q, inputs)? * scoring.scale)?.reshape((count, rows, heads, width))?;
    // At least one query, however many keys it sees.
    let block = (BLOCK_BYTES / (4 * count * heads * inputs[0].keys())).clamp(1, rows);
    let mut parts = Vec::with_capacity(rows.div_ceil(block));
    for first in (0..rows).step_by(block) {
        let visible = &visible[first..rows.min(first + block)];
        // Keys that no row of the block sees are left out.
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
    // (N, T, H, Dh): blocks of T, one after the other.
    let z = if let [one] = parts.as_slice() {
        one.clone()
    } else {
        Tensor::cat(&parts, 1)?
    };
    z.reshape((count * rows, heads, width))
}

/// Joins `parts`, each with the rows that it holds, in the order of the rows, which are 0, 1, ...
/// in all.
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
    // `index[row]` is where the row stands now.
    let mut index = vec![0u32; rows.len()];
    (0u32..)
        .zip(&rows)
        .for_each(|(place, &row)| index[row as usize] = place);
    all.index_select(&Tensor::from_vec(index, rows.len(), all.device())?, 0)
}

/// Returns the likeliest entry of each row of `logits (R, V)`, the lowest among equals, and its
/// log-probability: `(R, 2)`, f32. The log-probability of a row that is not finite is not finite.
pub fn likeliest(logits: &Tensor) -> Result<Tensor> {
    if crate::nn::cuda::serves(logits) {
        return crate::nn::cuda::likeliest(logits);
    }
    let logits = logits.to_dtype(DType::F32)?;
    let (rows, width) = logits.dims2()?;
    let highest = logits.max_keepdim(D::Minus1)?;
    // As f32, exact below 2^24: id and log-probability come to the host in one copy.
    let ids = Tensor::arange(0f32, width as f32, logits.device())?
        .unsqueeze(0)?
        .broadcast_as((rows, width))?;
    let none = Tensor::full(width as f32, (rows, width), logits.device())?;
    // An argmax would leave ties to the device.
    let id = logits
        .broadcast_eq(&highest)?
        .where_cond(&ids, &none)?
        .min_keepdim(D::Minus1)?;
    let total = logits
        .broadcast_sub(&highest)?
        .exp()?
        .sum_keepdim(D::Minus1)?;
    // The likeliest token's own term of the sum is e^0: what is left of its log-probability is
    // minus the logarithm of the sum.
    Tensor::cat(&[id, total.log()?.neg()?], 1)
}
