//! Attention of the CPU on candle's tensors; the kernels are in
//! [`cpu::attention`](super::cpu::attention).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

use super::attention_inputs::AttentionInputs;
use super::cpu::attention::{self as kernels, Scoring, Segment, Sequence};
use super::storage::{floats, numbers};

/// Attends `q (R, H, Dh)` to the keys of each sequence, keeping no scores: `(R, H, Dh)`. Rows of no
/// sequence become 0.
pub(super) fn fused(q: &Tensor, inputs: &[&AttentionInputs], scoring: Scoring) -> Result<Tensor> {
    q.apply_op1_no_bwd(&Fused { inputs, scoring })
}

/// Computes the scores of one sequence: `q (T, H, Dh) -> (H, T, S)`, minus infinity where a row
/// does not see a key.
pub(super) fn scores(q: &Tensor, inputs: &AttentionInputs, scoring: Scoring) -> Result<Tensor> {
    q.apply_op1_no_bwd(&Scores { inputs, scoring })
}

/// Takes the softmax over the last dimension of scores, f32.
pub(super) fn softmax(scores: &Tensor) -> Result<Tensor> {
    scores.apply_op1_no_bwd(&Softmax)
}

/// Weighs the values of one sequence by a pattern `(H, T, S)`: `(T, H, Dh)`.
pub(super) fn weigh(pattern: &Tensor, inputs: &AttentionInputs) -> Result<Tensor> {
    pattern.apply_op1_no_bwd(&Weigh { inputs })
}

/// Calls `work` with the numbers of the keys and values of `inputs`, which stay locked until then.
fn with_sequences<T>(
    inputs: &[&AttentionInputs],
    work: impl FnOnce(&[Sequence<'_>]) -> T,
) -> Result<T> {
    // Locks first, in a list of their own: the numbers borrow from them.
    let mut locks = Vec::with_capacity(inputs.len());
    for inputs in inputs {
        let mut own = Vec::with_capacity(inputs.segments.len());
        for (k, v) in &inputs.segments {
            own.push((k.storage_and_layout(), v.storage_and_layout()));
        }
        locks.push(own);
    }
    let mut sequences = Vec::with_capacity(inputs.len());
    for (inputs, own) in inputs.iter().zip(&locks) {
        let mut segments = Vec::with_capacity(own.len());
        for ((k, k_layout), (v, v_layout)) in own {
            let (Storage::Cpu(k), Storage::Cpu(v)) = (&**k, &**v) else {
                bail!("keys are not on the CPU")
            };
            segments.push(Segment {
                keys: numbers(k, k_layout)?,
                values: numbers(v, v_layout)?,
                count: k_layout.dims()[0],
            });
        }
        let (kv_heads, width) = inputs
            .segments
            .first()
            // Without any keys nothing is read, whatever the sizes.
            .map_or((1, 1), |(k, _)| (k.dims()[1], k.dims()[2]));
        sequences.push(Sequence {
            rows: inputs.rows.clone(),
            segments,
            kv_heads,
            width,
            visible: &inputs.visible,
        });
    }
    Ok(work(&sequences))
}

struct Fused<'a> {
    inputs: &'a [&'a AttentionInputs],
    scoring: Scoring,
}

impl CustomOp1 for Fused<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, heads, width) = layout.shape().dims3()?;
        let q = floats(storage, layout)?;
        let z = with_sequences(self.inputs, |sequences| {
            kernels::fused(q, (heads, width), sequences, self.scoring)
        })?;
        Ok((CpuStorage::F32(z), layout.shape().clone()))
    }
}

struct Scores<'a> {
    inputs: &'a AttentionInputs,
    scoring: Scoring,
}

impl CustomOp1 for Scores<'_> {
    fn name(&self) -> &'static str {
        "attention scores"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, heads, width) = layout.shape().dims3()?;
        let q = floats(storage, layout)?;
        let scores = with_sequences(&[self.inputs], |sequences| {
            kernels::scores(q, (rows, heads, width), &sequences[0], self.scoring)
        })?;
        let shape = (heads, rows, self.inputs.keys());
        Ok((CpuStorage::F32(scores), shape.into()))
    }
}

struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        // candle hands out a shared slice.
        let mut scores = floats(storage, layout)?.to_vec();
        let width = layout.shape().dims().last().copied().unwrap_or(0).max(1);
        kernels::softmax(&mut scores, width);
        Ok((CpuStorage::F32(scores), layout.shape().clone()))
    }
}

struct Weigh<'a> {
    inputs: &'a AttentionInputs,
}

impl CustomOp1 for Weigh<'_> {
    fn name(&self) -> &'static str {
        "weighted values"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (heads, rows, keys) = layout.shape().dims3()?;
        let pattern = floats(storage, layout)?;
        let (z, width) = with_sequences(&[self.inputs], |sequences| {
            let of = &sequences[0];
            (kernels::weigh(pattern, (heads, rows, keys), of), of.width)
        })?;
        Ok((CpuStorage::F32(z), (rows, heads, width).into()))
    }
}
