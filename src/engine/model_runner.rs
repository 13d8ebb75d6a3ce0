//! One packed step: prefill rows of some runs and decode rows of others in one forward pass.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use metrics::{counter, histogram};

use super::Cost;
use super::sampler::{Reading, likeliest, log_softmax};
use super::sequence::{Run, Stage};
use crate::intervention::{Applied, Observed};
use crate::model::{Error, Model};
use crate::nn::{Backend, Layout, SequenceCache, Span, likeliest as likeliest_on_device};
use crate::telemetry::names;

/// A run's part in a step.
pub(super) struct Part {
    pub(super) run: Run,
    /// Which of its rows are read; in a decode step the row of the token that it wrote last.
    pub(super) rows: Range<usize>,
    /// What was read off this step's rows that were asked for.
    pub(super) readings: Vec<Reading>,
}

/// Runs `batch`.
pub(super) fn run(model: &Model, batch: &mut [Part]) -> Result<(), Error> {
    let start = Instant::now();
    let (mut layout, mut inputs) = (Layout::default(), Vec::with_capacity(batch.len()));
    for (i, part) in batch.iter().enumerate() {
        let run = &part.run;
        if run.stage == Stage::Decode {
            let (token, position) = run.last_written(model);
            layout.push_rows(i, 0, [token].into(), [position].into());
            inputs.push(model.decoder.embed(&run.answer[run.answer.len() - 1..])?);
        } else {
            let (tokens, positions): (Vec<u32>, Vec<u32>) =
                run.rows[part.rows.clone()].iter().copied().unzip();
            layout.push_rows(i, run.own.slot, tokens.into(), positions.into());
            inputs.push(run.input(model, part.rows.clone())?);
        }
    }
    let x = Tensor::cat(&inputs, 0)?; // (R, D)
    let plans = batch
        .iter_mut()
        .map(|p| (p.run.plan.clone(), std::mem::take(&mut p.run.observed)))
        .collect();
    let mut hooks = Applied::new(plans);
    let mut caches: Vec<Option<&mut SequenceCache>> =
        batch.iter_mut().map(|p| p.run.cache.as_mut()).collect();
    let result = model.decoder.forward(x, &layout, &mut caches, &mut hooks);
    let result = result.and_then(|(hidden, after)| read(model, batch, &hidden, &after, &mut hooks));
    for (part, mut observed) in batch.iter_mut().zip(hooks.into_observed()) {
        observed.settle()?;
        look_through(model, &mut observed)?;
        let mut cost = Cost::of_head(model, part.readings.len());
        for (stack, passed) in observed.take_passed() {
            cost += Cost::of_passed(model, stack, passed);
        }
        part.run.cost += cost;
        counter!(names::ROWS_COMPUTED).increment(cost.rows);
        part.run.observed = observed;
        if part.run.stage != Stage::Decode {
            part.run.read = part.rows.end;
        }
    }
    let stage = if batch.iter().any(|p| p.run.stage != Stage::Decode) {
        "prefill"
    } else {
        "decode_step"
    };
    histogram!(names::STAGE_DURATION, "stage" => stage).record(start.elapsed());
    histogram!(names::BATCH_ROWS).record(layout.rows() as f64);
    result
}

/// Reads the rows that were asked for; where candle computes, of those that just write on no more
/// than the token leaves the device.
fn read(
    model: &Model,
    batch: &mut [Part],
    hidden: &Tensor,
    layout: &Layout,
    hooks: &mut Applied,
) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut chosen = Layout::default();
    for (part, span) in batch.iter().zip(&layout.spans) {
        let wanted = if part.run.stage == Stage::Decode {
            vec![0]
        } else {
            part.run.wanted(&span.tokens)
        };
        for row in wanted {
            rows.push((span.rows.start + row) as u32);
            let (tokens, positions) = ([span.tokens[row]].into(), [span.positions[row]].into());
            chosen.push(Span {
                tokens,
                positions,
                ..span.clone()
            });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let logits = model
        .decoder
        .logits(&select(hidden, &rows)?, &chosen, hooks)?; // (wanted, V)
    let is_short = |span: &Span| {
        Backend::of(hidden.device()) == Backend::Candle
            && batch[span.sequence].run.wants_likeliest()
    };
    let (short, long): (Vec<u32>, Vec<u32>) =
        (0..rows.len() as u32).partition(|&row| is_short(&chosen.spans[row as usize]));
    let mut readings: BTreeMap<u32, Reading> = BTreeMap::new();
    if !short.is_empty() {
        let found = likeliest_on_device(&select(&logits, &short)?)?
            .to_device(&Device::Cpu)?
            .to_vec2::<f32>()?;
        readings.extend(
            short
                .iter()
                .zip(found)
                .map(|(&row, f)| (row, Reading::Likeliest(f[0] as u32, f[1]))),
        );
    }
    if !long.is_empty() {
        let all = select(&logits, &long)?
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F32)?
            .to_vec2()?;
        readings.extend(
            long.iter()
                .zip(all)
                .map(|(&row, logits)| (row, Reading::Logits(logits))),
        );
    }
    for (span, reading) in chosen.spans.iter().zip(readings.into_values()) {
        batch[span.sequence].readings.push(reading);
    }
    Ok(())
}

/// The rows `rows` of `x`, which may be all of them.
fn select(x: &Tensor, rows: &[u32]) -> Result<Tensor, Error> {
    if rows.len() == x.dim(0)? {
        return Ok(x.clone());
    }
    Ok(x.index_select(&Tensor::from_slice(rows, rows.len(), x.device())?, 0)?)
}

/// Reads the likeliest tokens off rows that were captured for the logit lens.
pub(super) fn look_through(model: &Model, observed: &mut Observed) -> Result<(), Error> {
    for captured in &mut observed.captured {
        let Some((count, top)) = &mut captured.lens else {
            continue;
        };
        let rows = captured.value.to_device(&model.device)?;
        let logits = model
            .decoder
            .lens(&rows)?
            .to_dtype(DType::F32)?
            .to_device(&Device::Cpu)?;
        for row in logits.to_vec2::<f32>()? {
            top.push(
                log_softmax(&row)
                    .map(|row| likeliest(&row, *count))
                    .unwrap_or_default(),
            );
        }
    }
    Ok(())
}
