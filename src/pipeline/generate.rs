//! Generate: one answer, token by token.

use std::sync::Arc;

use metrics::histogram;

use super::compile::CompiledRequest;
use super::error::Error;
use super::input::PreparedInput;
use super::interventions::Interventions;
use super::output::{FinishReason, Finished, GenerateEvent, GeneratedToken, Started, TokenLogprob};
use super::provenance::RecordedRequest;
use super::request::GenerateRequest;
use super::request_context::RequestMetrics;
use super::runtime::Runtime;
use super::submit::RequestHandle;
use crate::engine::{self, Event, Finish, Prefilled, Task, Timing, Variant};
use crate::intervention;
use crate::model::{Detokenizer, Text};
use crate::telemetry::names;

const MAX_STOPS: usize = 8;
/// Bytes of a stop string, which is looked for at every token.
const MAX_STOP_BYTES: usize = 1024;
/// Likeliest tokens that are listed with each token.
pub const MAX_TOP_LOGPROBS: u32 = 20;

/// An answer on its way. Dropping it cancels the request.
#[derive(Debug)]
pub struct Generation {
    handle: RequestHandle,
    output: OutputProcessor,
    metrics: RequestMetrics,
}

impl Runtime {
    /// Admits a request: prepares its input, compiles its plan, hands both to the engine.
    pub async fn generate(&self, mut request: GenerateRequest) -> Result<Generation, Error> {
        request.check()?;
        let context = &request.context;
        let input = self
            .prepare(context, &request.model, &request.prompt)
            .await?;
        let interventions = request.interventions.clone();
        let compile = self.compile_generate(&input, &request, interventions);
        let (compiled, variant, output) = compile.await?;
        let handle = self.submit(compiled, variant)?;
        Ok(Generation {
            handle,
            output,
            metrics: context.metrics.clone(),
        })
    }

    /// Compiles a request on its input, with `interventions` in place of its own.
    pub(super) async fn compile_generate(
        &self,
        input: &Arc<PreparedInput>,
        request: &GenerateRequest,
        interventions: Interventions,
    ) -> Result<(CompiledRequest, Variant, OutputProcessor), Error> {
        let key = &request.sample_key;
        let compiled = self.compile(input, interventions, Vec::new(), key).await?;
        let (asked, model) = (&request.sampling, &input.model);
        let prompt = compiled.prompt.ids.len();
        // Here and not with the checks: `max_length` of a model counts the prompt.
        let chosen = asked.resolve(request.max_tokens, model, prompt, key)?;
        let recorded = RecordedRequest {
            canonical: request.canonical(&compiled.interventions, &input.image_digests),
            sample_key: key.clone(),
            sampling: Some(chosen.params),
        };
        // What transformers' max_length allows may be more than the context holds.
        let max_tokens = chosen.max_tokens.min(compiled.room);
        let (compiled, variant) = compiled.schedule(Task::Generate {
            sampling: chosen.sampling,
            max_tokens,
            top_logprobs: request.top_logprobs as usize,
        });
        let output = OutputProcessor::new(request.stop.clone(), max_tokens, recorded);
        Ok((compiled, variant, output))
    }
}

impl GenerateRequest {
    /// Checks what depends on neither the prompt nor the plan, and draws the sampler's seed where
    /// it is open.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        self.sampling.check()?;
        check_stops(&self.stop)?;
        if self.top_logprobs > MAX_TOP_LOGPROBS {
            let message = format!("{} is more than {MAX_TOP_LOGPROBS}", self.top_logprobs);
            return Err(Error::invalid("top_logprobs", message));
        }
        Ok(())
    }
}

fn check_stops(stops: &[String]) -> Result<(), Error> {
    if stops.len() > MAX_STOPS {
        return Err(Error::invalid(
            "stop",
            format!("{} strings; at most {MAX_STOPS} are taken", stops.len()),
        ));
    }
    for (i, stop) in stops.iter().enumerate() {
        let message = match stop.len() {
            0 => "empty; a stop string has at least one character".into(),
            1..=MAX_STOP_BYTES => continue,
            bytes => format!("{bytes} bytes; at most {MAX_STOP_BYTES} are taken"),
        };
        return Err(Error::invalid(format!("stop[{i}]"), message));
    }
    Ok(())
}

