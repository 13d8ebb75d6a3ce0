//! Runs one packed step: prefill rows of some sequences and decode rows of others in one forward
//! pass.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use metrics::{counter, histogram};

use super::cost::Cost;
use super::error::Error;
use super::fault::StepCheck;
use super::guard::guarded;
use super::sampler::{Reading, likeliest, log_softmax};
use super::sequence::{Sequence, State};
use crate::intervention::{EffectLog, LogMark, PlanHooks};
use crate::model::{self, Model};
use crate::nn::{
    Backend, DeviceId, Layout, SequenceCache, Span, likeliest as likeliest_on_device, to_device,
};
use crate::telemetry::names;

/// A sequence's part in a step.
pub(super) struct BatchEntry<'a> {
    pub(super) sequence: &'a mut Sequence,
    /// The rows of its prefill that are read; unused in a decode step, which reads the token that
    /// was generated last.
    pub(super) rows: Range<usize>,
    /// Results of this step's rows whose logits were asked for.
    pub(super) readings: Vec<Reading>,
    /// Says after a step that failed whether the sequence could run it again.
    pub(super) is_intact: bool,
}

/// Runs `batch`; `check` may fail the step once the pass is done. After an error the sequences are
/// as they were before, but for those that are not [intact](BatchEntry::is_intact).
pub(super) fn execute(
    model: &Model,
    batch: &mut [BatchEntry<'_>],
    check: &StepCheck,
) -> Result<(), Error> {
    let start = Instant::now();
    let is_prefill = batch.iter().any(|entry| !entry.sequence.is_decoding());
    // Before the hooks write: a step that fails has logged nothing.
    let marks: Vec<LogMark> = batch.iter().map(|e| e.sequence.observed.mark()).collect();
    let plans = batch.iter_mut().map(|entry| {
        let sequence = &mut *entry.sequence;
        (
            sequence.plan.clone(),
            std::mem::take(&mut sequence.observed),
        )
    });
    let mut hooks = PlanHooks::new(plans.collect());
    // Guarded here: a panic must not take the logs along.
    let passed = guarded(|| pass(model, batch, &mut hooks));
    let mut logs: Vec<EffectLog> = hooks.into_logs().collect();
    let passed = passed.and_then(|rows| {
        // Behind the pass, where a device's errors show: its kernels run on after their launch.
        check.run(batch.iter().map(|entry| entry.sequence.ids.as_slice()))?;
        guarded(|| fetch(model, &mut logs))?;
        Ok(rows)
    });
    for ((entry, mut observed), mark) in batch.iter_mut().zip(logs).zip(marks) {
        if passed.is_ok() {
            account(model, entry, observed);
        } else {
            observed.rewind(mark);
            entry.sequence.observed = observed;
            entry.rewind(model);
        }
    }
    let stage = if is_prefill { "prefill" } else { "decode_step" };
    histogram!(names::STAGE_DURATION, "stage" => stage).record(start.elapsed());
    histogram!(names::BATCH_ROWS).record(passed? as f64);
    Ok(())
}

/// Runs the rows of a step up to the results that were asked for; returns how many rows it had.
fn pass(
    model: &Model,
    batch: &mut [BatchEntry<'_>],
    hooks: &mut PlanHooks,
) -> Result<usize, model::Error> {
    let (x, layout) = inputs(model, batch)?; // (R, D)
    let rows = layout.rows();
    let mut caches: Vec<Option<&mut SequenceCache>> = batch
        .iter_mut()
        .map(|entry| entry.sequence.cache_mut())
        .collect();
    let (hidden, after) = model.decoder.forward(x, &layout, &mut caches, hooks)?;
    read_logits(model, batch, &hidden, &after, hooks)?;
    Ok(rows)
}

/// Fetches from the device what hooks have taken there.
fn fetch(model: &Model, logs: &mut [EffectLog]) -> Result<(), model::Error> {
    for observed in logs {
        observed.flush()?;
        apply_lens(model, observed)?;
    }
    Ok(())
}

/// Counts the work of a sequence's part in a step, and hands it its log back.
fn account(model: &Model, entry: &mut BatchEntry<'_>, mut observed: EffectLog) {
    // By what the hooks have counted, not by plan: pruning shows only now.
    let mut cost = Cost::of_head(model, entry.readings.len());
    for (stack, passed) in observed.take_rows_processed() {
        cost += Cost::of_passed(model, stack, passed);
    }
    counter!(names::ROWS_COMPUTED).increment(cost.rows);
    let sequence = &mut *entry.sequence;
    sequence.cost += cost;
    sequence.observed = observed;
    if let State::Prefill(prefill) = &mut sequence.state {
        // Only now: after an error the same rows are read again.
        prefill.done = entry.rows.end;
    }
}

impl BatchEntry<'_> {
    /// Takes back what a step that failed has left in the sequence.
    fn rewind(&mut self, model: &Model) {
        self.readings.clear();
        let (depth, first) = match &self.sequence.state {
            State::Prefill(prefill) => {
                let first = prefill.rows.get(self.rows.start).map(|row| row.0);
                (self.sequence.own.depth, first.unwrap_or_default())
            }
            _ => (0, self.sequence.last_generated(model).0),
        };
        let cache = self.sequence.cache_mut();
        // Guarded, since a device that has failed may fail in this as well.
        let rewound = cache.map(|cache| guarded(|| cache.rewind(depth, first)));
        self.is_intact = matches!(rewound, Some(Ok(true)));
    }
}

/// Packs the rows of a step: `(R, D)`.
fn inputs(model: &Model, batch: &[BatchEntry<'_>]) -> Result<(Tensor, Layout), model::Error> {
    let (mut layout, mut inputs) = (Layout::default(), Vec::with_capacity(batch.len()));
    for (i, entry) in batch.iter().enumerate() {
        let sequence = &*entry.sequence;
        match &sequence.state {
            State::Prefill(prefill) => {
                let (tokens, positions): (Vec<u32>, Vec<u32>) =
                    prefill.rows[entry.rows.clone()].iter().copied().unzip();
                let read = sequence.tokens_read(&tokens);
                // Rows of a checkpoint have passed `depth` layers, and enter behind them.
                layout.push_rows(i, sequence.own.depth, tokens.into(), positions.into());
                if let Some(span) = layout.spans.last_mut() {
                    span.read = read;
                }
                inputs.push(sequence.input(model, prefill, entry.rows.clone())?);
            }
            State::Decode(decode) => {
                let (token, position) = sequence.last_generated(model);
                layout.push_rows(i, 0, [token].into(), [position].into());
                // The last token alone: the keys of all others are in the cache.
                let last = decode.answer.len() - 1;
                inputs.push(model.decoder.embed(&decode.answer[last..])?);
            }
            State::Waiting(_) | State::Done { .. } => {
                return Err(model::Error::Config(
                    "a sequence in a step does not run".into(),
                ));
            }
        }
    }
    Ok((Tensor::cat(&together(model, inputs)?, 0)?, layout))
}

/// Returns rows that may have passed some devices already on the first device that has any of them.
fn together(model: &Model, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, model::Error> {
    let mut found = None;
    for id in model.device.ids() {
        let is_there = |x: &&Tensor| DeviceId::of(x.device()) == *id;
        found = found.or_else(|| inputs.iter().find(is_there));
    }
    let Some(device) = found.map(|x| x.device().clone()) else {
        return Ok(inputs);
    };
    let moved = inputs.iter().map(|x| to_device(x, &device));
    Ok(moved.collect::<candle_core::Result<_>>()?)
}

/// Reads the logits that were asked for. Where candle computes, sequences that want no more than
/// their likeliest token get that from the device, and the logits stay there.
fn read_logits(
    model: &Model,
    batch: &mut [BatchEntry<'_>],
    hidden: &Tensor,
    layout: &Layout,
    hooks: &mut PlanHooks,
) -> Result<(), model::Error> {
    let (rows, chosen) = rows_with_logits(batch, layout);
    if rows.is_empty() {
        return Ok(());
    }
    let logits = model
        .decoder
        .logits(&select(hidden, &rows)?, &chosen, hooks)?; // (wanted, V)
    // On the CPU the logits are in memory already: to choose there would save no copy.
    let on_device = Backend::of(hidden.device()) == Backend::Candle;
    let (short, long): (Vec<u32>, Vec<u32>) = (0..rows.len() as u32).partition(|&row| {
        let sequence = &batch[chosen.spans[row as usize].sequence].sequence;
        on_device && sequence.wants_likeliest()
    });
    let mut readings: BTreeMap<u32, Reading> = BTreeMap::new();
    if !short.is_empty() {
        let found = likeliest_on_device(&select(&logits, &short)?)?
            .to_device(&Device::Cpu)?
            .to_vec2::<f32>()?;
        for (&row, found) in short.iter().zip(found) {
            // Exact: f32 holds whole numbers up to 2^24, more than any vocabulary has.
            readings.insert(row, Reading::Likeliest(found[0] as u32, found[1]));
        }
    }
    if !long.is_empty() {
        // Fetched before they are widened: half precision is half the bytes.
        let all = select(&logits, &long)?
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F32)?
            .to_vec2()?;
        for (&row, logits) in long.iter().zip(all) {
            readings.insert(row, Reading::Logits(logits));
        }
    }
    // The map is in the order of the rows, as the spans are.
    for (span, reading) in chosen.spans.iter().zip(readings.into_values()) {
        batch[span.sequence].readings.push(reading);
    }
    Ok(())
}

/// Returns the rows whose logits are asked for, with a span for each.
fn rows_with_logits(batch: &[BatchEntry<'_>], layout: &Layout) -> (Vec<u32>, Layout) {
    let (mut rows, mut chosen) = (Vec::new(), Layout::default());
    for (entry, span) in batch.iter().zip(&layout.spans) {
        let wanted = if entry.sequence.is_decoding() {
            vec![0]
        } else {
            entry.sequence.rows_with_logits(&span.tokens)
        };
        for row in wanted {
            rows.push((span.rows.start + row) as u32);
            chosen.push(Span {
                tokens: [span.tokens[row]].into(),
                positions: [span.positions[row]].into(),
                ..span.clone()
            });
        }
    }
    (rows, chosen)
}

/// Returns the rows `rows` of `x`, which may be all of them.
fn select(x: &Tensor, rows: &[u32]) -> Result<Tensor, model::Error> {
    if rows.len() == x.dim(0)? {
        return Ok(x.clone());
    }
    Ok(x.index_select(&Tensor::from_slice(rows, rows.len(), x.device())?, 0)?)
}

/// Reads the likeliest tokens off rows that were captured for a lens.
fn apply_lens(model: &Model, observed: &mut EffectLog) -> Result<(), model::Error> {
    for captured in &mut observed.captured {
        let Some(lens) = &mut captured.lens else {
            continue;
        };
        let logits = model
            .decoder
            .lens(&captured.value, lens.translator.as_ref())?
            .to_dtype(DType::F32)?
            .to_device(&Device::Cpu)?;
        for row in logits.to_vec2::<f32>()? {
            let tokens = log_softmax(&row).map(|row| likeliest(&row, lens.top));
            // A row that is not finite shows no tokens, and those beside it are still read.
            lens.tokens.push(tokens.unwrap_or_default());
        }
    }
    Ok(())
}
