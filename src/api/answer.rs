//! Generate: the events of an answer as messages.

use std::sync::Arc;

use metrics::histogram;

use super::call::{Admitted, Ready, settle};
use super::prepare::{Asked, Ground, Scene};
use super::rpc::ResponseSender;
use super::v1::{self, generate_response};
use super::{Error, State, provenance, sampling};
use crate::engine::{self, Event, Finish, Prefilled, Task, Timing, Variant};
use crate::intervention;
use crate::model::{Detokenizer, Model};
use crate::pipeline::RequestContext;
use crate::telemetry::names;

const MAX_STOPS: usize = 8;
const MAX_TOP_LOGPROBS: u32 = 20;

/// Admits a request.
pub(super) async fn begin(
    state: &Arc<State>,
    call: &RequestContext,
    mut request: v1::GenerateRequest,
) -> Result<(Admitted, Writer), Error> {
    let prompt = check(state, &mut request)?;
    let ground = state.ground_of(call, &request.model, prompt).await?;
    let (ready, variant, writer) = prepare(state, &ground, request).await?;
    Ok((state.submit(call, (ready, variant))?, writer))
}

/// Checks what does not depend on the plan, fills in what is open, and takes the prompt with its
/// pictures, leaving their handles.
pub(super) fn check(
    state: &State,
    request: &mut v1::GenerateRequest,
) -> Result<Option<v1::Prompt>, Error> {
    settle(
        state,
        &mut request.model,
        &mut request.interventions,
        &mut [],
    )?;
    sampling::check(request.sampling.get_or_insert_default())?;
    check_stops(&request.stop)?;
    if request.top_logprobs > MAX_TOP_LOGPROBS {
        let message = format!("{} is more than {MAX_TOP_LOGPROBS}", request.top_logprobs);
        return Err(Error::invalid("top_logprobs", message));
    }
    Ok(provenance::by_handles(&mut request.prompt))
}

/// A checked request on its ground.
pub(super) async fn prepare(
    state: &Arc<State>,
    ground: &Arc<Ground>,
    request: v1::GenerateRequest,
) -> Result<(Ready, Variant, Writer), Error> {
    let asked = request.sampling.clone().unwrap_or_default();
    let work = |model: &Model, scene: &Scene| {
        let left = model.decoder.config().max_position_embeddings - scene.prompt.next as usize;
        let room = sampling::room(
            request.max_tokens,
            &model.generation,
            scene.prompt.ids.len(),
            &asked,
        )?;
        let sampling = sampling::sampler(&asked, model, &request.sample_key)?;
        let top_logprobs = request.top_logprobs as usize;
        Ok(Task::Generate {
            sampling,
            max_tokens: room.min(left),
            top_logprobs,
        })
    };
    let recorded = provenance::request("Generate", &request);
    let sample_key = &request.sample_key;
    let compiled = Asked {
        interventions: request.interventions,
        sample_key,
        ..Asked::default()
    };
    let (ready, variant) = state.ready(ground, compiled, work).await?;
    let effective = sampling::effective(&asked, &ready.scene.model.generation);
    let record = provenance::begin(&ready.scene, recorded, Some(effective), sample_key);
    Ok((ready, variant, Writer::new(request.stop, record)))
}

fn check_stops(stops: &[String]) -> Result<(), Error> {
    if stops.len() > MAX_STOPS {
        return Err(Error::invalid(
            "stop",
            format!("{} strings; at most {MAX_STOPS} are taken", stops.len()),
        ));
    }
    match stops.iter().position(String::is_empty) {
        Some(i) => Err(Error::invalid(
            format!("stop[{i}]"),
            "empty; a stop string has at least one character",
        )),
        None => Ok(()),
    }
}

/// Sends the events of one answer until it ends.
pub(super) async fn stream(
    call: RequestContext,
    mut admitted: Admitted,
    mut writer: Writer,
    sender: ResponseSender<v1::GenerateResponse>,
) -> Result<(), Error> {
    let message = |event| v1::GenerateResponse { event: Some(event) };
    let started = generate_response::Event::Started(admitted.ready.started(&call));
    sender.send(message(started)).await?;
    loop {
        for event in writer.next(&mut admitted, &call).await? {
            let last = matches!(event, generate_response::Event::Finished(_));
            sender.send(message(event)).await?;
            if last {
                return Ok(());
            }
        }
    }
}

/// Runs a request to its end, for nobody to watch.
pub(super) async fn whole(
    state: &Arc<State>,
    call: &RequestContext,
    request: v1::GenerateRequest,
) -> Result<v1::Finished, Error> {
    let (mut admitted, mut writer) = begin(state, call, request).await?;
    loop {
        for event in writer.next(&mut admitted, call).await? {
            if let generate_response::Event::Finished(finished) = event {
                return Ok(finished);
            }
        }
    }
}

