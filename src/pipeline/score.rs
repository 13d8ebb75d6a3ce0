//! Score: the likelihood of given continuations.

use std::sync::Arc;

use super::compile::CompiledRequest;
use super::error::Error;
use super::generate::with_text;
use super::input::{BYTES_PER_TOKEN, MAX_TEXT_BYTES, PreparedInput, marker_in};
use super::interventions::Interventions;
use super::output::{ContinuationScore, Scored};
use super::provenance::RecordedRequest;
use super::request::ScoreRequest;
use super::runtime::Runtime;
use super::turns::Price;
use crate::engine::{Event, Prefilled, Task, Timing, Variant};
use crate::intervention::Effect;

const MAX_CONTINUATIONS: usize = 1024;

impl Runtime {
    /// Runs a request to its end.
    pub async fn score(&self, request: ScoreRequest) -> Result<Scored, Error> {
        request.check()?;
        let context = &request.context;
        let input = self
            .prepare(context, &request.model, &request.prompt)
            .await?;
        let interventions = request.interventions.clone();
        let compile = self.compile_score(&input, &request, interventions);
        let (compiled, variant, mut scorer) = compile.await?;
        let mut handle = self.submit(compiled, variant)?;
        loop {
            let event = handle.next().await?;
            if let Some(scored) = scorer.event(&handle.compiled, event)? {
                return Ok(scored);
            }
        }
    }

    /// Compiles a request on its input, with `interventions` in place of its own.
    pub(super) async fn compile_score(
        &self,
        input: &Arc<PreparedInput>,
        request: &ScoreRequest,
        interventions: Interventions,
    ) -> Result<(CompiledRequest, Variant, Scorer), Error> {
        let key = &request.sample_key;
        let compiled = self.compile(input, interventions, Vec::new(), key).await?;
        let recorded = RecordedRequest {
            canonical: request.canonical(&compiled.interventions, &input.image_digests),
            sample_key: key.clone(),
            sampling: None,
        };
        // Behind compiling: how much of the context is left depends on the plan.
        let (compiled, tokens) = self.tokenize(compiled, &request.continuations).await?;
        let (compiled, variant) = compiled.schedule(Task::Score(tokens.clone()));
        let scorer = Scorer {
            tokens,
            continuations: request.continuations.clone(),
            prefilled: Prefilled::default(),
            recorded,
        };
        Ok((compiled, variant, scorer))
    }

    /// Tokenizes continuations when it is the client's turn.
    pub(super) async fn tokenize(
        &self,
        compiled: CompiledRequest,
        continuations: &[String],
    ) -> Result<(CompiledRequest, Vec<Vec<u32>>), Error> {
        // Each is tokenized behind the prompt.
        let prompt = compiled.input.text.text.len();
        let bytes = continuations.iter().map(|text| prompt + text.len()).sum();
        let (client, all) = (
            compiled.input.context.client.clone(),
            continuations.to_vec(),
        );
        self.turns
            .run(&client, Price::of_text(bytes), move || {
                let tokens = tokenize(&compiled, &all)?;
                Ok((compiled, tokens))
            })
            .await
    }
}

impl ScoreRequest {
    /// Checks what depends on neither the prompt nor the plan.
    pub(super) fn check(&self) -> Result<(), Error> {
        let count = self.continuations.len();
        if !(1..=MAX_CONTINUATIONS).contains(&count) {
            let message = format!("{count} given; 1 to {MAX_CONTINUATIONS} are taken");
            return Err(Error::invalid("continuations", message));
        }
        let bytes: usize = self.continuations.iter().map(String::len).sum();
        if bytes > MAX_TEXT_BYTES {
            let message = format!("{bytes} bytes in all; at most {MAX_TEXT_BYTES} are taken");
            return Err(Error::invalid("continuations", message));
        }
        Ok(())
    }
}

