//! The chat template of a language model by itself, which is asked in words alone.

use jiff::civil::{DateTime, date};

use super::{Chat, TRIAL, TRIAL_BYTES, failure, wrong};
use crate::model::error::Error;
use crate::model::load::source::Source;
use crate::model::text::message::{Message, MessagePart, Rendered, Role};
use crate::model::text::tokenizer::Text;

/// Switches of templates that make a model reason before it answers: Qwen3's.
const REASONING: [&str; 1] = ["enable_thinking"];

impl Chat {
    /// Returns the template of a language model, which must take a question of words; `None` where
    /// there is none.
    pub(in crate::model) fn of_words(source: &Source, text: &Text) -> Result<Option<Self>, Error> {
        let Some(chat) = Self::parse(source, None, text)? else {
            return Ok(None);
        };
        let chat = Self {
            text_only: true,
            switched_off: &REASONING,
            ..chat
        };
        let rendered = chat.question(TRIAL)?.text;
        if rendered.len() <= TRIAL_BYTES && rendered.contains(TRIAL) {
            return Ok(Some(chat));
        }
        let shown: String = rendered.chars().take(200).collect();
        let failure = failure(&format!("it leaves words out of a question: {shown:?}"));
        Err(wrong(&chat.origin, chat.field, &failure))
    }

    /// Returns the prompt of a question. A template that writes the day always writes the same one:
    /// what is asked twice must be asked alike.
    pub(in crate::model) fn question(&self, words: &str) -> Result<Rendered, Error> {
        let parts = vec![MessagePart::Text(words.to_owned())];
        let role = Role::User;
        let day: DateTime = date(2026, 1, 1).into();
        self.render(&[Message { role, parts }], Some(day))
    }
}
