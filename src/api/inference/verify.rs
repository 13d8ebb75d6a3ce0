//! Verify on the wire: a record, and the request that it holds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{attribute, capture, generate, score, trace, unread};
use crate::api::{Error, State, convert, v1};
use crate::field_path::shown;
use crate::pipeline::{self, Recorded, Replay, RequestContext, VerifyRequest};

/// Runs a record again.
pub(super) async fn verify(
    state: &State,
    mut context: RequestContext,
    message: v1::VerifyRequest,
) -> Result<v1::VerifyResponse, Error> {
    let record = message
        .provenance
        .ok_or_else(|| Error::invalid("provenance", "unset; a record is needed"))?;
    // As canonical JSON, of which its digest is taken.
    let record = serde_json::to_value(&record).and_then(Recorded::from_json);
    let mut record = record.map_err(|e| pipeline::Error::Record(e.to_string()))?;
    unread::leave_out(&mut record);
    let model = state.models.resident(&context, &record.model)?;
    // Templates may write the date: they are told that of the first run.
    if !record.template_time.is_empty() {
        let wrong = |e: jiff::Error| pipeline::Error::Record(format!("template_time: {e}"));
        context.time = Some(record.template_time.parse().map_err(wrong)?);
    }
    // Not failed with here: of a record of another model the request need not convert.
    let replay = replay(state, &context, &record.request, message.images);
    let request = VerifyRequest {
        model,
        record,
        replay,
    };
    convert::verified(state.runtime.verify(request).await?)
}

/// Returns the request that a record holds, its pictures put back.
fn replay(
    state: &State,
    context: &RequestContext,
    recorded: &str,
    images: Vec<v1::Image>,
) -> Result<Replay, pipeline::Error> {
    let (method, request) = method_of(recorded)?;
    let pictures = by_handle(images);
    let bad = |e: serde_json::Error| pipeline::Error::Record(format!("request: {e}"));
    // As messages, so that a record of an older server reads as its client does.
    let replay = match method.as_str() {
        "Generate" => {
            let mut message: v1::GenerateRequest = serde_json::from_value(request).map_err(bad)?;
            put_back(&mut message.prompt, &pictures);
            generate::request(state, context, message).map(Replay::Generate)
        }
        "Score" => {
            let mut message: v1::ScoreRequest = serde_json::from_value(request).map_err(bad)?;
            put_back(&mut message.prompt, &pictures);
            score::request(state, context, message).map(Replay::Score)
        }
        "Capture" => {
            let mut message: v1::CaptureRequest = serde_json::from_value(request).map_err(bad)?;
            put_back(&mut message.prompt, &pictures);
            capture::request(state, context, message).map(Replay::Capture)
        }
        "Trace" => {
            let mut message: v1::TraceRequest = serde_json::from_value(request).map_err(bad)?;
            for input in [&mut message.clean, &mut message.corrupted]
                .into_iter()
                .flatten()
            {
                put_back(&mut input.prompt, &pictures);
            }
            trace::request(state, context, message).map(|trace| Replay::Trace(Box::new(trace)))
        }
        "Attribute" => {
            let mut message: v1::AttributeRequest = serde_json::from_value(request).map_err(bad)?;
            put_back(&mut message.prompt, &pictures);
            if let Some(source) = &mut message.source {
                put_back(&mut source.prompt, &pictures);
            }
            let request = attribute::request(state, context, message);
            request.map(|request| Replay::Attribute(Box::new(request)))
        }
        other => {
            return Err(pipeline::Error::Record(format!(
                "request: method {}; Generate, Score, Capture, Trace or Attribute is needed",
                shown(other)
            )));
        }
    };
    replay.map_err(Error::into_pipeline)
}

/// Parts `{"METHOD": request}`.
fn method_of(recorded: &str) -> Result<(String, Value), pipeline::Error> {
    let json = serde_json::from_str(recorded);
    let json = json.map_err(|e| pipeline::Error::Record(format!("request: {e}")))?;
    if let Value::Object(fields) = json
        && fields.len() == 1
        && let Some(field) = fields.into_iter().next()
    {
        return Ok(field);
    }
    let needed = "one method with its request is needed, as a record has it";
    Err(pipeline::Error::Record(format!("request: {needed}")))
}

/// Returns pictures by the handles that records name them by.
fn by_handle(images: Vec<v1::Image>) -> BTreeMap<String, v1::Image> {
    let mut found = BTreeMap::new();
    for image in images {
        if let Some(v1::image::Source::Data(data)) = &image.source {
            found.insert(pipeline::digest(data), image);
        }
    }
    found
}

/// Puts the bytes of pictures where their handles stand; what was not sent may be kept.
fn put_back(prompt: &mut Option<v1::Prompt>, pictures: &BTreeMap<String, v1::Image>) {
    let Some(prompt) = prompt else { return };
    let parts = prompt.messages.iter_mut().flat_map(|m| &mut m.parts);
    let inside = parts.filter_map(|part| match &mut part.part {
        Some(v1::chat_part::Part::Image(image)) => Some(image),
        _ => None,
    });
    for image in prompt.images.iter_mut().chain(inside) {
        if let Some(v1::image::Source::Handle(handle)) = &image.source
            // A handle of which nothing was sent stays: the server may have its picture still.
            && let Some(sent) = pictures.get(handle)
        {
            *image = sent.clone();
        }
    }
}
