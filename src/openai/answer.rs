//! Builds the objects of answers: what those of chat and of plain completions have in common.

use serde_json::{Value, json};

use crate::pipeline::{FinishReason, Finished, Generation, RequestContext};

/// Holds what all objects of one answer repeat.
pub(super) struct Answer {
    id: String,
    created: u64,
    model: String,
    max_tokens: usize,
}

impl Answer {
    /// Returns the answer that `generation` gives.
    pub(super) fn new(context: &RequestContext, model: String, generation: &Generation) -> Self {
        Self::of(context, model, generation.max_tokens())
    }

    /// Returns an answer that may have `max_tokens`.
    pub(super) fn of(context: &RequestContext, model: String, max_tokens: usize) -> Self {
        Self {
            id: context.id.clone(),
            created: super::models::now(),
            model,
            max_tokens,
        }
    }

    /// Returns an object of the answer with `choices`.
    pub(super) fn object(&self, prefix: &str, object: &str, choices: Value) -> Value {
        json!({
            "id": format!("{prefix}-{}", self.id),
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    /// Returns the end of a stream: its last chunk, and behind it one that counts tokens where it is
    /// asked for.
    pub(super) fn end(
        &self,
        mut last: Value,
        finished: &Finished,
        record: &str,
        include_usage: bool,
    ) -> Vec<Value> {
        // Counts come in a chunk of their own, which has no choices.
        let mut counts = last.clone();
        counts["choices"] = json!([]);
        let taken = &finished.usage;
        counts["usage"] = usage(taken.prompt_tokens, taken.generation_tokens);
        self.close(&mut last, finished, record);
        if include_usage {
            vec![last, counts]
        } else {
            vec![last]
        }
    }

    /// Adds to the last object what the answer took and where its record is.
    pub(super) fn close(&self, object: &mut Value, finished: &Finished, record: &str) {
        let model = &finished.provenance.model_digest;
        // A digest is hex, whose characters are bytes.
        object["system_fingerprint"] = model.get(..16).unwrap_or(model).into();
        object["scotoma"] = json!({
            // What was asked for may be more than the context holds.
            "max_tokens": self.max_tokens,
            "image_tokens": finished.usage.image_tokens,
            "rows_computed": finished.usage.rows_computed,
            "rows_reused": finished.usage.rows_reused,
            "record": record,
        });
    }
}

/// Returns the `usage` of an answer.
pub(super) fn usage(prompt_tokens: usize, completion_tokens: usize) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    })
}

/// Returns OpenAI's word for the end of an answer.
pub(super) fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Eos | FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}
