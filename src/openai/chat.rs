//! `/v1/chat/completions`: one answer to a conversation, whole or as a stream.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{Answer, finish_reason, usage};
use super::body::{Fields, invalid};
use super::door::Door;
use super::images::{self, ImageHosts, ImageUrl, Picture};
use super::logprobs::ChatLogprob;
use super::sampling::Output;
use super::stream::{self, Chunks};
use crate::api::Error;
use crate::field_path::FieldPath;
use crate::model::{Message, MessagePart, Model, Role};
use crate::pipeline::{
    Finished, GenerateEvent, GenerateRequest, GeneratedToken, Generation, MultiImage, PromptInput,
    PromptText, RequestContext,
};

/// Answers a conversation.
pub(super) async fn create(
    State(door): State<Arc<Door>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answered = answer(&door, &context, &headers, body).await;
    answered.unwrap_or_else(|error| door.failed(&context, &error))
}

async fn answer(
    door: &Arc<Door>,
    context: &RequestContext,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Error> {
    let body = Door::json(headers, body)?;
    let hosts = door.config.image_hosts.clone();
    let read = move |body: &[u8]| ChatBody::parse(body, &hosts);
    let asked = door.parse(context, body, read).await?;
    let (model, interventions) =
        door.model_and_interventions(context, &asked.model, asked.interventions)?;
    // Held until the pictures are prepared.
    let images = images::collect(&door.state.runtime, &door.fetches, context, asked.pictures);
    let (images, _room) = images.await?;
    let request = GenerateRequest {
        context: context.clone(),
        model: model.clone(),
        prompt: PromptInput {
            text: PromptText::Messages(asked.messages),
            images,
            multi_image: MultiImage::Unspecified,
        },
        interventions,
        sampling: asked.output.sampling,
        // 0: as generation_config.json says.
        max_tokens: asked.output.max_tokens.unwrap_or(0),
        stop: asked.output.stop,
        top_logprobs: asked.top_logprobs,
        sample_key: asked.sample_key,
    };
    let generation = door.state.generate(request).await?;
    let writer = Writer {
        answer: Answer::new(context, asked.model, &generation),
        model,
        logprobs: asked.logprobs.then_some(asked.top_logprobs as usize),
        include_usage: asked.output.include_usage,
    };
    if asked.output.stream {
        return Ok(stream::respond(door, context, generation, writer));
    }
    whole(door, context, generation, &writer).await
}

/// Waits for the end of an answer and returns it.
async fn whole(
    door: &Door,
    context: &RequestContext,
    mut generation: Generation,
    writer: &Writer,
) -> Result<Response, Error> {
    let mut logprobs = writer.logprobs.map(|_| Vec::new());
    loop {
        for event in generation.next().await? {
            match event {
                GenerateEvent::Token(token) => {
                    if let Some(all) = &mut logprobs {
                        all.extend(writer.logprob(&token)?);
                    }
                }
                GenerateEvent::Finished(finished) => {
                    let record = door.keep_record(context, &finished.provenance);
                    return Ok(Door::ok(&writer.whole(&finished, logprobs, &record)));
                }
            }
        }
    }
}

/// A body, read.
struct ChatBody {
    model: String,
    messages: Vec<Message>,
    pictures: Vec<Picture>,
    output: Output,
    logprobs: bool,
    top_logprobs: u32,
    interventions: Vec<Value>,
    sample_key: String,
}

impl ChatBody {
    fn parse(body: &[u8], hosts: &ImageHosts) -> Result<Self, Error> {
        let mut fields = Fields::parse(body)?;
        let list: Vec<Value> = fields.require("messages")?;
        let (logprobs, top_logprobs) = logprobs(&mut fields)?;
        let output = Output::take(&mut fields)?;
        // 0 is what the pipeline takes for an open limit.
        if output.max_tokens == Some(0) {
            return Err(invalid("max_tokens", "0; an answer has at least one token"));
        }
        let model = fields.take("model")?.unwrap_or_default();
        let interventions = fields.take("interventions")?.unwrap_or_default();
        let sample_key = fields.take("sample_key")?.unwrap_or_default();
        // Before the messages: data URLs are not decoded for a body that is refused anyway.
        fields.finish()?;
        let (messages, pictures) = conversation(hosts, list)?;
        Ok(Self {
            model,
            messages,
            pictures,
            output,
            logprobs,
            top_logprobs,
            interventions,
            sample_key,
        })
    }
}

/// Takes whether log-probabilities are asked for, and how many at each place.
fn logprobs(fields: &mut Fields) -> Result<(bool, u32), Error> {
    let logprobs = fields.take("logprobs")?.unwrap_or(false);
    let top: u32 = fields.take("top_logprobs")?.unwrap_or(0);
    if top > 0 && !logprobs {
        let message = format!("{top} without logprobs: true, which they are a part of");
        return Err(invalid("top_logprobs", message));
    }
    Ok((logprobs, top))
}

/// Reads messages, whose pictures are taken out in order.
fn conversation(
    hosts: &ImageHosts,
    list: Vec<Value>,
) -> Result<(Vec<Message>, Vec<Picture>), Error> {
    if list.is_empty() {
        return Err(invalid("messages", "empty; at least one message is needed"));
    }
    let (mut messages, mut pictures) = (Vec::with_capacity(list.len()), Vec::new());
    for (i, value) in list.into_iter().enumerate() {
        let at = FieldPath::from("messages").index(i);
        let mut fields = Fields::of(at.clone(), value)?;
        let role: String = fields.require("role")?;
        let role = self::role(&at, &role)?;
        let content: Value = fields.require("content")?;
        fields.allow("name", &[])?;
        // An answer of this API that is sent back has these two, empty.
        fields.allow("refusal", &[])?;
        fields.allow("tool_calls", &[json!([])])?;
        fields.finish()?;
        let parts = parts(hosts, at.join("content"), content, &mut pictures)?;
        messages.push(Message { role, parts });
    }
    Ok((messages, pictures))
}

fn role(at: &FieldPath, role: &str) -> Result<Role, Error> {
    match role {
        // Newer models of OpenAI's call it so.
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        other => Err(invalid(
            at.clone().join("role"),
            format!("{other:?}; system, developer, user and assistant are known"),
        )),
    }
}

/// Reads the content of a message: a text, or a list of texts and pictures.
fn parts(
    hosts: &ImageHosts,
    at: FieldPath,
    content: Value,
    pictures: &mut Vec<Picture>,
) -> Result<Vec<MessagePart>, Error> {
    let list = match content {
        Value::String(text) => return Ok(vec![MessagePart::Text(text)]),
        Value::Array(list) => list,
        _ => return Err(invalid(at, "neither a text nor a list of parts")),
    };
    let mut parts = Vec::with_capacity(list.len());
    for (i, value) in list.into_iter().enumerate() {
        let at = at.clone().index(i);
        let mut fields = Fields::of(at.clone(), value)?;
        let kind: String = fields.require("type")?;
        parts.push(match kind.as_str() {
            "text" => MessagePart::Text(fields.require("text")?),
            "image_url" => {
                let url: ImageUrl = fields.require("image_url")?;
                pictures.push(url.read(at.join("image_url"), hosts)?);
                MessagePart::Image
            }
            other => {
                let message = format!("{other:?}; text and image_url are known");
                return Err(invalid(at.join("type"), message));
            }
        });
        fields.finish()?;
    }
    Ok(parts)
}

/// Writes the objects of one answer.
struct Writer {
    answer: Answer,
    model: Arc<Model>,
    /// The likeliest tokens to list; `None`: no log-probabilities.
    logprobs: Option<usize>,
    include_usage: bool,
}

impl Writer {
    fn logprob(&self, token: &GeneratedToken) -> Result<Option<ChatLogprob>, Error> {
        let Some(top) = self.logprobs else {
            return Ok(None);
        };
        // The token's own text: what the answer gains may be less or more.
        let text = self.model.text.decode(&[token.id])?;
        Ok(Some(ChatLogprob::new(&text, token, top)))
    }

    fn whole(
        &self,
        finished: &Finished,
        logprobs: Option<Vec<ChatLogprob>>,
        record: &str,
    ) -> Value {
        let choices = json!([{
            "index": 0,
            "message": {"role": "assistant", "content": finished.text, "refusal": null},
            // Null where they are not asked for, as OpenAI sends it.
            "logprobs": logprobs.map(|content| json!({"content": content, "refusal": null})),
            "finish_reason": finish_reason(finished.reason),
        }]);
        let mut object = self.answer.object("chatcmpl", "chat.completion", choices);
        let taken = &finished.usage;
        object["usage"] = usage(taken.prompt_tokens, taken.generation_tokens);
        self.answer.close(&mut object, finished, record);
        object
    }

    fn chunk(&self, delta: &Value, logprobs: Option<ChatLogprob>, reason: Option<&str>) -> Value {
        let choices = json!([{
            "index": 0,
            "delta": delta,
            "logprobs": logprobs.map(|token| json!({"content": [token], "refusal": null})),
            "finish_reason": reason,
        }]);
        self.answer
            .object("chatcmpl", "chat.completion.chunk", choices)
    }
}

impl Chunks for Writer {
    fn first(&self) -> Option<Value> {
        // OpenAI's streams begin so: a role, and no text yet.
        Some(self.chunk(&json!({"role": "assistant", "content": ""}), None, None))
    }

    fn token(&mut self, token: &GeneratedToken) -> Result<Value, Error> {
        let logprobs = self.logprob(token)?;
        Ok(self.chunk(&json!({"content": token.text}), logprobs, None))
    }

    fn last(&self, finished: &Finished, record: &str) -> Vec<Value> {
        let reason = finish_reason(finished.reason);
        let last = self.chunk(&json!({}), None, Some(reason));
        self.answer.end(last, finished, record, self.include_usage)
    }
}
