//! The law of rows: the bits of a row depend on that row alone, never on how many others share the
//! call. It is looked for in every product of the model, in prefill and in decode.

use candle_core::{DType, Tensor};

use super::ceilings::ProductShape;
use super::{BenchReport, Failure, Measured, STEPS};
use crate::nn::{Backend, DecodeSlots, Layout, Linear, MemoryTracker, NoHooks, SequenceCache};

/// Numbers of rows in a call: powers of two and one more, where kernels may change, and prompts of 626
/// tokens, one and eight of them.
const COUNTS: [usize; 18] = [
    1, 2, 3, 4, 8, 16, 17, 32, 33, 64, 65, 128, 129, 256, 626, 1024, 5008, 8192,
];
/// The most rows that are tried on a CPU unless a flag says otherwise.
const FEW: usize = 626;
/// Prompts of one step that are compared with a prompt alone.
const PROMPTS: [usize; 3] = [1, 2, 8];
/// Rows of a chunk of a prompt.
const CHUNK_ROWS: usize = 150;

impl Measured {
    /// Finds the numbers of rows in a call that change the bits of a row: for each product up to
    /// `most` rows, and for whole steps of the sequences `batches`.
    pub(super) fn row_laws(
        &self,
        report: &mut BenchReport,
        most: Option<usize>,
        batches: &[usize],
    ) -> Result<(), Failure> {
        let is_cpu = self.model.device.is_cpu();
        let all = COUNTS[COUNTS.len() - 1];
        let most = most.unwrap_or(if is_cpu { FEW } else { all });
        report.most_rows = most;
        for shape in self.products() {
            let others = self.varying(shape, most)?;
            report.row_variance.push((shape.title(), others));
        }
        let prompt = self.prompt()?;
        let alone = bits(&self.prefill(1, prompt, &MemoryTracker::default())?.1)?;
        let mut others = Vec::new();
        for batch in PROMPTS {
            let logits = self.prefill(batch, prompt, &MemoryTracker::default())?.1;
            if !all_rows_are(&logits, &alone)? {
                others.push(batch * prompt);
            }
        }
        if bits(&self.prefill_in_chunks(prompt)?)? != alone {
            others.push(CHUNK_ROWS);
        }
        let name = format!("prefill of {prompt} tokens");
        report.row_variance.push((name, others));
        let others = self.varying_decode(prompt, batches)?;
        report
            .row_variance
            .push(("decode, by sequences".into(), others));
        Ok(())
    }

    /// Returns the numbers of rows in a product among which some row has other bits than alone.
    fn varying(&self, shape: ProductShape, most: usize) -> Result<Vec<usize>, Failure> {
        let linear = Linear::new(self.random(shape.out, shape.input)?, None)?;
        // One tensor, of which calls take the first rows: a row is the same numbers in all of them.
        let x = self.random(most, shape.input)?;
        let counts: Vec<usize> = COUNTS.into_iter().filter(|&c| c <= most).collect();
        // The last row of each call, and those in the middle of larger ones.
        let alone = counts
            .iter()
            .map(|count| {
                let row = linear.forward(&x.narrow(0, count - 1, 1)?)?;
                Ok((count - 1, bits(&row)?))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let mut others = Vec::new();
        for count in counts {
            let y = linear.forward(&x.narrow(0, 0, count)?)?;
            let within = alone.iter().filter(|(row, _)| *row < count);
            for (row, expected) in within {
                if bits(&y.narrow(0, *row, 1)?)? != *expected {
                    others.push(count);
                    break;
                }
            }
        }
        Ok(others)
    }

    /// Reads one prompt chunk by chunk. Returns the logits of its last row.
    fn prefill_in_chunks(&self, prompt: usize) -> Result<Tensor, Failure> {
        let (model, kv) = (&self.model, MemoryTracker::default());
        let mut cache = SequenceCache::new(prompt, STEPS + 4, &kv, &kv);
        let mut last = None;
        for first in (0..prompt).step_by(CHUNK_ROWS) {
            let rows = first as u32..prompt.min(first + CHUNK_ROWS) as u32;
            let mut layout = Layout::default();
            layout.push_rows(0, 0, rows.clone().collect(), rows.clone().collect());
            let x = model.decoder.embed(&vec![4u32; rows.len()])?;
            let mut own = [Some(&mut cache)];
            let (hidden, _) = model.decoder.forward(x, &layout, &mut own, &mut NoHooks)?;
            last = Some(hidden.narrow(0, rows.len() - 1, 1)?.contiguous()?);
        }
        let last = last.ok_or("a prompt of no tokens")?;
        Ok(model
            .decoder
            .logits(&last, &Layout::default(), &mut NoHooks)?)
    }

    /// Returns the numbers of sequences whose steps give a sequence other bits than alone; each
    /// prompt is read by itself.
    fn varying_decode(&self, prompt: usize, batches: &[usize]) -> Result<Vec<usize>, Failure> {
        let mut others = Vec::new();
        let mut alone = None;
        // One first: its bits are what all others are compared with.
        for &batch in std::iter::once(&1).chain(batches) {
            let kv = MemoryTracker::default();
            let slots = DecodeSlots::new(&kv);
            let mut caches = Vec::with_capacity(batch);
            while caches.len() < batch {
                // Alone, so that only the step of decoding can differ.
                caches.extend(self.prefill(1, prompt, &kv)?.0);
            }
            if self.model.device.backend() == Backend::Candle {
                caches.iter_mut().for_each(|cache| cache.use_slots(&slots));
            }
            let logits = self.decode_step(&mut caches, &vec![4; batch], prompt)?;
            let expected = match &alone {
                Some(expected) => expected,
                None => alone.insert(bits(&logits)?),
            };
            if !all_rows_are(&logits, expected)? {
                others.push(batch);
            }
        }
        Ok(others)
    }
}

/// Returns the bits of a tensor; of half precision those of the equal f32.
fn bits(values: &Tensor) -> Result<Vec<u32>, Failure> {
    let values = values
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}

/// Returns whether every row has these bits.
fn all_rows_are(rows: &Tensor, expected: &[u32]) -> Result<bool, Failure> {
    let found = bits(rows)?;
    Ok(found.chunks(expected.len()).all(|row| row == expected))
}
