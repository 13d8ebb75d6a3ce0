//! Capture: activations at hook points.

use candle_core::DType;

use super::budget::Reservation;
use super::compile::CompiledRequest;
use super::error::Error;
use super::generate::with_text;
use super::output::{CaptureEvent, CaptureFinished, CapturedActivation, KeptActivation, Started};
use super::provenance::RecordedRequest;
use super::request::CaptureRequest;
use super::runtime::Runtime;
use super::submit::RequestHandle;
use super::tensor_bytes::tensor_bytes;
use super::token_labels::label;
use crate::engine::{self, Event, Prefilled, Sampling, Task, Timing};
use crate::intervention::{Captured, Effect, GridToken};
use crate::nn::Stack;

/// Bytes of a number until it is read, whatever it is sent as.
const HELD_BYTES: usize = size_of::<f32>();

/// A capture on its way. Dropping it cancels the request.
#[derive(Debug)]
pub struct CaptureRun {
    handle: RequestHandle,
    recorder: Recorder,
    /// Counts the activations that nobody has read.
    unread: Reservation,
    /// Bytes of the last activation, which is read once the next one is asked for.
    handed_out: u64,
}

impl Runtime {
    /// Admits a request.
    pub async fn capture(&self, request: CaptureRequest) -> Result<CaptureRun, Error> {
        let (context, key) = (&request.context, &request.sample_key);
        let input = self
            .prepare(context, &request.model, &request.prompt)
            .await?;
        let targets = request.targets.iter();
        let captures = targets.map(|t| t.capture.clone()).collect();
        let compile = self.compile(&input, request.interventions.clone(), captures, key);
        let compiled = compile.await?;
        // The prompt's own step makes a token, wanted or not, and compiling has found room for one.
        let max_tokens = (request.max_tokens as usize).clamp(1, compiled.room);
        let dtype = request.dtype.unwrap_or(DType::F32);
        let limit = self.capture_limit(request.max_bytes);
        // By the number of rows, which is known once selectors are resolved, and before any is
        // computed.
        let held = check_budget(&compiled, max_tokens, dtype, limit)?;
        let (compiled, variant) = compiled.schedule(Task::Generate {
            sampling: Sampling::greedy_as(&input.model),
            max_tokens,
            top_logprobs: 0,
        });
        let recorded = RecordedRequest {
            canonical: request.canonical(&compiled.interventions, &input.image_digests),
            sample_key: key.clone(),
            sampling: None,
        };
        // Before anything runs: the engine does not wait for readers.
        let unread = self.unread.reserve(&context.client, held)?;
        let handle = self.submit(compiled, variant)?;
        let recorder = Recorder {
            dtype,
            generates: request.max_tokens > 0,
            keep: request.targets.iter().map(|t| t.keep).collect(),
            kept: Vec::new(),
            ids: Vec::new(),
            timing: Timing::default(),
            prefilled: Prefilled::default(),
            output: blake3::Hasher::new(),
            recorded,
        };
        Ok(CaptureRun {
            handle,
            recorder,
            unread,
            handed_out: 0,
        })
    }

    /// Returns the bytes that a capture may come to.
    fn capture_limit(&self, asked: u64) -> u64 {
        let allowed = self.limits.capture_bytes;
        if asked == 0 {
            allowed
        } else {
            asked.min(allowed)
        }
    }
}

/// Fails where the activations may come to more bytes than `limit`; returns the bytes that they take
/// until they are read.
fn check_budget(
    compiled: &CompiledRequest,
    max_tokens: usize,
    dtype: DType,
    limit: u64,
) -> Result<u64, Error> {
    let mut total = 0usize;
    for volume in &compiled.volumes {
        // The last token that is generated is not read back.
        let steps = volume.step.saturating_mul(max_tokens - 1);
        total = total.saturating_add(volume.prompt.saturating_add(steps));
    }
    let needed = total.saturating_mul(dtype.size_in_bytes()) as u64;
    if needed > limit {
        return Err(Error::CaptureBudget {
            field: "max_bytes".into(),
            needed,
            limit,
        });
    }
    Ok(total.saturating_mul(HELD_BYTES) as u64)
}