/// Returns the tokens of each continuation, which has to fit the context after the prompt.
fn tokenize(compiled: &CompiledRequest, all: &[String]) -> Result<Vec<Vec<u32>>, Error> {
    let (room, prompt) = (compiled.room, compiled.prompt.next as usize);
    let (context, input) = (room + prompt, &compiled.input);
    // Once, since it is the same before each.
    let before = input.model.text.encode_prompt(&input.text)?;
    let mut tokens = Vec::with_capacity(all.len());
    for (i, continuation) in all.iter().enumerate() {
        let field = format!("continuations[{i}]");
        // Text that no context could hold is refused before it is tokenized.
        if continuation.is_empty() || continuation.len() > context * BYTES_PER_TOKEN {
            let message = "empty or longer than any context; some words are needed";
            return Err(Error::invalid(field, message));
        }
        // A picture there would have no visual tokens, only the embedding of its marker.
        if let Some(marker) = marker_in(&input.model, continuation) {
            let message = format!("holds {marker}; a continuation is words");
            return Err(Error::invalid(field, message));
        }
        let text = &input.model.text;
        let ids = text.encode_after(&input.text, &before, continuation)?;
        // Empty where the tokenizer drops what the text holds: nothing could be scored.
        if ids.is_empty() || ids.len() > room {
            let message = format!(
                "{} tokens after {prompt} of the prompt; the context holds {context}",
                ids.len()
            );
            return Err(Error::invalid(field, message));
        }
        tokens.push(ids);
    }
    Ok(tokens)
}

/// Turns likelihoods into a result.
#[derive(Debug)]
pub(super) struct Scorer {
    tokens: Vec<Vec<u32>>,
    continuations: Vec<String>,
    prefilled: Prefilled,
    recorded: RecordedRequest,
}

impl Scorer {
    /// Returns the result, once the event has come that makes it.
    pub(super) fn event(
        &mut self,
        compiled: &CompiledRequest,
        event: Event,
    ) -> Result<Option<Scored>, Error> {
        match event {
            Event::Scored {
                scores,
                timing,
                effects,
            } => self.scored(compiled, &scores, timing, &effects).map(Some),
            Event::Prefilled(found) => {
                self.prefilled = found;
                Ok(None)
            }
            Event::Captured(_) | Event::Token(_) | Event::Measured(_) => {
                Err(Error::UnexpectedEvent)
            }
        }
    }

    fn scored(
        &mut self,
        compiled: &CompiledRequest,
        logprobs: &[Vec<f64>],
        timing: Timing,
        effects: &[Effect],
    ) -> Result<Scored, Error> {
        compiled.check_fired(effects)?;
        let text = &compiled.input.model.text;
        let mut scores = Vec::with_capacity(self.tokens.len());
        let all = self.tokens.iter().zip(logprobs).zip(&self.continuations);
        for ((ids, logprobs), continuation) in all {
            let total: f64 = logprobs.iter().sum();
            let tokens = ids.iter().copied().zip(logprobs.iter().copied()).collect();
            scores.push(ContinuationScore {
                tokens: with_text(text, tokens)?,
                logprob: total,
                mean_logprob: total / ids.len() as f64,
                logprob_per_byte: total / continuation.len() as f64,
            });
        }
        let means = || scores.iter().map(|s| s.mean_logprob);
        let highest = means().fold(f64::NEG_INFINITY, f64::max);
        // A NaN is never the best, since `max` passes over it; where all are, it is the first.
        let best = means().position(|m| m >= highest).unwrap_or(0);
        // With all their bits: a record agrees with these numbers alone.
        let bits = logprobs.iter().flatten().flat_map(|s| s.to_le_bytes());
        let output = blake3::hash(&bits.collect::<Vec<u8>>());
        let recorded = std::mem::take(&mut self.recorded);
        Ok(Scored {
            scores,
            best,
            // No token is generated; the first that is known is known with the last.
            usage: compiled.usage(0, timing, timing.elapsed.as_secs_f64()),
            provenance: recorded.close(compiled, &self.prefilled, effects, output),
        })
    }
}
