//! Score: the likelihood of given continuations.

use std::sync::Arc;

use super::call::{Ready, settle};
use super::prepare::{Asked, Ground, Scene};
use super::{Error, State, provenance, v1};
use crate::engine::{Event, Prefilled, Task, Timing, Variant};
use crate::intervention::Effect;
use crate::model::Model;
use crate::pipeline::RequestContext;

const MAX_CONTINUATIONS: usize = 1024;

/// Runs a request to its end.
pub(super) async fn whole(
    state: &Arc<State>,
    call: &RequestContext,
    mut request: v1::ScoreRequest,
) -> Result<v1::ScoreResponse, Error> {
    let prompt = check(state, &mut request)?;
    let ground = state.ground_of(call, &request.model, prompt).await?;
    let (ready, variant, mut scorer) = prepare(state, &ground, request).await?;
    let mut admitted = state.submit(call, (ready, variant))?;
    loop {
        let event = admitted.next().await?;
        if let Some(response) = scorer.event(&admitted.ready, event)? {
            return Ok(response);
        }
    }
}

/// Checks what does not depend on the plan, and takes the prompt with its pictures, leaving their
/// handles.
pub(super) fn check(
    state: &State,
    request: &mut v1::ScoreRequest,
) -> Result<Option<v1::Prompt>, Error> {
    let asked = request.continuations.len();
    if !(1..=MAX_CONTINUATIONS).contains(&asked) {
        let message = format!("{asked} given; 1 to {MAX_CONTINUATIONS} are taken");
        return Err(Error::invalid("continuations", message));
    }
    settle(
        state,
        &mut request.model,
        &mut request.interventions,
        &mut [],
    )?;
    Ok(provenance::by_handles(&mut request.prompt))
}

/// A checked request on its ground.
pub(super) async fn prepare(
    state: &Arc<State>,
    ground: &Arc<Ground>,
    request: v1::ScoreRequest,
) -> Result<(Ready, Variant, Scorer), Error> {
    let recorded = provenance::request("Score", &request);
    let mut tokens = Vec::with_capacity(request.continuations.len());
    let continuations = request.continuations;
    let work = |model: &Model, scene: &Scene| {
        let context = model.decoder.config().max_position_embeddings;
        let prompt = scene.prompt.next as usize;
        for (i, continuation) in continuations.iter().enumerate() {
            let field = || format!("continuations[{i}]");
            if continuation.is_empty() || continuation.len() > context * 16 {
                return Err(Error::invalid(
                    field(),
                    "empty or longer than any context; some words are needed",
                ));
            }
            let ids = model.text.encode_continuation(&scene.text, continuation)?;
            if ids.is_empty() || prompt + ids.len() > context {
                let message = format!(
                    "{} tokens after {prompt} of the prompt; the context holds {context}",
                    ids.len()
                );
                return Err(Error::invalid(field(), message));
            }
            tokens.push(ids);
        }
        Ok(Task::Score(tokens.clone()))
    };
    let asked = Asked {
        interventions: request.interventions,
        sample_key: &request.sample_key,
        ..Asked::default()
    };
    let (ready, variant) = state.ready(ground, asked, work).await?;
    let record = provenance::begin(&ready.scene, recorded, None, &request.sample_key);
    Ok((
        ready,
        variant,
        Scorer {
            tokens,
            continuations,
            prefilled: Prefilled::default(),
            record,
        },
    ))
}

/// Turns likelihoods into a response.
pub(super) struct Scorer {
    tokens: Vec<Vec<u32>>,
    continuations: Vec<String>,
    prefilled: Prefilled,
    record: v1::Provenance,
}

impl Scorer {
    /// The response, once the event has come that makes it.
    pub(super) fn event(
        &mut self,
        ready: &Ready,
        event: Event,
    ) -> Result<Option<v1::ScoreResponse>, Error> {
        match event {
            Event::Scored {
                scores,
                timing,
                effects,
            } => self.response(ready, &scores, timing, &effects).map(Some),
            Event::Prefilled(found) => {
                self.prefilled = found;
                Ok(None)
            }
            Event::Captured(_) | Event::Token(_) => Err(Error::UnexpectedEvent),
        }
    }

    fn response(
        &mut self,
        ready: &Ready,
        scores: &[Vec<f64>],
        timing: Timing,
        effects: &[Effect],
    ) -> Result<v1::ScoreResponse, Error> {
        ready.check_fired(effects)?;
        let text = &ready.scene.model.text;
        let mut response = v1::ScoreResponse::default();
        for ((ids, logprobs), continuation) in
            self.tokens.iter().zip(scores).zip(&self.continuations)
        {
            let total: f64 = logprobs.iter().sum();
            let token = |(&id, &logprob): (&u32, &f64)| {
                Ok(v1::TokenLogprob {
                    id,
                    text: text.decode(&[id])?,
                    logprob,
                })
            };
            response.scores.push(v1::ContinuationScore {
                tokens: ids
                    .iter()
                    .zip(logprobs)
                    .map(token)
                    .collect::<Result<_, Error>>()?,
                logprob: total,
                mean_logprob: total / ids.len() as f64,
                logprob_per_byte: total / continuation.len() as f64,
            });
        }
        let means = || response.scores.iter().map(|s| s.mean_logprob);
        let highest = means().fold(f64::NEG_INFINITY, f64::max);
        response.best = means().position(|m| m >= highest).unwrap_or(0) as u32;
        response.usage = Some(ready.usage(0, timing, timing.elapsed.as_secs_f64()));
        let output: Vec<u8> = scores
            .iter()
            .flatten()
            .flat_map(|s| s.to_le_bytes())
            .collect();
        let record = std::mem::take(&mut self.record);
        let output = blake3::hash(&output);
        response.provenance = Some(provenance::close(
            record,
            ready,
            &self.prefilled,
            effects,
            output,
        ));
        Ok(response)
    }
}