/// Returns how many numbers were reserved for an activation, whose rows count for `told_row` where
/// they are told as features or tokens.
fn numbers_of(activation: &CapturedActivation, told_row: usize) -> usize {
    if activation.shape.is_empty() {
        // However few of them fire: as many as may be were reserved for each row.
        return activation.features.len().max(activation.top.len()) * told_row;
    }
    activation.shape.iter().map(|&n| n as usize).product()
}

impl CaptureRun {
    /// Returns what is known before the first activation.
    pub fn started(&self) -> Started {
        self.handle.compiled.started()
    }

    /// Waits for what happens next.
    pub async fn next(&mut self, runtime: &Runtime) -> Result<CaptureEvent, Error> {
        // Whoever asks for the next one has read the last.
        self.unread.shrink(std::mem::take(&mut self.handed_out));
        loop {
            let event = self.handle.next().await?;
            let recorder = &mut self.recorder;
            if let Some(event) = recorder.event(runtime, &self.handle.compiled, event)? {
                if let CaptureEvent::Activation(activation) = &event {
                    let volume = self.handle.compiled.volumes.get(activation.target);
                    let numbers = numbers_of(activation, volume.map_or(0, |v| v.told_row));
                    self.handed_out = (numbers * HELD_BYTES) as u64;
                }
                // A handle is told once what it names outlives the process.
                if matches!(&event, CaptureEvent::Finished(finished) if !finished.kept.is_empty()) {
                    runtime.settle().await;
                }
                return Ok(event);
            }
        }
    }

    /// Runs to the end and keeps the record alone.
    pub async fn finish(mut self, runtime: &Runtime) -> Result<CaptureFinished, Error> {
        loop {
            if let CaptureEvent::Finished(finished) = self.next(runtime).await? {
                return Ok(finished);
            }
        }
    }
}

/// Turns events of the engine into activations, and accounts for them.
#[derive(Debug)]
struct Recorder {
    dtype: DType,
    /// Set where tokens were asked for.
    generates: bool,
    /// Marks the targets whose values the server keeps.
    keep: Vec<bool>,
    kept: Vec<KeptActivation>,
    ids: Vec<u32>,
    timing: Timing,
    prefilled: Prefilled,
    output: blake3::Hasher,
    recorded: RecordedRequest,
}

impl Recorder {
    fn event(
        &mut self,
        runtime: &Runtime,
        compiled: &CompiledRequest,
        event: Event,
    ) -> Result<Option<CaptureEvent>, Error> {
        match event {
            Event::Captured(captured) => {
                let activation = self.captured(runtime, compiled, captured)?;
                Ok(Some(CaptureEvent::Activation(activation)))
            }
            Event::Prefilled(prefilled) => {
                self.prefilled = prefilled;
                Ok(None)
            }
            Event::Token(token) => self.token(compiled, &token),
            Event::Scored { .. } | Event::Measured(_) => Err(Error::UnexpectedEvent),
        }
    }

    fn token(
        &mut self,
        compiled: &CompiledRequest,
        token: &engine::Token,
    ) -> Result<Option<CaptureEvent>, Error> {
        self.ids.push(token.id);
        self.timing = token.timing;
        if token.finish.is_none() {
            return Ok(None);
        }
        let finished = self.finished(compiled, &token.effects)?;
        Ok(Some(CaptureEvent::Finished(finished)))
    }