impl Generation {
    /// Returns what is known before the first token.
    pub fn started(&self) -> Started {
        self.handle.compiled.started()
    }

    /// Waits for what happens next: a token, and with the last one the end.
    pub async fn next(&mut self) -> Result<Vec<GenerateEvent>, Error> {
        let event = self.handle.next().await?;
        // Where the deadline cuts the answer short, the error says how far it came.
        if matches!(event, Event::Token(_)) {
            self.metrics.count_token();
        }
        self.output.event(&self.handle.compiled, event)
    }

    /// Returns the tokens that the answer may have: what was asked, cut to what the context holds.
    pub fn max_tokens(&self) -> usize {
        self.output.max_tokens
    }

    /// Runs to the end.
    pub async fn finish(mut self) -> Result<Finished, Error> {
        loop {
            for event in self.next().await? {
                if let GenerateEvent::Finished(finished) = event {
                    return Ok(finished);
                }
            }
        }
    }
}

/// Turns tokens into text, watching for stop strings.
#[derive(Debug)]
pub(super) struct OutputProcessor {
    detokenizer: Detokenizer,
    stops: Vec<String>,
    /// Tokens of the answer, at most.
    max_tokens: usize,
    /// All text so far.
    text: String,
    /// Bytes of it that have been sent; the rest might begin a stop string.
    sent: usize,
    ids: Vec<u32>,
    /// Sum over `ids`.
    logprob: f64,
    timing: Timing,
    first_token: f64,
    prefilled: Prefilled,
    recorded: RecordedRequest,
}

impl OutputProcessor {
    fn new(stops: Vec<String>, max_tokens: usize, recorded: RecordedRequest) -> Self {
        Self {
            detokenizer: Detokenizer::default(),
            stops,
            max_tokens,
            text: String::new(),
            sent: 0,
            ids: Vec::new(),
            logprob: 0.0,
            timing: Timing::default(),
            first_token: 0.0,
            prefilled: Prefilled::default(),
            recorded,
        }
    }

    /// Returns what an event of the engine comes to.
    pub(super) fn event(
        &mut self,
        compiled: &CompiledRequest,
        event: Event,
    ) -> Result<Vec<GenerateEvent>, Error> {
        match event {
            Event::Token(token) => self.token(compiled, token),
            Event::Prefilled(prefilled) => {
                self.prefilled = prefilled;
                Ok(Vec::new())
            }
            Event::Captured(_) | Event::Scored { .. } | Event::Measured(_) => {
                Err(Error::UnexpectedEvent)
            }
        }
    }

    fn token(
        &mut self,
        compiled: &CompiledRequest,
        token: engine::Token,
    ) -> Result<Vec<GenerateEvent>, Error> {
        let text = &compiled.input.model.text;
        self.measure(token.timing);
        // The end token, too: it was computed, and the digest is of all ids.
        self.ids.push(token.id);
        self.logprob += token.logprob;
        // A character of several tokens comes with the last of them; half of one comes at the end.
        self.text.push_str(&self.detokenizer.push(token.id, text)?);
        // What never became a whole character comes now.
        if token.finish.is_some() {
            self.text.push_str(&self.detokenizer.finish(text)?);
        }
        let stop = self.stop_at();
        self.text.truncate(stop.unwrap_or(self.text.len()));
        let reason = match (stop, token.finish) {
            // A stop string goes before the end token that may come with it: the text is cut there.
            (Some(_), _) => Some(FinishReason::Stop),
            (None, Some(Finish::Eos)) => Some(FinishReason::Eos),
            (None, Some(Finish::Length)) => Some(FinishReason::Length),
            (None, None) => None,
        };
        // What may be the beginning of a stop string waits, so that none of it is ever sent.
        let until = if reason.is_some() {
            self.text.len()
        } else {
            self.text.len() - self.held_back()
        };
        // What was sent cannot be taken back, where a stop string begins in it.
        let until = until.max(self.sent);
        let message = GeneratedToken {
            id: token.id,
            text: self.text[self.sent..until].to_owned(),
            logprob: token.logprob,
            top: with_text(text, token.top)?,
        };
        self.sent = until;
        let mut events = vec![GenerateEvent::Token(message)];
        if let Some(reason) = reason {
            let finished = self.finished(compiled, &token.effects, reason)?;
            // The last token comes first, and then the end.
            events.push(GenerateEvent::Finished(finished));
        }
        Ok(events)
    }

