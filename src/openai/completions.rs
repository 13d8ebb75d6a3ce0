//! `/v1/completions`: prompts as the tokenizer takes them, continued, or echoed with the
//! log-probability of each of their own tokens, which is what likelihood tools ask for.

use std::ops::Range;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, finish_reason, usage};
use super::body::{Fields, invalid};
use super::door::Door;
use super::logprobs::CompletionLogprobs;
use super::sampling::Output;
use super::stream::{self, Chunks};
use crate::api::{self, Error};
use crate::model::Model;
use crate::pipeline::{
    CaptureEvent, CaptureRequest, Finished, GenerateEvent, GenerateRequest, GeneratedToken,
    Interventions, MAX_TOP_LOGPROBS, MultiImage, PromptInput, PromptText, RequestContext,
    ScoreRequest, TokenLogprob,
};

/// Prompts of one request.
const MAX_PROMPTS: usize = 128;
/// Tokens of an answer where nothing is said, as OpenAI has it.
const DEFAULT_MAX_TOKENS: u32 = 16;

/// Continues prompts.
pub(super) async fn create(
    State(door): State<Arc<Door>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answered = answer(&door, &context, &headers, body).await;
    answered.unwrap_or_else(|error| door.failed(&context, &error))
}

/// A prompt: one text, or several that are continued alike.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    One(String),
    Many(Vec<String>),
    /// Token ids, or what is no prompt at all.
    // Last: serde takes the first variant that fits, and this one fits all.
    Other(serde::de::IgnoredAny),
}

/// A body, read.
struct CompletionBody {
    model: String,
    prompts: Vec<String>,
    echo: bool,
    /// The likeliest tokens to list; `None`: no log-probabilities.
    logprobs: Option<u32>,
    max_tokens: u32,
    output: Output,
    interventions: Vec<Value>,
    sample_key: String,
}

impl CompletionBody {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::parse(body)?;
        let prompts = match fields.require("prompt")? {
            Prompt::One(text) => vec![text],
            Prompt::Many(texts) if (1..=MAX_PROMPTS).contains(&texts.len()) => texts,
            Prompt::Many(texts) => {
                let message = format!("{} given; 1 to {MAX_PROMPTS} are taken", texts.len());
                return Err(invalid("prompt", message));
            }
            Prompt::Other(_) => {
                let message = "neither a text nor a list of texts; token ids are not taken";
                return Err(invalid("prompt", message));
            }
        };
        let echo = fields.take("echo")?.unwrap_or(false);
        let output = Output::take(&mut fields)?;
        let max_tokens = output.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        if max_tokens == 0 && !echo {
            let message = "0 without echo: true; there would be nothing to answer";
            return Err(invalid("max_tokens", message));
        }
        if output.stream && (echo || prompts.len() > 1) {
            let message = "true; one prompt without echo can be streamed";
            return Err(invalid("stream", message));
        }
        let asked = Self {
            model: fields.take("model")?.unwrap_or_default(),
            prompts,
            echo,
            logprobs: logprobs(&mut fields)?,
            max_tokens,
            output,
            interventions: fields.take("interventions")?.unwrap_or_default(),
            sample_key: fields.take("sample_key")?.unwrap_or_default(),
        };
        fields.finish()?;
        Ok(asked)
    }
}

/// Takes how many likeliest tokens are listed; `None`: no log-probabilities.
fn logprobs(fields: &mut Fields) -> Result<Option<u32>, Error> {
    let top = fields.take("logprobs")?;
    // Here, since the requests that it becomes have other names for it, and other bounds.
    match top {
        Some(top) if top > MAX_TOP_LOGPROBS => {
            let message = format!("{top} is not in 0 to {MAX_TOP_LOGPROBS}");
            Err(invalid("logprobs", message))
        }
        top => Ok(top),
    }
}

async fn answer(
    door: &Arc<Door>,
    context: &RequestContext,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Error> {
    let body = Door::json(headers, body)?;
    let mut asked = door.parse(context, body, CompletionBody::parse).await?;
    let own = std::mem::take(&mut asked.interventions);
    let (model, interventions) = door.model_and_interventions(context, &asked.model, own)?;
    let completion = Completion {
        context,
        asked: &asked,
        model,
        interventions,
    };
    if asked.output.stream {
        let request = completion.generate(&asked.prompts[0]);
        let generation = door.state.generate(request).await?;
        let writer = Writer {
            answer: Answer::new(context, asked.model.clone(), &generation),
            model: completion.model.clone(),
            logprobs: asked.logprobs.map(|top| top as usize),
            include_usage: asked.output.include_usage,
        };
        return Ok(stream::respond(door, context, generation, writer));
    }
    completion.whole(door).await
}

/// Holds what all prompts of a request share.
struct Completion<'a> {
    context: &'a RequestContext,
    asked: &'a CompletionBody,
    model: Arc<Model>,
    interventions: Interventions,
}

