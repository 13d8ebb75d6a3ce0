//! Parts of requests, from messages to the pipeline's types. Seeds that a message leaves open are
//! drawn here.

use super::capture::captures;
use super::values::dtype;
use crate::api::{Error, v1};
use crate::field_path::FieldPath;
use crate::intervention::Seeds;
use crate::model::{Message, MessagePart, Role};
use crate::pipeline::{CaptureSpec, Image, MultiImage, PromptInput, PromptText, SamplingParams};
use candle_core::DType;

/// Converts a prompt, which is text with images, or messages.
pub(in crate::api) fn prompt(message: Option<v1::Prompt>) -> Result<PromptInput, Error> {
    let message = message.ok_or_else(|| Error::invalid("prompt", "unset"))?;
    check_kind(&message)?;
    let multi_image = multi_image("prompt.multi_image", message.multi_image)?;
    let (text, images) = if message.messages.is_empty() {
        let text = if message.raw {
            PromptText::Raw(message.text)
        } else {
            PromptText::Text(message.text)
        };
        let all = FieldPath::from("prompt.images");
        let sent = message.images.into_iter().enumerate();
        let images = sent.map(|(i, sent)| image(all.clone().index(i), sent));
        (text, images.collect::<Result<_, _>>()?)
    } else {
        conversation(message.messages)?
    };
    Ok(PromptInput {
        text,
        images,
        multi_image,
    })
}

/// Fails where a prompt is of two kinds.
fn check_kind(prompt: &v1::Prompt) -> Result<(), Error> {
    // An empty text counts as none: a message cannot tell the two apart.
    let given = [
        ("text", !prompt.text.is_empty()),
        ("images", !prompt.images.is_empty()),
        ("raw", prompt.raw),
    ];
    let other = given.iter().find(|(_, given)| *given);
    match other.filter(|_| !prompt.messages.is_empty()) {
        None => Ok(()),
        Some((other, _)) => {
            let message =
                format!("given beside prompt.{other}; a prompt is text with images, or messages");
            Err(Error::invalid("prompt.messages", message))
        }
    }
}

/// Converts how several pictures of one prompt are prepared.
pub(in crate::api) fn multi_image(field: &str, number: i32) -> Result<MultiImage, Error> {
    match v1::MultiImage::try_from(number) {
        Ok(v1::MultiImage::Unspecified) => Ok(MultiImage::Unspecified),
        Ok(v1::MultiImage::Padded) => Ok(MultiImage::Padded),
        Ok(v1::MultiImage::Tiled) => Ok(MultiImage::Tiled),
        Err(_) => Err(Error::invalid(
            field,
            format!("{number} is no MultiImage; 0, 1 (padded) and 2 (tiled) are"),
        )),
    }
}

/// Converts a picture; `field` is its path in the request.
pub(in crate::api) fn image(field: FieldPath, message: v1::Image) -> Result<Image, Error> {
    match message.source {
        Some(v1::image::Source::Data(bytes)) => Ok(Image::sent(field, bytes.into())),
        Some(v1::image::Source::Handle(handle)) => Ok(Image::uploaded(field, handle)),
        None => Err(Error::invalid(
            field.join("source"),
            "unset; data or handle is needed",
        )),
    }
}

/// Converts messages, whose pictures are taken out in order.
fn conversation(list: Vec<v1::ChatMessage>) -> Result<(PromptText, Vec<Image>), Error> {
    let (mut messages, mut images) = (Vec::with_capacity(list.len()), Vec::new());
    for (i, message) in list.into_iter().enumerate() {
        let at = FieldPath::from("prompt.messages").index(i);
        let role = role(&at, message.role)?;
        let mut parts = Vec::with_capacity(message.parts.len());
        for (j, part) in message.parts.into_iter().enumerate() {
            let at = at.clone().join("parts").index(j);
            parts.push(match part.part {
                Some(v1::chat_part::Part::Text(text)) => MessagePart::Text(text),
                Some(v1::chat_part::Part::Image(sent)) => {
                    images.push(image(at.join("image"), sent)?);
                    MessagePart::Image
                }
                None => {
                    let message = "unset; text or image is needed";
                    return Err(Error::invalid(at.join("part"), message));
                }
            });
        }
        messages.push(Message { role, parts });
    }
    Ok((PromptText::Messages(messages), images))
}

