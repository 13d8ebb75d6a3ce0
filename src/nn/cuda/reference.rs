//! Stand-ins for the kernels on a CPU, by candle's operations and plain loops: nothing here is fast.

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Tensor, bail};

use super::norm_weights::NormWeights;
use super::plans::{DecodeRow, KeyStore, Plans, SplitRows, Uploaded};
use crate::nn::attention_plan::{KeyPlace, KeySpan};
use crate::nn::cpu::activation::Function;
use crate::nn::cpu::attention::Scoring;
use crate::nn::rope::Rope;

/// Reads all numbers of a tensor.
fn numbers(x: &Tensor) -> Result<Vec<f32>> {
    x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

pub(super) fn norm(
    x: &Tensor,
    delta: Option<&Tensor>,
    NormWeights { weight, bias, eps }: &NormWeights<'_>,
) -> Result<(Tensor, Tensor)> {
    let sum = delta.map_or(Ok(x.clone()), |delta| x + delta)?;
    // Computed in f32 and rounded once, as the kernel does.
    let (x, weight) = (
        sum.to_dtype(DType::F32)?,
        weight.to_dtype(DType::F32)?.flatten_all()?,
    );
    let normed = match bias {
        Some(bias) => {
            let bias = bias.to_dtype(DType::F32)?.flatten_all()?;
            candle_nn::ops::layer_norm(&x.contiguous()?, &weight, &bias, *eps as f32)?
        }
        None => candle_nn::ops::rms_norm(&x.contiguous()?, &weight, *eps as f32)?,
    };
    Ok((sum.clone(), normed.to_dtype(sum.dtype())?))
}

pub(super) fn rotate(
    joined: &Tensor,
    (heads, kv_heads, width): (usize, usize, usize),
    angles: Option<&(Tensor, Tensor)>,
) -> Result<(Tensor, Tensor, Tensor)> {
    // (R, H + 2 K, Dh): queries, then keys, then values.
    let all = joined.reshape(((), heads + 2 * kv_heads, width))?;
    let part = |first, count| all.narrow(1, first, count)?.contiguous();
    let turned = |x: Tensor| angles.map_or(Ok(x.clone()), |angles| Rope::rotate(&x, angles));
    Ok((
        turned(part(0, heads)?)?.contiguous()?,
        turned(part(heads, kv_heads)?)?.contiguous()?,
        part(heads + kv_heads, kv_heads)?,
    ))
}

pub(super) fn activate(x: &Tensor, function: Function, is_gated: bool) -> Result<Tensor> {
    let columns = x.dims2()?.1;
    let width = if is_gated { columns / 2 } else { columns };
    let gate = x.narrow(1, 0, width)?;
    let applied = function.apply(&numbers(&gate)?);
    let applied = Tensor::from_vec(applied, gate.shape(), x.device())?.to_dtype(x.dtype())?;
    if is_gated {
        return applied * x.narrow(1, width, width)?;
    }
    Ok(applied)
}

pub(super) fn product(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    // Row by row, so that the law of rows holds here, too.
    let (weight, dtype) = (weight.to_dtype(DType::F32)?.t()?, x.dtype());
    let bias = bias.map(|b| b.to_dtype(DType::F32)).transpose()?;
    let mut rows = Vec::with_capacity(x.dim(0)?);
    for row in x.to_dtype(DType::F32)?.chunk(x.dim(0)?, 0)? {
        let y = row.contiguous()?.matmul(&weight)?;
        rows.push(match &bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        });
    }
    if rows.is_empty() {
        return Tensor::zeros((0, weight.dim(1)?), dtype, x.device());
    }
    Tensor::cat(&rows, 0)?.to_dtype(dtype)
}

pub(super) fn likeliest(logits: &Tensor) -> Result<Tensor> {
    let (rows, width) = logits.dims2()?;
    let mut found = Vec::with_capacity(2 * rows);
    for row in numbers(logits)?.chunks(width.max(1)) {
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // Nothing equals the highest number of a row of NaN; its sum shows that it is not finite.
        let place = row.iter().position(|&x| x == highest).unwrap_or(width);
        let total: f32 = row.iter().map(|x| (x - highest).exp()).sum();
        found.extend([place as f32, -total.ln()]);
    }
    Tensor::from_vec(found, (rows, 2), logits.device())
}

pub(super) fn output_like(q: &Tensor) -> Result<Tensor> {
    // What no kernel fills shows.
    Tensor::full(f32::NAN, q.shape(), q.device())?.to_dtype(q.dtype())
}

