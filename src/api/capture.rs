//! Capture: activations at hook points, in parts of bounded size; and those that are kept for later
//! requests.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::call::{Admitted, settle};
use super::prepare::{Asked, Scene};
use super::rpc::ResponseSender;
use super::v1::{self, capture_response};
use super::{Error, State, convert, provenance};
use crate::engine::{Event, Prefilled, Sampling, Task, Timing};
use crate::intervention::{Captured, Effect};
use crate::model::Model;
use crate::pipeline::RequestContext;

/// Bytes of one part.
const PART: usize = 1 << 20;

/// Activations by the digest of their shape and values; the least used make room.
#[derive(Debug)]
pub(super) struct Kept(Cache<String, Tensor, Bytes>);

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<String, Tensor> for Bytes {
    fn weight(&self, _: &String, value: &Tensor) -> u64 {
        (value.elem_count() * value.dtype().size_in_bytes()) as u64
    }
}

impl Kept {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Cache::with_weighter(1024, bytes, Bytes))
    }

    pub(super) fn get(&self, handle: &str) -> Option<Tensor> {
        self.0.get(handle)
    }

    /// Keeps `values` and returns their handle.
    fn put(&self, values: Tensor) -> Result<String, Error> {
        let mut hasher = blake3::Hasher::new();
        for &size in values.dims() {
            hasher.update(&(size as u32).to_le_bytes());
        }
        hasher.update(&bytes(&values, DType::F32)?);
        let handle = hasher.finalize().to_hex().to_string();
        self.0.insert(handle.clone(), values);
        Ok(handle)
    }
}

/// The numbers of a tensor as little-endian bytes.
fn bytes(values: &Tensor, dtype: DType) -> Result<Vec<u8>, Error> {
    let flat = values
        .to_dtype(dtype)
        .and_then(|v| v.flatten_all())
        .map_err(crate::model::Error::from)?;
    let bytes = match dtype {
        DType::BF16 => flat
            .to_vec1::<half::bf16>()
            .map(|v| v.into_iter().flat_map(half::bf16::to_le_bytes).collect()),
        DType::F16 => flat
            .to_vec1::<half::f16>()
            .map(|v| v.into_iter().flat_map(half::f16::to_le_bytes).collect()),
        _ => flat
            .to_vec1::<f32>()
            .map(|v| v.into_iter().flat_map(f32::to_le_bytes).collect()),
    };
    Ok(bytes.map_err(crate::model::Error::from)?)
}

/// What becomes of the events of a capture.
pub(super) struct Recorder {
    dtype: DType,
    /// Whether tokens were asked for.
    generates: bool,
    /// Which targets are kept.
    keep: Vec<bool>,
    kept: Vec<v1::KeptActivation>,
    ids: Vec<u32>,
    timing: Timing,
    prefilled: Prefilled,
    output: blake3::Hasher,
    record: v1::Provenance,
}

/// Admits a request.
pub(super) async fn begin(
    state: &Arc<State>,
    call: &RequestContext,
    mut request: v1::CaptureRequest,
) -> Result<(Admitted, Recorder), Error> {
    settle(
        state,
        &mut request.model,
        &mut request.interventions,
        &mut request.targets,
    )?;
    let dtype = convert::dtype("dtype", request.dtype)?;
    let captures = convert::captures(&request.targets)?;
    let allowed = state.limits.capture_bytes;
    let limit = if request.max_bytes == 0 {
        allowed
    } else {
        request.max_bytes.min(allowed)
    };
    let prompt = provenance::by_handles(&mut request.prompt);
    let (most, held) = (request.max_tokens as usize, limit);
    let work = |model: &Model, scene: &Scene| {
        let left = model.decoder.config().max_position_embeddings - scene.prompt.next as usize;
        let max_tokens = most.clamp(1, left);
        // The last token that is generated is not read back.
        let numbers = |v: &crate::intervention::Volume| {
            v.prompt
                .saturating_add(v.step.saturating_mul(max_tokens - 1))
        };
        let total = scene
            .volumes
            .iter()
            .map(numbers)
            .fold(0, usize::saturating_add);
        let needed = total.saturating_mul(dtype.size_in_bytes()) as u64;
        if needed > held {
            return Err(Error::CaptureBudget {
                field: "max_bytes",
                needed,
                limit: held,
            });
        }
        Ok(Task::Generate {
            sampling: Sampling::greedy_as(model),
            max_tokens,
            top_logprobs: 0,
        })
    };
    let recorded = provenance::request("Capture", &request);
    let ground = state.ground_of(call, &request.model, prompt).await?;
    let sample_key = &request.sample_key;
    let asked = Asked {
        interventions: std::mem::take(&mut request.interventions),
        captures,
        sample_key,
    };
    let ready = state.ready(&ground, asked, work).await?;
    let admitted = state.submit(call, ready)?;
    let record = provenance::begin(&admitted.ready.scene, recorded, None, sample_key);
    let recorder = Recorder {
        dtype,
        generates: request.max_tokens > 0,
        keep: request.targets.iter().map(|t| t.keep).collect(),
        kept: Vec::new(),
        ids: Vec::new(),
        timing: Timing::default(),
        prefilled: Prefilled::default(),
        output: blake3::Hasher::new(),
        record,
    };
    Ok((admitted, recorder))
}

