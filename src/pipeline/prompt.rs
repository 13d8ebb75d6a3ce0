//! The prompt of a request: one text, a conversation, or raw; checked and put through the chat
//! template.

use jiff::civil::DateTime;

use super::error::Error;
use super::request::PromptText;
use crate::model::{self, IMAGE_MARKER, Message, MessagePart, Model, Rendered, Role};

/// Bytes of a prompt's text, of all messages together.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Messages of a conversation, and parts of a message.
const MAX_MESSAGES: usize = 1024;

/// Returns the text after the chat template, with `images` pictures placed. Not yet in tokens.
pub(super) fn render(
    model: &Model,
    text: &PromptText,
    images: usize,
    time: Option<DateTime>,
) -> Result<Rendered, Error> {
    match text {
        PromptText::Messages(messages) => {
            check_messages(model, messages)?;
            model
                .render(messages, time)
                .map_err(|e| refused("prompt.messages", e))
        }
        PromptText::Raw(text) => {
            check_text(model, text, images, true)?;
            Ok(Rendered::raw(text))
        }
        PromptText::Text(text) => {
            let markers = check_text(model, text, images, false)?;
            let mut parts = Vec::new();
            if markers == 0 {
                parts.resize(images, MessagePart::Image);
            }
            parts.push(MessagePart::Text(text.clone()));
            let role = Role::User;
            model
                .render(&[Message { role, parts }], time)
                .map_err(|e| refused("prompt.text", e))
        }
    }
}

/// Finds a token of a picture in words: the marker of prompts, or the model's own.
pub(super) fn marker_in(model: &Model, text: &str) -> Option<&'static str> {
    let markers = [IMAGE_MARKER, model.text.image_marker()];
    markers.into_iter().find(|marker| text.contains(marker))
}

/// Checks a prompt of one text and returns how many pictures it places itself.
fn check_text(model: &Model, text: &str, images: usize, raw: bool) -> Result<usize, Error> {
    if text.trim().is_empty() {
        return Err(Error::invalid(
            "prompt.text",
            "empty; some words are needed",
        ));
    }
    check_length("prompt.text", text.len())?;
    // The tokenizer would make a picture of it, and so would the template of one in a conversation.
    let own = model.text.image_marker();
    if own != IMAGE_MARKER && text.contains(own) {
        let message =
            format!("holds {own}, the model's own token; {IMAGE_MARKER} places a picture");
        return Err(Error::invalid("prompt.text", message));
    }
    let markers = text.matches(IMAGE_MARKER).count();
    if markers != images && (markers > 0 || raw) {
        let message = format!(
            "{markers} markers {IMAGE_MARKER} for {images} pictures; as many, or (not raw) none"
        );
        return Err(Error::invalid("prompt.text", message));
    }
    Ok(markers)
}

/// Turns a template's complaint about a conversation into an error that the client can mend.
fn refused(field: &str, error: model::Error) -> Error {
    match error {
        model::Error::Chat { .. } => Error::invalid(field, format!("the chat template: {error}")),
        other => other.into(),
    }
}

fn check_length(field: &str, bytes: usize) -> Result<(), Error> {
    if bytes > MAX_TEXT_BYTES {
        return Err(Error::invalid(
            field,
            format!("{bytes} bytes; at most {MAX_TEXT_BYTES} are taken"),
        ));
    }
    Ok(())
}

fn check_messages(model: &Model, list: &[Message]) -> Result<(), Error> {
    if list.len() > MAX_MESSAGES {
        let message = format!("{} messages; at most {MAX_MESSAGES} are taken", list.len());
        return Err(Error::invalid("prompt.messages", message));
    }
    let parts = list.iter().flat_map(|m| &m.parts);
    let texts = parts.filter_map(|part| match part {
        MessagePart::Text(text) => Some(text.len()),
        MessagePart::Image => None,
    });
    check_length("prompt.messages", texts.sum())?;
    for (i, message) in list.iter().enumerate() {
        check_parts(model, i, message)?;
    }
    Ok(())
}

/// Checks the parts of message `i`.
fn check_parts(model: &Model, i: usize, message: &Message) -> Result<(), Error> {
    let at = format!("prompt.messages[{i}].parts");
    let count = message.parts.len();
    if !(1..=MAX_MESSAGES).contains(&count) {
        let message = format!("{count} parts; 1 to {MAX_MESSAGES} are taken");
        return Err(Error::invalid(at, message));
    }
    for (j, part) in message.parts.iter().enumerate() {
        if let MessagePart::Text(text) = part
            && let Some(marker) = marker_in(model, text)
        {
            let message = format!("holds {marker}; in messages a picture is a part of its own");
            return Err(Error::invalid(format!("{at}[{j}].text"), message));
        }
    }
    Ok(())
}
