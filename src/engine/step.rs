//! One packed step: prefill rows of some runs and decode rows of others in one forward pass.

use std::ops::Range;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use metrics::{counter, histogram};

use super::Cost;
use super::run::{Run, Stage};
use super::sampling::{likeliest, log_softmax};
use crate::intervention::{Applied, Observed};
use crate::model::{Error, Model};
use crate::nn::{Layout, Span, Track};
use crate::telemetry::names;

/// A run's part in a step.
pub(super) struct Part {
    pub(super) run: Run,
    /// Which of its rows are read; in a decode step the row of the token that it wrote last.
    pub(super) rows: Range<usize>,
    /// The logits of this step's rows that were asked for.
    pub(super) logits: Vec<Vec<f32>>,
}

/// Runs `batch`.
pub(super) fn run(model: &Model, batch: &mut [Part]) -> Result<(), Error> {
    let start = Instant::now();
    let (mut layout, mut inputs) = (Layout::default(), Vec::with_capacity(batch.len()));
    for (i, part) in batch.iter().enumerate() {
        let run = &part.run;
        if run.stage == Stage::Decode {
            let (token, position) = run.last_written();
            layout.rows_of(i, 0, [token].into(), [position].into());
            inputs.push(model.decoder.embed(&run.answer[run.answer.len() - 1..])?);
        } else {
            let (tokens, positions): (Vec<u32>, Vec<u32>) = run.rows[part.rows.clone()].iter().copied().unzip();
            layout.rows_of(i, run.own.slot, tokens.into(), positions.into());
            inputs.push(run.input(model, part.rows.clone())?);
        }
    }
    let x = Tensor::cat(&inputs, 0)?; // (R, D)
    let plans = batch.iter_mut().map(|p| (p.run.plan.clone(), std::mem::take(&mut p.run.observed))).collect();
    let mut hooks = Applied::new(plans);
    let mut tracks: Vec<Option<&mut Track>> = batch.iter_mut().map(|p| p.run.track.as_mut()).collect();
    let result = model.decoder.forward(x, &layout, &mut tracks, &mut hooks);
    let result = result.and_then(|(hidden, after)| read(model, batch, &hidden, &after, &mut hooks));
    for (part, mut observed) in batch.iter_mut().zip(hooks.into_observed()) {
        observed.settle()?;
        look_through(model, &mut observed)?;
        let mut cost = Cost::of_head(model, part.logits.len());
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
    let stage = if batch.iter().any(|p| p.run.stage != Stage::Decode) { "prefill" } else { "decode_step" };
    histogram!(names::STAGE_DURATION, "stage" => stage).record(start.elapsed());
    histogram!(names::BATCH_ROWS).record(layout.rows() as f64);
    result
}

/// Takes the logits of the rows that were asked for.
fn read(model: &Model, batch: &mut [Part], hidden: &Tensor, layout: &Layout, hooks: &mut Applied) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut chosen = Layout::default();
    for (part, span) in batch.iter().zip(&layout.spans) {
        let wanted = if part.run.stage == Stage::Decode { vec![0] } else { part.run.wanted(&span.tokens) };
        for row in wanted {
            rows.push((span.rows.start + row) as u32);
            let (tokens, positions) = ([span.tokens[row]].into(), [span.positions[row]].into());
            chosen.push(Span { tokens, positions, ..span.clone() });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let index = Tensor::from_slice(&rows, rows.len(), hidden.device())?;
    let logits = model.decoder.logits(&hidden.index_select(&index, 0)?, &chosen, hooks)?; // (wanted, V)
    let logits = logits.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec2()?;
    for (span, logits) in chosen.spans.iter().zip(logits) {
        batch[span.sequence].logits.push(logits);
    }
    Ok(())
}

/// Reads the likeliest tokens off rows that were captured for the logit lens.
pub(super) fn look_through(model: &Model, observed: &mut Observed) -> Result<(), Error> {
    for captured in &mut observed.captured {
        let Some((count, top)) = &mut captured.lens else { continue };
        let rows = captured.value.to_device(&model.device)?;
        let logits = model.decoder.lens(&rows)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        for row in logits.to_vec2::<f32>()? {
            top.push(log_softmax(&row).map(|row| likeliest(&row, *count)).unwrap_or_default());
        }
    }
    Ok(())
}