fn role(at: &FieldPath, number: i32) -> Result<Role, Error> {
    match v1::Role::try_from(number) {
        Ok(v1::Role::System) => Ok(Role::System),
        Ok(v1::Role::User) => Ok(Role::User),
        Ok(v1::Role::Assistant) => Ok(Role::Assistant),
        Ok(v1::Role::Unspecified) | Err(_) => {
            let valid = "ROLE_SYSTEM, ROLE_USER and ROLE_ASSISTANT are known";
            Err(Error::invalid(
                at.clone().join("role"),
                format!("{number}; {valid}"),
            ))
        }
    }
}

/// Converts sampling parameters.
pub(in crate::api) fn sampling(message: v1::Sampling) -> SamplingParams {
    SamplingParams {
        temperature: message.temperature,
        top_k: message.top_k,
        top_p: message.top_p,
        seed: message.seed,
        do_sample: message.do_sample,
        min_p: message.min_p,
        typical_p: message.typical_p,
        epsilon_cutoff: message.epsilon_cutoff,
        eta_cutoff: message.eta_cutoff,
        top_h: message.top_h,
        repetition_penalty: message.repetition_penalty,
        no_repeat_ngram_size: message.no_repeat_ngram_size,
        min_tokens: message.min_tokens,
        suppress_tokens: message.suppress_tokens,
        // Sorted, since records have one text for one request.
        logit_bias: message.logit_bias.into_iter().collect(),
        ignore_generation_config: message.ignore_generation_config,
    }
}

/// Converts the targets of a capture in canonical JSON.
pub fn capture_targets(list: serde_json::Value) -> Result<Vec<CaptureSpec>, Error> {
    let messages = serde_json::from_value(list);
    targets(messages.map_err(|e| Error::invalid("targets", e.to_string()))?)
}

/// Converts the targets of a capture, with their seeds filled in.
pub(in crate::api) fn targets(mut list: Vec<v1::CaptureTarget>) -> Result<Vec<CaptureSpec>, Error> {
    let captures = captures(&mut list, Seeds::Drawn)?;
    let mut targets = Vec::with_capacity(list.len());
    // `captures` has filled their seeds into the messages, so that records have them.
    for (capture, message) in captures.into_iter().zip(&list) {
        targets.push(CaptureSpec {
            capture,
            keep: message.keep,
            canonical: serde_json::to_value(message).map_err(Error::fault)?,
        });
    }
    Ok(targets)
}