    fn captured(
        &mut self,
        runtime: &Runtime,
        compiled: &CompiledRequest,
        captured: Captured,
    ) -> Result<CapturedActivation, Error> {
        let mut activation = CapturedActivation {
            target: captured.target,
            point: captured.point.to_string(),
            step: captured.step,
            image: captured.view.0,
            view: captured.view.1,
            tokens: captured.tokens,
            ..CapturedActivation::default()
        };
        if let Some(lens) = captured.lens {
            for row in lens.tokens {
                // Ids and bits, not texts: different tokens can read alike.
                for (id, logprob) in &row {
                    self.output.update(&id.to_le_bytes());
                    self.output.update(&logprob.to_le_bytes());
                }
                activation
                    .top
                    .push(with_text(&compiled.input.model.text, row)?);
            }
            return Ok(activation);
        }
        if let Some(rows) = captured.features {
            for (feature, value) in rows.iter().flatten() {
                self.output.update(&feature.to_le_bytes());
                self.output.update(&value.to_le_bytes());
            }
            activation.features = rows;
            activation.positions = self.positions(compiled, &activation, captured.point.stack)?;
            return Ok(activation);
        }
        activation.shape = captured.value.dims().iter().map(|&d| d as u32).collect();
        activation.data = tensor_bytes(&captured.value, self.dtype)?;
        self.output.update(&activation.data);
        if self.keep.get(captured.target) == Some(&true) {
            // f32 holds every type of models exactly, so that the handle is the same whatever type
            // was asked for.
            let values = captured.value.to_dtype(DType::F32);
            let values = values.map_err(crate::model::Error::from)?;
            let owner = &compiled.input.context.client.tenant;
            self.kept.push(KeptActivation {
                target: activation.target,
                point: activation.point.clone(),
                handle: runtime.activations.put(owner, values)?,
                shape: activation.shape.clone(),
            });
        }
        Ok(activation)
    }

    /// Returns what the rows of `activation` are of.
    fn positions(
        &self,
        compiled: &CompiledRequest,
        activation: &CapturedActivation,
        stack: Stack,
    ) -> Result<Vec<(String, GridToken)>, Error> {
        let view = (activation.image, activation.view);
        let patches = compiled.volumes.get(activation.target);
        let patches = patches.and_then(|volume| volume.patches.get(&view));
        // Rows of generated tokens are named by the tokens that have come so far.
        let ids: Vec<u32> = [compiled.prompt.ids.as_slice(), &self.ids].concat();
        let mut positions = Vec::with_capacity(activation.tokens.len());
        for &token in &activation.tokens {
            let patch = patches.and_then(|rows| rows.get(token as usize));
            let patch = patch.copied().flatten();
            let row = GridToken { view, token, patch };
            let label = label(&compiled.input.model, (stack, &ids), &[row])?;
            positions.push((label, row));
        }
        Ok(positions)
    }

    fn finished(
        &mut self,
        compiled: &CompiledRequest,
        effects: &[Effect],
    ) -> Result<CaptureFinished, Error> {
        compiled.check_fired(effects)?;
        // A capture without an answer runs one step, whose token nobody asked for.
        let generated = if self.generates {
            self.ids.as_slice()
        } else {
            &[]
        };
        for id in generated {
            self.output.update(&id.to_le_bytes());
        }
        let (elapsed, recorded) = (self.timing.elapsed, std::mem::take(&mut self.recorded));
        let output = self.output.finalize();
        Ok(CaptureFinished {
            text: compiled.input.model.text.decode(generated)?,
            usage: compiled.usage(self.ids.len(), self.timing, elapsed.as_secs_f64()),
            provenance: recorded.close(compiled, &self.prefilled, effects, output),
            kept: std::mem::take(&mut self.kept),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_gives_back_what_was_reserved() {
        let values = CapturedActivation {
            shape: vec![3, 4],
            ..CapturedActivation::default()
        };
        let features = CapturedActivation {
            features: vec![Vec::new(); 3],
            ..CapturedActivation::default()
        };
        let tokens = CapturedActivation {
            top: vec![Vec::new(); 2],
            ..CapturedActivation::default()
        };
        assert_eq!(numbers_of(&values, 0), 12);
        assert_eq!(numbers_of(&features, 10), 30);
        assert_eq!(numbers_of(&tokens, 160), 320);
    }
}