    /// Records the time since the last token.
    fn measure(&mut self, timing: Timing) {
        let elapsed = timing.elapsed;
        if self.ids.is_empty() {
            self.first_token = elapsed.as_secs_f64();
            histogram!(names::TIME_TO_FIRST_TOKEN).record(elapsed);
        } else {
            let since = elapsed.saturating_sub(self.timing.elapsed);
            histogram!(names::INTER_TOKEN_LATENCY).record(since);
        }
        self.timing = timing;
    }

    /// Returns where the first stop string begins.
    fn stop_at(&self) -> Option<usize> {
        // In all of the text: one may have begun several tokens ago.
        self.stops
            .iter()
            .filter_map(|s| self.text.find(s.as_str()))
            // The first in the text, whichever was listed first.
            .min()
    }

    /// Returns the bytes at the end that may be the beginning of a stop string.
    fn held_back(&self) -> usize {
        let begun = |stop: &String| begun(&self.text, stop);
        self.stops.iter().filter_map(begun).max().unwrap_or(0)
    }

    fn finished(
        &mut self,
        compiled: &CompiledRequest,
        effects: &[intervention::Effect],
        reason: FinishReason,
    ) -> Result<Finished, Error> {
        compiled.check_fired(effects)?;
        // Of ids, not of text: different tokens can read alike.
        let output: Vec<u8> = self.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let output = blake3::hash(&output);
        // Taken: an answer has one end, and its record one owner.
        let recorded = std::mem::take(&mut self.recorded);
        Ok(Finished {
            reason,
            text: self.text.clone(),
            logprob: self.logprob,
            usage: compiled.usage(self.ids.len(), self.timing, self.first_token),
            provenance: recorded.close(compiled, &self.prefilled, effects, output),
        })
    }
}

/// Returns how many bytes of `stop`, not all of them, stand at the end of `text`.
fn begun(text: &str, stop: &str) -> Option<usize> {
    // No more than there is of the text.
    (1..stop.len().min(text.len() + 1))
        // The longest beginning, which holds back the most.
        .rev()
        .find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n]))
}

/// Returns tokens with their texts.
pub(super) fn with_text(text: &Text, tokens: Vec<(u32, f64)>) -> Result<Vec<TokenLogprob>, Error> {
    let mut found = Vec::with_capacity(tokens.len());
    for (id, logprob) in tokens {
        let text = text.decode(&[id])?;
        found.push(TokenLogprob { id, text, logprob });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_strings_are_bounded() {
        let refused = |stops: &[&str]| {
            let stops: Vec<String> = stops.iter().map(|&stop| stop.into()).collect();
            check_stops(&stops).unwrap_err().to_string()
        };
        assert!(refused(&["a", ""]).starts_with("stop[1]: empty"));
        let long = "\n".repeat(1025);
        let message = "stop[1]: 1025 bytes; at most 1024 are taken";
        assert_eq!(refused(&["a", &long]), message);
        assert!(refused(&["a"; 9]).starts_with("stop: 9 strings; at most 8"));
        assert!(check_stops(&[long[..1024].to_owned()]).is_ok());
    }

    #[test]
    fn what_may_begin_a_stop_string_is_held_back() {
        assert_eq!(begun("a<", "<end>"), Some(1));
        assert_eq!(begun("<end", "<end>"), Some(4));
        assert_eq!(begun("<e", "<e<end>"), Some(2));
        assert_eq!(begun("end>", "<end>"), None);
        assert_eq!(begun("", "<end>"), None);
    }
}