/// One prompt, answered.
#[derive(Default)]
struct Choice {
    text: String,
    logprobs: CompletionLogprobs,
    finish_reason: &'static str,
    prompt_tokens: usize,
    completion_tokens: usize,
    max_tokens: usize,
    records: Vec<String>,
}

impl Completion<'_> {
    async fn whole(&self, door: &Door) -> Result<Response, Error> {
        let prompts = self.asked.prompts.iter();
        // Together, so that they share batches.
        let answers = futures::future::try_join_all(prompts.map(|prompt| self.one(door, prompt)));
        let answers = answers.await?;
        let mut choices = Vec::with_capacity(answers.len());
        let (mut read, mut written, mut records) = (0, 0, Vec::new());
        // The least of all: beside the longest prompt there is the least room.
        let max_tokens = answers.iter().map(|choice| choice.max_tokens).min();
        for (index, choice) in answers.into_iter().enumerate() {
            read += choice.prompt_tokens;
            written += choice.completion_tokens;
            records.extend(choice.records);
            let logprobs = self.asked.logprobs.map(|_| choice.logprobs);
            choices.push(json!({
                "text": choice.text,
                "index": index,
                "logprobs": logprobs,
                "finish_reason": choice.finish_reason,
            }));
        }
        // 0 is not told: `scotoma` below says it for all prompts.
        let answer = Answer::of(self.context, self.asked.model.clone(), 0);
        let mut object = answer.object("cmpl", "text_completion", json!(choices));
        object["usage"] = usage(read, written);
        object["scotoma"] = json!({"max_tokens": max_tokens, "records": records});
        Ok(Door::ok(&object))
    }

    /// Answers one prompt.
    async fn one(&self, door: &Door, prompt: &str) -> Result<Choice, Error> {
        let mut choice = Choice {
            finish_reason: "length",
            ..Choice::default()
        };
        if self.asked.echo {
            prompt.clone_into(&mut choice.text);
            if self.asked.logprobs.is_some() {
                self.echo(door, prompt, &mut choice).await?;
            } else if self.asked.max_tokens == 0 {
                // Nothing runs that would count them.
                let places = door.state.places(self.context, &self.model, prompt);
                choice.prompt_tokens = places.await?.len();
            }
        }
        if self.asked.max_tokens > 0 {
            self.continued(door, prompt, &mut choice).await?;
        }
        Ok(choice)
    }

    /// Adds what the model writes after a prompt.
    async fn continued(&self, door: &Door, prompt: &str, choice: &mut Choice) -> Result<(), Error> {
        let mut generation = door.state.generate(self.generate(prompt)).await?;
        choice.max_tokens = generation.max_tokens();
        loop {
            for event in generation.next().await? {
                match event {
                    GenerateEvent::Token(token) => {
                        // The token's own text, which offsets count.
                        let text = self.model.text.decode(&[token.id])?;
                        let top = &token.top[..];
                        choice.logprobs.push(&text, Some(token.logprob), Some(top));
                    }
                    GenerateEvent::Finished(finished) => {
                        choice.text.push_str(&finished.text);
                        choice.finish_reason = finish_reason(finished.reason);
                        choice.prompt_tokens = finished.usage.prompt_tokens;
                        choice.completion_tokens = finished.usage.generation_tokens;
                        let record = door.keep_record(self.context, &finished.provenance);
                        choice.records.push(record);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Adds the log-probabilities of a prompt's own tokens.
    async fn echo(&self, door: &Door, prompt: &str, choice: &mut Choice) -> Result<(), Error> {
        let places = door.state.places(self.context, &self.model, prompt);
        let places = places.await?;
        // What the tokenizer adds stands for no bytes of the prompt.
        let special = places.iter().take_while(|(_, at)| at.is_empty()).count();
        let words = &places[special..];
        // Nothing stands before the first token of a model that begins with none of its own.
        let unscored = usize::from(special == 0).min(words.len());
        let begin = words.get(unscored).map_or(prompt.len(), |(_, at)| at.start);
        choice.prompt_tokens = places.len();
        for (_, at) in &words[..unscored] {
            // OpenAI has null for a token that nothing stands before.
            choice.logprobs.push(part(prompt, at), None, None);
        }
        if begin == prompt.len() {
            return Ok(());
        }
        let message = "its tokens cannot be told apart at the beginning; score it by Score";
        let cannot = || invalid("prompt", message);
        // In the middle of a character, whose bytes are several tokens, there is no way to cut.
        let (before, rest) = prompt.split_at_checked(begin).ok_or_else(cannot)?;
        let scored = door.state.score(ScoreRequest {
            context: self.context.clone(),
            model: self.model.clone(),
            prompt: raw(before),
            interventions: self.interventions.clone(),
            continuations: vec![rest.to_owned()],
            sample_key: self.asked.sample_key.clone(),
        });
        let scored = scored.await?;
        // Counted with the special tokens, as rows of the capture are.
        let top = self.likeliest(door, prompt, special + unscored).await?;
        let tokens = scored.scores.iter().flat_map(|score| &score.tokens);
        let words = &words[unscored..];
        let tokens: Vec<&TokenLogprob> = tokens.collect();
        // The rest alone may be parted into other tokens than within the whole.
        if tokens.len() != words.len() {
            return Err(cannot());
        }
        for (i, ((_, at), token)) in words.iter().zip(tokens).enumerate() {
            let top = top.get(i).map(Vec::as_slice);
            choice
                .logprobs
                .push(part(prompt, at), Some(token.logprob), top);
        }
        let record = door.keep_record(self.context, &scored.provenance);
        choice.records.push(record);
        Ok(())
    }

    /// Returns the likeliest tokens at each place of a prompt from `first` on, likeliest first: what
    /// the last layer's residual stream, read through the final norm and the unembedding, says of
    /// the place after it.
    async fn likeliest(
        &self,
        door: &Door,
        prompt: &str,
        first: usize,
    ) -> Result<Vec<Vec<TokenLogprob>>, Error> {
        // `logprobs: 0` asks for the tokens' own.
        let Some(top) = self.asked.logprobs.filter(|&top| top > 0) else {
            return Ok(Vec::new());
        };
        let last = self
            .model
            .decoder
            .config()
            .num_hidden_layers
            .saturating_sub(1);
        // Behind the last layer the lens is the model's own head.
        let target = json!([{
            "target": {"point": "language_model.blocks.{l}.hook_resid_post", "layers": [last]},
            "reduction": "REDUCTION_TOP_TOKENS",
            "top": top,
        }]);
        let run = door.state.capture(CaptureRequest {
            context: self.context.clone(),
            model: self.model.clone(),
            prompt: raw(prompt),
            interventions: self.interventions.clone(),
            targets: api::capture_targets(target)?,
            // The reduction answers with tokens and their log-probabilities, not with values.
            dtype: None,
            // The prompt alone is read.
            max_tokens: 0,
            max_bytes: 0,
            sample_key: self.asked.sample_key.clone(),
        });
        let mut run = run.await?;
        let mut rows = Vec::new();
        loop {
            match run.next(&door.state).await? {
                CaptureEvent::Activation(found) => rows.extend(found.top),
                CaptureEvent::Finished(_) => {
                    // What is said after the token before is said of this one.
                    return Ok(rows.split_off(first.saturating_sub(1).min(rows.len())));
                }
            }
        }
    }

    fn generate(&self, prompt: &str) -> GenerateRequest {
        GenerateRequest {
            context: self.context.clone(),
            model: self.model.clone(),
            prompt: raw(prompt),
            interventions: self.interventions.clone(),
            sampling: self.asked.output.sampling.clone(),
            max_tokens: self.asked.max_tokens,
            stop: self.asked.output.stop.clone(),
            top_logprobs: self.asked.logprobs.unwrap_or(0),
            sample_key: self.asked.sample_key.clone(),
        }
    }
}

/// Returns the text of a token; empty where it stands for a part of a character.
fn part<'a>(prompt: &'a str, at: &Range<usize>) -> &'a str {
    prompt.get(at.clone()).unwrap_or_default()
}

fn raw(text: &str) -> PromptInput {
    PromptInput {
        text: PromptText::Raw(text.to_owned()),
        images: Vec::new(),
        multi_image: MultiImage::Unspecified,
    }
}

/// Writes the chunks of one answer.
struct Writer {
    answer: Answer,
    model: Arc<Model>,
    logprobs: Option<usize>,
    include_usage: bool,
}

impl Writer {
    fn chunk(
        &self,
        text: &str,
        logprobs: Option<CompletionLogprobs>,
        reason: Option<&str>,
    ) -> Value {
        let choices = json!([{
            "text": text,
            "index": 0,
            "logprobs": logprobs,
            "finish_reason": reason,
        }]);
        self.answer.object("cmpl", "text_completion", choices)
    }
}

impl Chunks for Writer {
    fn first(&self) -> Option<Value> {
        // A chat begins with a role, a completion with its first token.
        None
    }

    fn token(&mut self, token: &GeneratedToken) -> Result<Value, Error> {
        let mut logprobs = None;
        if self.logprobs.is_some() {
            let text = self.model.text.decode(&[token.id])?;
            let mut one = CompletionLogprobs::default();
            one.push(&text, Some(token.logprob), Some(&token.top));
            logprobs = Some(one);
        }
        Ok(self.chunk(&token.text, logprobs, None))
    }

    fn last(&self, finished: &Finished, record: &str) -> Vec<Value> {
        let last = self.chunk("", None, Some(finish_reason(finished.reason)));
        self.answer.end(last, finished, record, self.include_usage)
    }
}
