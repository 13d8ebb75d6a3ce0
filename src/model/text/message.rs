//! Conversations, and prompts as text.

use std::ops::Range;

use jiff::civil::DateTime;

/// The marker that places a picture in a prompt.
pub const IMAGE_MARKER: &str = "<image>";

/// A speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Rules for the whole conversation.
    System,
    /// Asks.
    User,
    /// Answers.
    Assistant,
}

impl Role {
    /// Returns the word of templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessagePart {
    /// Words.
    Text(String),
    /// The next picture of the request.
    Image,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The speaker.
    pub role: Role,
    /// Words and pictures, in order.
    pub parts: Vec<MessagePart>,
}

/// A prompt's text, ready for the tokenizer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The whole text, with [`IMAGE_MARKER`]s.
    pub text: String,
    /// Tells whether the template has written the first special token, so that the tokenizer adds
    /// none.
    pub begun: bool,
    /// Places of the words of each message, in bytes of `text`; the number is that of the
    /// message.
    pub words: Vec<(usize, Range<usize>)>,
    /// The message that each picture belongs to.
    pub images: Vec<usize>,
    /// Speaker of each message.
    pub roles: Vec<Role>,
    /// The time that the template has put into the text, where it has: the same text comes of the
    /// same time.
    pub time: Option<DateTime>,
}

impl Rendered {
    /// Takes a prompt that is whole already: all its words are the user's.
    pub fn raw(text: &str) -> Self {
        Self::asking(text, text)
    }

    /// Takes a prompt that is whole already, in which the user's words are those of `question`.
    pub fn asking(text: &str, question: &str) -> Self {
        let message = Message {
            role: Role::User,
            parts: vec![MessagePart::Text(question.to_owned())],
        };
        // All of message 0, the only one.
        let images = vec![0; text.matches(IMAGE_MARKER).count()];
        let words = searched(std::slice::from_ref(&message), text);
        Self {
            text: text.to_owned(),
            words,
            images,
            roles: vec![Role::User],
            ..Self::default()
        }
    }
}

/// Finds the places of the words of each message by the words themselves, one after the other.
pub(super) fn searched(messages: &[Message], text: &str) -> Vec<(usize, Range<usize>)> {
    let mut words = Vec::new();
    let mut from = 0;
    for (i, message) in messages.iter().enumerate() {
        for part in &message.parts {
            let MessagePart::Text(part) = part else {
                continue;
            };
            for piece in part
                .split(IMAGE_MARKER)
                .map(str::trim)
                .filter(|p| !p.is_empty())
            {
                // Words that the template has changed are not found, and have no place.
                if let Some(start) = text.get(from..).and_then(|rest| rest.find(piece)) {
                    words.push((i, from + start..from + start + piece.len()));
                    // Onwards from there: the same words may stand in an earlier turn.
                    from += start + piece.len();
                }
            }
        }
    }
    words
}
