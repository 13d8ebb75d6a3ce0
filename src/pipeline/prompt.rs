//! The words of a prompt, checked: one text, a conversation, or raw.

use super::error::Error;
use super::request::PromptText;
use crate::model::{IMAGE_MARKER, Message, MessagePart, Model, Role, Words};

/// Bytes of a prompt's text, of all messages together.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Messages of a conversation, and parts of a message.
const MAX_MESSAGES: usize = 1024;

/// Bytes of text that the longest tokens of a vocabulary have: no context holds more.
pub(super) const BYTES_PER_TOKEN: usize = 16;

impl PromptText {
    /// Returns the bytes of the words, of all messages together.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Messages(messages) => {
                let parts = messages.iter().flat_map(|message| &message.parts);
                parts.map(text_bytes).sum()
            }
            Self::Raw(text) | Self::Text(text) => text.len(),
        }
    }
}

fn text_bytes(part: &MessagePart) -> usize {
    match part {
        MessagePart::Text(text) => text.len(),
        MessagePart::Image => 0,
    }
}

/// Returns the words as the model reads them, with `images` pictures placed.
pub(super) fn words(model: &Model, text: PromptText, images: usize) -> Result<Words, Error> {
    match text {
        PromptText::Messages(messages) => {
            check_messages(model, &messages)?;
            Ok(Words::Messages(messages))
        }
        PromptText::Raw(text) => {
            check_text(model, &text, images, true)?;
            Ok(Words::Raw(text))
        }
        PromptText::Text(text) => {
            let markers = check_text(model, &text, images, false)?;
            let mut parts = Vec::new();
            // Pictures that the text does not place stand before it.
            if markers == 0 {
                parts.resize(images, MessagePart::Image);
            }
            parts.push(MessagePart::Text(text));
            let role = Role::User;
            Ok(Words::Messages(vec![Message { role, parts }]))
        }
    }
}

impl PromptText {
    /// Returns the path of the field that holds it.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::Messages(_) => "prompt.messages",
            Self::Text(_) | Self::Raw(_) => "prompt.text",
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
    // A raw prompt may be the tokenizer's own first token alone; whether one is left is seen later.
    if !raw && text.trim().is_empty() {
        return Err(Error::invalid(
            "prompt.text",
            "empty; some words are needed",
        ));
    }
    check_length(model, "prompt.text", text.len())?;
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

/// Fails on text that no context could hold, which would be tokenized for nothing, for minutes.
pub(super) fn check_length(model: &Model, field: &str, bytes: usize) -> Result<(), Error> {
    let context = model.decoder.config().max_position_embeddings;
    let limit = MAX_TEXT_BYTES.min(context.saturating_mul(BYTES_PER_TOKEN));
    if bytes > limit {
        let message = format!(
            "{bytes} bytes; at most {limit} are taken, more than the context of {context} tokens \
             holds"
        );
        return Err(Error::invalid(field, message));
    }
    Ok(())
}

fn check_messages(model: &Model, list: &[Message]) -> Result<(), Error> {
    if list.len() > MAX_MESSAGES {
        let message = format!("{} messages; at most {MAX_MESSAGES} are taken", list.len());
        return Err(Error::invalid("prompt.messages", message));
    }
    let parts = list.iter().flat_map(|m| &m.parts);
    check_length(model, "prompt.messages", parts.map(text_bytes).sum())?;
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
