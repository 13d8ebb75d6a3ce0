//! Requests in the contract's canonical JSON, as records hold them: every seed filled in, pictures
//! by their handles, defaults left out.

use candle_core::DType;
use serde_json::{Map, Value, json};

use super::attribute::AttributeRequest;
use super::interventions::Interventions;
use super::request::{
    CaptureRequest, GenerateRequest, MultiImage, PromptInput, PromptText, ScoreRequest,
};
use super::trace::TraceRequest;
use crate::model::{Message, MessagePart, Role};

impl GenerateRequest {
    /// Returns `{"Generate": request}` in canonical JSON, as records hold it, with `interventions` in
    /// place of its own and pictures by their `handles`.
    pub fn canonical(&self, interventions: &Interventions, handles: &[String]) -> String {
        let mut fields = common(
            &self.model.name,
            (&self.prompt, handles),
            interventions,
            &self.sample_key,
        );
        // As a client's message has it: the field is there even where all in it is open.
        insert(&mut fields, "sampling", json!(self.sampling));
        insert(&mut fields, "maxTokens", json!(self.max_tokens));
        insert(&mut fields, "stop", json!(self.stop));
        insert(&mut fields, "topLogprobs", json!(self.top_logprobs));
        json!({ "Generate": fields }).to_string()
    }
}

impl ScoreRequest {
    /// Returns `{"Score": request}` in canonical JSON, as records hold it, with `interventions` in
    /// place of its own and pictures by their `handles`.
    pub fn canonical(&self, interventions: &Interventions, handles: &[String]) -> String {
        let mut fields = common(
            &self.model.name,
            (&self.prompt, handles),
            interventions,
            &self.sample_key,
        );
        insert(&mut fields, "continuations", json!(self.continuations));
        json!({ "Score": fields }).to_string()
    }
}

impl CaptureRequest {
    /// Returns `{"Capture": request}` in canonical JSON, as records hold it, with `interventions` in
    /// place of its own and pictures by their `handles`.
    pub fn canonical(&self, interventions: &Interventions, handles: &[String]) -> String {
        let mut fields = common(
            &self.model.name,
            (&self.prompt, handles),
            interventions,
            &self.sample_key,
        );
        let targets: Vec<&Value> = self.targets.iter().map(|t| &t.canonical).collect();
        insert(&mut fields, "targets", json!(targets));
        // Unset and f32 send the same bytes, and are different requests all the same.
        let dtype = self.dtype.map_or("", |dtype| match dtype {
            DType::BF16 => "DATA_TYPE_BF16",
            DType::F16 => "DATA_TYPE_F16",
            _ => "DATA_TYPE_F32",
        });
        insert(&mut fields, "dtype", json!(dtype));
        insert(&mut fields, "maxTokens", json!(self.max_tokens));
        // Text, as canonical JSON has 64 bits; so its default is not seen by `insert`.
        if self.max_bytes > 0 {
            insert(&mut fields, "maxBytes", json!(self.max_bytes.to_string()));
        }
        json!({ "Capture": fields }).to_string()
    }
}

impl TraceRequest {
    /// Returns `{"Trace": request}` in canonical JSON, as records hold it, pictures by the handles of
    /// each input.
    pub fn canonical(&self, clean: &[String], corrupted: &[String]) -> String {
        let mut fields = match &self.canonical {
            Value::Object(fields) => fields.clone(),
            _ => Map::new(),
        };
        insert(&mut fields, "model", json!(self.model.name));
        for (name, input, handles) in [
            ("clean", &self.clean, clean),
            ("corrupted", &self.corrupted, corrupted),
        ] {
            let Some(prompt) = &input.prompt else {
                continue;
            };
            let own = fields.entry(name).or_insert_with(|| json!({}));
            // Whatever stood there: prompts are spelled with handles in place of bytes.
            own["prompt"] = prompt_json(prompt, handles);
        }
        json!({ "Trace": fields }).to_string()
    }
}

