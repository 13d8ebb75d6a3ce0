//! Log-probabilities in the forms of chat and of plain completions.

use serde::Serialize;

use crate::pipeline::{GeneratedToken, TokenLogprob};

/// A token of a chat completion's `logprobs.content`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ChatLogprob {
    #[serde(flatten)]
    token: Entry,
    top_logprobs: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize)]
struct Entry {
    token: String,
    logprob: f64,
    /// UTF-8 of the token; `None` where it is a part of a character and its text cannot tell.
    bytes: Option<Vec<u8>>,
}

impl Entry {
    fn new(text: &str, logprob: f64) -> Self {
        // A part of a character decodes to the replacement character, whose bytes are not the
        // token's.
        let whole = !text.contains(char::REPLACEMENT_CHARACTER);
        Self {
            token: text.to_owned(),
            logprob,
            bytes: whole.then(|| text.as_bytes().to_vec()),
        }
    }
}

impl ChatLogprob {
    /// Describes a token, whose own text is `text`, with the `top` likeliest.
    pub(super) fn new(text: &str, token: &GeneratedToken, top: usize) -> Self {
        let likeliest = token.top.iter().take(top);
        Self {
            token: Entry::new(text, token.logprob),
            top_logprobs: likeliest.map(|t| Entry::new(&t.text, t.logprob)).collect(),
        }
    }
}

/// The `logprobs` of a plain completion: one element a token in each list.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct CompletionLogprobs {
    tokens: Vec<String>,
    /// `None` for a token that nothing stands before.
    token_logprobs: Vec<Option<f64>>,
    top_logprobs: Vec<Option<serde_json::Map<String, serde_json::Value>>>,
    /// Characters before each token.
    text_offset: Vec<usize>,
    #[serde(skip)]
    offset: usize,
}

impl CompletionLogprobs {
    /// Adds a token with the likeliest ones at its place.
    pub(super) fn push(&mut self, text: &str, logprob: Option<f64>, top: Option<&[TokenLogprob]>) {
        self.text_offset.push(self.offset);
        // OpenAI's offsets are places in a Python string.
        self.offset += text.chars().count();
        self.tokens.push(text.to_owned());
        self.token_logprobs.push(logprob);
        self.top_logprobs.push(top.map(by_text));
    }
}

/// Returns tokens as an object by text; of those that read alike the likeliest stays.
fn by_text(tokens: &[TokenLogprob]) -> serde_json::Map<String, serde_json::Value> {
    let mut found = serde_json::Map::new();
    // The likeliest of those that read alike.
    for token in tokens {
        found
            .entry(token.text.clone())
            .or_insert_with(|| token.logprob.into());
    }
    found
}