/// Turns tokens into text, watching for stop strings.
pub(super) struct Writer {
    detokenizer: Detokenizer,
    stops: Vec<String>,
    /// All text so far.
    text: String,
    /// Bytes of it that have been sent; the rest might begin a stop string.
    sent: usize,
    ids: Vec<u32>,
    timing: Timing,
    first_token: f64,
    prefilled: Prefilled,
    record: v1::Provenance,
}

impl Writer {
    fn new(stops: Vec<String>, record: v1::Provenance) -> Self {
        Self {
            detokenizer: Detokenizer::default(),
            stops,
            text: String::new(),
            sent: 0,
            ids: Vec::new(),
            timing: Timing::default(),
            first_token: 0.0,
            prefilled: Prefilled::default(),
            record,
        }
    }

    /// The messages that the next event of the engine comes to.
    async fn next(
        &mut self,
        admitted: &mut Admitted,
        call: &RequestContext,
    ) -> Result<Vec<generate_response::Event>, Error> {
        let event = admitted.next().await?;
        if matches!(event, Event::Token(_)) {
            call.metrics.count_token();
        }
        self.event(&admitted.ready, event)
    }

    /// The messages that an event of the engine comes to.
    pub(super) fn event(
        &mut self,
        ready: &Ready,
        event: Event,
    ) -> Result<Vec<generate_response::Event>, Error> {
        match event {
            Event::Token(token) => self.token(ready, token),
            Event::Prefilled(prefilled) => {
                self.prefilled = prefilled;
                Ok(Vec::new())
            }
            Event::Captured(_) | Event::Scored { .. } => Err(Error::UnexpectedEvent),
        }
    }

    fn token(
        &mut self,
        ready: &Ready,
        token: engine::Token,
    ) -> Result<Vec<generate_response::Event>, Error> {
        let text = &ready.scene.model.text;
        let elapsed = token.timing.elapsed;
        if self.ids.is_empty() {
            self.first_token = elapsed.as_secs_f64();
            histogram!(names::TIME_TO_FIRST_TOKEN).record(elapsed);
        } else {
            histogram!(names::INTER_TOKEN_LATENCY)
                .record(elapsed.saturating_sub(self.timing.elapsed));
        }
        self.timing = token.timing;
        self.ids.push(token.id);
        self.text.push_str(&self.detokenizer.push(token.id, text)?);
        if token.finish.is_some() {
            self.text.push_str(&self.detokenizer.finish(text)?);
        }
        let stop = self.stop_at();
        self.text.truncate(stop.unwrap_or(self.text.len()));
        let reason = match (stop, token.finish) {
            (Some(_), _) => Some(v1::FinishReason::Stop),
            (None, Some(Finish::Eos)) => Some(v1::FinishReason::Eos),
            (None, Some(Finish::Length)) => Some(v1::FinishReason::Length),
            (None, None) => None,
        };
        let until = if reason.is_some() {
            self.text.len()
        } else {
            self.text.len() - self.held_back()
        };
        let top = token.top.iter().map(|&(id, logprob)| {
            Ok(v1::TokenLogprob {
                id,
                text: text.decode(&[id])?,
                logprob,
            })
        });
        let message = v1::Token {
            id: token.id,
            text: self.text[self.sent..until.max(self.sent)].to_owned(),
            logprob: token.logprob,
            top: top.collect::<Result<_, Error>>()?,
        };
        self.sent = until.max(self.sent);
        let mut events = vec![generate_response::Event::Token(message)];
        if let Some(reason) = reason {
            events.push(self.finished(ready, &token.effects, reason)?);
        }
        Ok(events)
    }

    /// Where the first stop string begins.
    fn stop_at(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|s| self.text.find(s.as_str()))
            .min()
    }

    /// Bytes at the end that may be the beginning of a stop string.
    fn held_back(&self) -> usize {
        let begins = |s: &String| {
            (1..s.len())
                .rev()
                .find(|&n| s.is_char_boundary(n) && self.text.ends_with(&s[..n]))
        };
        self.stops.iter().filter_map(begins).max().unwrap_or(0)
    }

    fn finished(
        &mut self,
        ready: &Ready,
        effects: &[intervention::Effect],
        reason: v1::FinishReason,
    ) -> Result<generate_response::Event, Error> {
        ready.check_fired(effects)?;
        let output: Vec<u8> = self.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let output = blake3::hash(&output);
        let record = std::mem::take(&mut self.record);
        Ok(generate_response::Event::Finished(v1::Finished {
            reason: reason.into(),
            text: self.text.clone(),
            usage: Some(ready.usage(self.ids.len(), self.timing, self.first_token)),
            provenance: Some(provenance::close(
                record,
                ready,
                &self.prefilled,
                effects,
                output,
            )),
        }))
    }
}
