//! The prompt of a request: one text, a conversation, or raw; checked and put through the chat
//! template.

use jiff::civil::DateTime;

use super::{Error, v1};
use crate::model::{self, IMAGE_MARKER, Message, MessagePart, Model, Rendered, Role};

/// Bytes of a prompt's text, of all messages together.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 20;

/// Messages of a conversation, and parts of a message.
const MAX_MESSAGES: usize = 1024;

/// Fails where a prompt is of two kinds.
pub(super) fn check(prompt: &v1::Prompt) -> Result<(), Error> {
    let given = [
        ("text", !prompt.text.is_empty()),
        ("images", !prompt.images.is_empty()),
        ("raw", prompt.raw),
    ];
    match given
        .iter()
        .find(|(_, given)| *given && !prompt.messages.is_empty())
    {
        None => Ok(()),
        Some((other, _)) => {
            let message =
                format!("given beside prompt.{other}; a prompt is text with images, or messages");
            Err(Error::invalid("prompt.messages", message))
        }
    }
}

/// The text of a prompt, whose `images` have been taken, after the chat template, with its pictures
/// placed. Not yet in tokens.
pub(super) fn render(
    model: &Model,
    prompt: &v1::Prompt,
    images: usize,
    time: Option<DateTime>,
) -> Result<Rendered, Error> {
    if prompt.messages.is_empty() {
        return of_text(model, prompt, images, time);
    }
    let messages = messages(&prompt.messages)?;
    model
        .render(&messages, time)
        .map_err(|e| refused("prompt.messages", e))
}

/// A prompt of one text.
fn of_text(
    model: &Model,
    prompt: &v1::Prompt,
    images: usize,
    time: Option<DateTime>,
) -> Result<Rendered, Error> {
    let text = &prompt.text;
    if text.trim().is_empty() {
        return Err(Error::invalid(
            "prompt.text",
            "empty; some words are needed",
        ));
    }
    check_length("prompt.text", text.len())?;
    let markers = text.matches(IMAGE_MARKER).count();
    if markers != images && (markers > 0 || prompt.raw) {
        let message = format!(
            "{markers} markers {IMAGE_MARKER} for {images} pictures; as many, or (not raw) none"
        );
        return Err(Error::invalid("prompt.text", message));
    }
    if prompt.raw {
        return Ok(Rendered::raw(text));
    }
    let mut parts = Vec::new();
    if markers == 0 {
        parts.resize(images, MessagePart::Image);
    }
    parts.push(MessagePart::Text(text.clone()));
    model
        .render(
            &[Message {
                role: Role::User,
                parts,
            }],
            time,
        )
        .map_err(|e| refused("prompt.text", e))
}

/// What the template has against a conversation is the client's to mend.
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

fn messages(list: &[v1::ChatMessage]) -> Result<Vec<Message>, Error> {
    if list.len() > MAX_MESSAGES {
        let message = format!("{} messages; at most {MAX_MESSAGES} are taken", list.len());
        return Err(Error::invalid("prompt.messages", message));
    }
    let texts = list
        .iter()
        .flat_map(|m| &m.parts)
        .filter_map(|p| match &p.part {
            Some(v1::chat_part::Part::Text(text)) => Some(text.len()),
            _ => None,
        });
    check_length("prompt.messages", texts.sum())?;
    list.iter()
        .enumerate()
        .map(|(i, m)| message(&format!("prompt.messages[{i}]"), m))
        .collect()
}

fn message(at: &str, message: &v1::ChatMessage) -> Result<Message, Error> {
    let role = match v1::Role::try_from(message.role) {
        Ok(v1::Role::System) => Role::System,
        Ok(v1::Role::User) => Role::User,
        Ok(v1::Role::Assistant) => Role::Assistant,
        Ok(v1::Role::Unspecified) | Err(_) => {
            let valid = "ROLE_SYSTEM, ROLE_USER and ROLE_ASSISTANT are known";
            return Err(Error::invalid(
                format!("{at}.role"),
                format!("{}; {valid}", message.role),
            ));
        }
    };
    if !(1..=MAX_MESSAGES).contains(&message.parts.len()) {
        let count = message.parts.len();
        return Err(Error::invalid(
            format!("{at}.parts"),
            format!("{count} parts; 1 to {MAX_MESSAGES} are taken"),
        ));
    }
    let part = |(i, part): (usize, &v1::ChatPart)| match &part.part {
        Some(v1::chat_part::Part::Text(text)) if text.contains(IMAGE_MARKER) => {
            let message =
                format!("holds {IMAGE_MARKER}; in messages a picture is a part of its own");
            Err(Error::invalid(format!("{at}.parts[{i}].text"), message))
        }
        Some(v1::chat_part::Part::Text(text)) => Ok(MessagePart::Text(text.clone())),
        Some(v1::chat_part::Part::Image(_)) => Ok(MessagePart::Image),
        None => Err(Error::invalid(
            format!("{at}.parts[{i}].part"),
            "unset; text or image is needed",
        )),
    };
    Ok(Message {
        role,
        parts: message
            .parts
            .iter()
            .enumerate()
            .map(part)
            .collect::<Result<_, _>>()?,
    })
}

/// The pictures of a prompt in their order, to be changed.
pub(super) fn images_mut(prompt: &mut v1::Prompt) -> impl Iterator<Item = &mut v1::Image> {
    let parts = prompt.messages.iter_mut().flat_map(|m| &mut m.parts);
    let inside = parts.filter_map(|part| match &mut part.part {
        Some(v1::chat_part::Part::Image(image)) => Some(image),
        _ => None,
    });
    prompt.images.iter_mut().chain(inside)
}

/// Takes the pictures out of a prompt, each with its path in the request.
pub(super) fn take_images(prompt: &mut v1::Prompt) -> Vec<(String, v1::Image)> {
    let flat = std::mem::take(&mut prompt.images).into_iter().enumerate();
    let mut images: Vec<_> = flat
        .map(|(i, image)| (format!("prompt.images[{i}]"), image))
        .collect();
    for (i, message) in prompt.messages.iter_mut().enumerate() {
        for (j, part) in message.parts.iter_mut().enumerate() {
            if let Some(v1::chat_part::Part::Image(image)) = &mut part.part {
                images.push((
                    format!("prompt.messages[{i}].parts[{j}].image"),
                    std::mem::take(image),
                ));
            }
        }
    }
    images
}
