//! Conversations: messages of words and pictures.

use crate::v1::{ChatMessage, ChatPart, Prompt, Role};

fn message(role: Role, parts: impl IntoIterator<Item = ChatPart>) -> ChatMessage {
    ChatMessage {
        role: role.into(),
        parts: parts.into_iter().collect(),
    }
}

/// Makes the system message: rules for the whole conversation.
pub fn system(text: &str) -> ChatMessage {
    message(Role::System, [text.into()])
}

/// Makes a message of the user: words and pictures in their order.
pub fn user(parts: impl IntoIterator<Item = ChatPart>) -> ChatMessage {
    message(Role::User, parts)
}

/// Makes a message of the assistant: its answer, or, in the last message, the beginning of one.
pub fn assistant(text: &str) -> ChatMessage {
    message(Role::Assistant, [text.into()])
}

/// Makes a prompt of several turns.
pub fn messages(messages: impl IntoIterator<Item = ChatMessage>) -> Prompt {
    Prompt {
        messages: messages.into_iter().collect(),
        ..Prompt::default()
    }
}