/// Sends what is captured until the answer ends.
pub(super) async fn stream(
    state: Arc<State>,
    call: RequestContext,
    mut admitted: Admitted,
    mut recorder: Recorder,
    sender: ResponseSender<v1::CaptureResponse>,
) -> Result<(), Error> {
    let message = |event| v1::CaptureResponse { event: Some(event) };
    let started = capture_response::Event::Started(admitted.ready.started(&call));
    sender.send(message(started)).await?;
    loop {
        match recorder.next(&state, &mut admitted).await? {
            Next::Nothing => {}
            Next::Activation(whole) => {
                for part in parts(whole) {
                    let event = capture_response::Event::Activation(part);
                    sender.send(message(event)).await?;
                }
            }
            Next::Finished(finished) => {
                let event = capture_response::Event::Finished(finished);
                return sender.send(message(event)).await;
            }
        }
    }
}

/// Runs a request to its end and keeps its record alone.
pub(super) async fn whole(
    state: &Arc<State>,
    call: &RequestContext,
    request: v1::CaptureRequest,
) -> Result<v1::CaptureFinished, Error> {
    let (mut admitted, mut recorder) = begin(state, call, request).await?;
    loop {
        if let Next::Finished(finished) = recorder.next(state, &mut admitted).await? {
            return Ok(finished);
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "one at a time")]
enum Next {
    Nothing,
    Activation(v1::Activation),
    Finished(v1::CaptureFinished),
}

/// An activation in parts of at most `PART` bytes.
fn parts(mut whole: v1::Activation) -> impl Iterator<Item = v1::Activation> {
    let data = std::mem::take(&mut whole.data);
    let count = data.len().div_ceil(PART).max(1);
    (0..count).map(move |i| {
        let range = i * PART..((i + 1) * PART).min(data.len());
        let top = if i == 0 {
            std::mem::take(&mut whole.top)
        } else {
            Vec::new()
        };
        v1::Activation {
            data: data[range].to_vec(),
            offset: (i * PART) as u64,
            top,
            ..whole.clone()
        }
    })
}

impl Recorder {
    async fn next(&mut self, state: &State, admitted: &mut Admitted) -> Result<Next, Error> {
        let event = admitted.next().await?;
        match event {
            Event::Captured(captured) => self
                .captured(state, admitted, captured)
                .map(Next::Activation),
            Event::Prefilled(prefilled) => {
                self.prefilled = prefilled;
                Ok(Next::Nothing)
            }
            Event::Token(token) => {
                self.ids.push(token.id);
                self.timing = token.timing;
                match token.finish {
                    None => Ok(Next::Nothing),
                    Some(_) => self.finished(admitted, &token.effects).map(Next::Finished),
                }
            }
            Event::Scored { .. } => Err(Error::UnexpectedEvent),
        }
    }

    fn captured(
        &mut self,
        state: &State,
        admitted: &Admitted,
        captured: Captured,
    ) -> Result<v1::Activation, Error> {
        let text = &admitted.ready.scene.model.text;
        let point = captured.point.to_string();
        let mut activation = v1::Activation {
            target: captured.target as u32,
            point: point.clone(),
            step: captured.step,
            image: captured.view.0 as u32,
            view: captured.view.1 as u32,
            tokens: captured.tokens,
            ..v1::Activation::default()
        };
        if let Some((_, rows)) = captured.lens {
            for row in rows {
                let mut tokens = Vec::with_capacity(row.len());
                for (id, logprob) in row {
                    self.output
                        .update(&id.to_le_bytes())
                        .update(&logprob.to_le_bytes());
                    tokens.push(v1::TokenLogprob {
                        id,
                        text: text.decode(&[id])?,
                        logprob,
                    });
                }
                activation.top.push(v1::TopTokens { tokens });
            }
            return Ok(activation);
        }
        activation.shape = captured.value.dims().iter().map(|&d| d as u32).collect();
        activation.data = bytes(&captured.value, self.dtype)?;
        activation.size = activation.data.len() as u64;
        self.output.update(&activation.data);
        if self.keep.get(captured.target) == Some(&true) {
            let values = captured
                .value
                .to_dtype(DType::F32)
                .map_err(crate::model::Error::from)?;
            let (target, shape) = (activation.target, activation.shape.clone());
            let handle = state.activations.put(values)?;
            self.kept.push(v1::KeptActivation {
                target,
                point,
                handle,
                shape,
            });
        }
        Ok(activation)
    }

    fn finished(
        &mut self,
        admitted: &Admitted,
        effects: &[Effect],
    ) -> Result<v1::CaptureFinished, Error> {
        admitted.ready.check_fired(effects)?;
        let generated = if self.generates {
            self.ids.as_slice()
        } else {
            &[]
        };
        for id in generated {
            self.output.update(&id.to_le_bytes());
        }
        let record = std::mem::take(&mut self.record);
        Ok(v1::CaptureFinished {
            text: admitted.ready.scene.model.text.decode(generated)?,
            usage: Some(admitted.ready.usage(
                self.ids.len(),
                self.timing,
                self.timing.elapsed.as_secs_f64(),
            )),
            provenance: Some(provenance::close(
                record,
                &admitted.ready,
                &self.prefilled,
                effects,
                self.output.finalize(),
            )),
            kept: std::mem::take(&mut self.kept),
        })
    }
}