/// Converts what values are sent as; `None` where it is not said, which records tell from f32.
pub(in crate::api) fn requested_dtype(number: i32) -> Result<Option<DType>, Error> {
    let dtype = dtype("dtype", number)?;
    Ok(Some(dtype).filter(|_| number != i32::from(v1::DataType::Unspecified)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{DType, Device};
    use serde_json::{Value, json};

    use super::*;
    use crate::api::convert::request_interventions;
    use crate::model::{Model, SHAPES, shapes};
    use crate::pipeline::{CaptureRequest, GenerateRequest, RequestContext, ScoreRequest};

    /// Returns requests whose records hold what messages are in canonical JSON.
    fn requests() -> [(&'static str, Value); 4] {
        let prompt = json!({"text": "<image> what?", "images": [{"handle": "ab"}], "raw": true});
        let chat = json!({"messages": [
            {"role": "ROLE_SYSTEM", "parts": [{"text": "Be brief."}]},
            {"role": "ROLE_USER", "parts": [{"text": ""}, {"image": {"handle": "ab"}}]},
        ], "multiImage": "MULTI_IMAGE_TILED"});
        let interventions = json!([
            {"permuteTokens": {"seed": "18446744073709551615"}},
            {"scale": {"target": {"point": "hook_resid_pre", "layers": [0, 1]}, "factor": 0.1}},
            {"blankImage": {}},
        ]);
        let sampling = json!({
            "temperature": 0.7, "topK": 5, "topP": 0.25, "seed": "9", "doSample": true, "minP": 0.0,
            "repetitionPenalty": 1.0, "noRepeatNgramSize": 0, "suppressTokens": [3, 0],
            "logitBias": {"10": -1.5, "9": 0.0}, "ignoreGenerationConfig": true,
        });
        [
            (
                "Generate",
                json!({"model": SHAPES, "prompt": prompt, "interventions": interventions,
                    "sampling": sampling, "maxTokens": 7, "stop": [".", ""], "topLogprobs": 2,
                    "sampleKey": "a"}),
            ),
            (
                "Generate",
                json!({"model": SHAPES, "prompt": chat, "sampling": {}}),
            ),
            (
                "Score",
                json!({"model": SHAPES, "prompt": {"text": "x"}, "continuations": ["", " y"]}),
            ),
            (
                "Capture",
                json!({"model": SHAPES, "prompt": {"text": "x"}, "targets": [
                    {"target": {"point": "hook_embed", "steps": {"last": 0}},
                        "reduction": "REDUCTION_NONE", "keep": true},
                ], "dtype": "DATA_TYPE_F32", "maxTokens": 1, "maxBytes": "4096"}),
            ),
        ]
    }

    fn handles(prompt: &PromptInput) -> Vec<String> {
        vec!["ab".to_owned(); prompt.images.len()]
    }

    #[test]
    fn records_hold_requests_as_messages_spell_them() {
        let model = Model::load(SHAPES, &shapes(), DType::F32, &Device::Cpu).unwrap();
        let model = Arc::new(model);
        let context = RequestContext::default();
        for (method, json) in requests() {
            let text = json!({ method: &json }).to_string();
            let canonical = match method {
                "Generate" => {
                    let mut m: v1::GenerateRequest = serde_json::from_value(json).unwrap();
                    // The message itself is in canonical JSON, or the test says nothing.
                    assert_eq!(json!({ method: &m }).to_string(), text);
                    let request = GenerateRequest {
                        context: context.clone(),
                        model: model.clone(),
                        prompt: prompt(m.prompt).unwrap(),
                        interventions: request_interventions(&mut m.interventions).unwrap(),
                        sampling: sampling(m.sampling.unwrap()),
                        max_tokens: m.max_tokens,
                        stop: m.stop,
                        top_logprobs: m.top_logprobs,
                        sample_key: m.sample_key,
                    };
                    request.canonical(&request.interventions, &handles(&request.prompt))
                }
                "Score" => {
                    let mut m: v1::ScoreRequest = serde_json::from_value(json).unwrap();
                    let request = ScoreRequest {
                        context: context.clone(),
                        model: model.clone(),
                        prompt: prompt(m.prompt).unwrap(),
                        interventions: request_interventions(&mut m.interventions).unwrap(),
                        continuations: m.continuations,
                        sample_key: m.sample_key,
                    };
                    request.canonical(&request.interventions, &handles(&request.prompt))
                }
                _ => {
                    let mut m: v1::CaptureRequest = serde_json::from_value(json).unwrap();
                    let request = CaptureRequest {
                        context: context.clone(),
                        model: model.clone(),
                        prompt: prompt(m.prompt).unwrap(),
                        interventions: request_interventions(&mut m.interventions).unwrap(),
                        targets: targets(m.targets).unwrap(),
                        dtype: requested_dtype(m.dtype).unwrap(),
                        max_tokens: m.max_tokens,
                        max_bytes: m.max_bytes,
                        sample_key: m.sample_key,
                    };
                    request.canonical(&request.interventions, &handles(&request.prompt))
                }
            };
            assert_eq!(canonical, text);
        }
    }
}