pub(super) fn attend(
    q: &Tensor,
    store: &KeyStore<'_>,
    Uploaded { plan, words }: &Uploaded,
    kv_heads: usize,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let (_, heads, width) = q.dims3()?;
    // The whole store, however little of it is read: offsets count in it.
    let (queries, keys, values) = (numbers(q)?, numbers(store.keys)?, numbers(store.values)?);
    let words: Vec<u32> = words.to_vec1()?;
    let mut writes = Vec::new();
    for (sequence, visible) in plan.read(&words) {
        for (row, seen) in visible.into_iter().enumerate() {
            let row = sequence.first_row + row;
            for head in 0..heads {
                let at = (row * heads + head) * width;
                let first = sequence.offset + head / (heads / kv_heads) * sequence.head_stride;
                let place = |key: usize| first + key * store.key_stride;
                let numbers = |of: &[f32], key| of[place(key)..place(key) + width].to_vec();
                let own = &queries[at..at + width];
                let list =
                    |of: &[f32]| seen.clone().map(|key| numbers(of, key)).collect::<Vec<_>>();
                writes.push((at, mean(own, &list(&keys), &list(&values), scoring)));
            }
        }
    }
    z.inplace_op1(&Write(writes))
}

pub(super) fn attend_split(
    q: &Tensor,
    rows: &[SplitRows],
    plans: &Plans,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    for own in rows {
        let keys = Tensor::cat(&[&own.first.0, &own.rest.0], 0)?;
        let values = Tensor::cat(&[&own.first.1, &own.rest.1], 0)?;
        let (count, kv_heads, width) = keys.dims3()?;
        let span = KeySpan {
            place: KeyPlace::whole((0, 0), 0, width),
            first_row: own.first_row,
            count,
            visible: own.visible.clone(),
        };
        let store = KeyStore {
            keys: &keys,
            values: &values,
            key_stride: kv_heads * width,
        };
        let plan = plans.upload(&[span], q.dim(1)? / kv_heads, q)?;
        attend(q, &store, &plan, kv_heads, scoring, z)?;
    }
    Ok(())
}

/// Weighs values by the softmax of a query's scores.
fn mean(query: &[f32], keys: &[Vec<f32>], values: &[Vec<f32>], scoring: Scoring) -> Vec<f32> {
    let scores: Vec<f32> = keys.iter().map(|key| score(query, key, scoring)).collect();
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = scores.iter().map(|s| (s - highest).exp()).collect();
    let total: f32 = weights.iter().sum();
    let mut mean = vec![0.0; query.len()];
    for (weight, value) in weights.iter().zip(values) {
        for (sum, number) in mean.iter_mut().zip(value) {
            *sum += weight / total * number;
        }
    }
    mean
}

fn score(query: &[f32], key: &[f32], scoring: Scoring) -> f32 {
    let product: f32 = query.iter().zip(key).map(|(a, b)| a * b).sum();
    let score = product * scoring.scale as f32;
    let bounded = |cap: f64| cap as f32 * (score / cap as f32).tanh();
    scoring.softcap.map_or(score, bounded)
}

pub(super) fn decode(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    rows: &[DecodeRow],
    _layer: usize,
    _plans: &Plans,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let (_, heads, width) = q.dims3()?;
    let queries = numbers(q)?;
    let mut writes = Vec::new();
    for own in rows {
        let row = |t: &Tensor| t.narrow(0, own.row, 1)?.contiguous();
        // First, as in the kernel: the row sees its own key, too.
        place_keys((&row(k)?, &row(v)?), &own.kv, (own.index, own.count - 1))?;
        let kv = own.kv.get(own.index)?; // (2, K, S, Dh)
        let seen = kv.narrow(2, own.visible.start, own.visible.len())?;
        let seen = seen.to_dtype(DType::F32)?;
        for head in 0..heads {
            let group = heads / k.dim(1)?;
            let list = |part: usize| seen.get(part)?.get(head / group)?.to_vec2();
            let at = (own.row * heads + head) * width;
            let query = &queries[at..at + width];
            writes.push((at, mean(query, &list(0)?, &list(1)?, scoring)));
        }
    }
    z.inplace_op1(&Write(writes))
}

pub(super) fn room(shape: (usize, usize, usize, usize, usize), like: &Tensor) -> Result<Tensor> {
    // What is read before it was written shows.
    Tensor::full(f32::NAN, shape, like.device())?.to_dtype(like.dtype())
}

pub(super) fn place_keys(
    (k, v): (&Tensor, &Tensor),
    kv: &Tensor,
    (index, first): (usize, usize),
) -> Result<()> {
    let heads_first = |t: &Tensor| t.transpose(0, 1)?.contiguous(); // (K, n, Dh)
    let both = Tensor::stack(&[heads_first(k)?, heads_first(v)?], 0)?.unsqueeze(0)?;
    kv.narrow(0, index, 1)?.slice_set(&both, 3, first)
}

/// Writes numbers at places of a contiguous tensor of half precision.
struct Write(Vec<(usize, Vec<f32>)>);

impl InplaceOp1 for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, _)) = layout.contiguous_offsets() else {
            bail!("writing needs a contiguous tensor")
        };
        for (at, numbers) in &self.0 {
            for (i, number) in (start + at..).zip(numbers) {
                match storage {
                    CpuStorage::BF16(values) => values[i] = half::bf16::from_f32(*number),
                    CpuStorage::F16(values) => values[i] = half::f16::from_f32(*number),
                    _ => bail!("writing needs bf16 or f16"),
                }
            }
        }
        Ok(())
    }
}