impl AttributeRequest {
    /// Returns `{"Attribute": request}` in canonical JSON, as records hold it, with the interventions
    /// and the pictures' handles of the request, and of its source.
    pub fn canonical(
        &self,
        (interventions, handles): (&Interventions, &[String]),
        source: Option<(&Interventions, &[String])>,
    ) -> String {
        let mut fields = common(
            &self.model.name,
            (&self.prompt, handles),
            interventions,
            &self.sample_key,
        );
        if let Value::Object(own) = &self.canonical {
            fields.extend(own.clone());
        }
        if let (Some(own), Some((interventions, handles))) = (&self.source, source) {
            let mut other = Map::new();
            if let Some(prompt) = &own.prompt {
                other.insert("prompt".into(), prompt_json(prompt, handles));
            }
            insert(
                &mut other,
                "interventions",
                json!(interventions.canonical()),
            );
            fields.insert("source".into(), Value::Object(other));
        }
        json!({ "Attribute": fields }).to_string()
    }
}

/// Returns the fields that all requests have.
fn common(
    model: &str,
    (prompt, handles): (&PromptInput, &[String]),
    interventions: &Interventions,
    sample_key: &str,
) -> Map<String, Value> {
    let mut fields = Map::new();
    insert(&mut fields, "model", json!(model));
    fields.insert("prompt".into(), prompt_json(prompt, handles));
    let interventions = interventions.canonical();
    insert(&mut fields, "interventions", json!(interventions));
    insert(&mut fields, "sampleKey", json!(sample_key));
    fields
}

/// Adds a field unless it has its default, which canonical JSON leaves out.
fn insert(fields: &mut Map<String, Value>, name: &str, value: Value) {
    let is_default = match &value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        // A message that was sent is spelled even where all in it is open.
        Value::Object(_) => false,
    };
    if !is_default {
        fields.insert(name.into(), value);
    }
}

fn prompt_json(prompt: &PromptInput, handles: &[String]) -> Value {
    let mut fields = Map::new();
    match &prompt.text {
        PromptText::Text(text) => insert(&mut fields, "text", json!(text)),
        PromptText::Raw(text) => {
            insert(&mut fields, "text", json!(text));
            insert(&mut fields, "raw", json!(true));
        }
        PromptText::Messages(messages) => {
            // In order: the picture parts of all messages are the request's images.
            let mut images = handles.iter();
            let messages = messages.iter().map(|m| message_json(m, &mut images));
            let messages: Vec<Value> = messages.collect();
            insert(&mut fields, "messages", json!(messages));
        }
    }
    // In messages they are parts, where the contract has no list of them.
    if !matches!(prompt.text, PromptText::Messages(_)) {
        let images = handles.iter().map(|handle| image_json(handle));
        let images: Vec<Value> = images.collect();
        insert(&mut fields, "images", json!(images));
    }
    let multi_image = match prompt.multi_image {
        MultiImage::Unspecified => "",
        MultiImage::Padded => "MULTI_IMAGE_PADDED",
        MultiImage::Tiled => "MULTI_IMAGE_TILED",
    };
    insert(&mut fields, "multiImage", json!(multi_image));
    Value::Object(fields)
}

fn message_json<'a>(message: &Message, images: &mut impl Iterator<Item = &'a String>) -> Value {
    let role = match message.role {
        Role::System => "ROLE_SYSTEM",
        Role::User => "ROLE_USER",
        Role::Assistant => "ROLE_ASSISTANT",
    };
    let mut parts = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        parts.push(match part {
            MessagePart::Text(text) => json!({ "text": text }),
            MessagePart::Image => {
                json!({ "image": images.next().map(|handle| image_json(handle)) })
            }
        });
    }
    json!({ "role": role, "parts": parts })
}

fn image_json(handle: &str) -> Value {
    json!({ "handle": handle })
}
