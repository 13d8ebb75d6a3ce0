//! Replies to questions, greedily.

use candle_core::Tensor;

use super::{CHUNK, TextModel};
use crate::model::error::Error;
use crate::nn::{NoHooks, SequenceCache, likeliest};

/// Bounds the tokens of a reply.
const MAX_REPLY: usize = 1024;

/// Ends what a model writes to itself before its reply.
const REASONING_END: &str = "</think>";

/// Says why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The question leaves no room for a reply.
    #[error("the question has {tokens} tokens; the judge reads {context}, its reply included")]
    TooLong {
        /// Tokens of the question, in the chat template.
        tokens: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// The reply does not end.
    #[error("the judge's reply does not end within {tokens} tokens; it begins {begin:?}")]
    Endless {
        /// Tokens that it has.
        tokens: usize,
        /// Its first words.
        begin: String,
    },
    /// Nobody waits for it any more.
    #[error("the judge is not asked any more")]
    Cancelled,
    /// The model does not run.
    #[error("the judge: {0}")]
    Model(#[from] Error),
}

impl From<candle_core::Error> for ReplyError {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}

impl TextModel {
    /// Returns the multiplications that answering a question takes, about.
    pub fn work(&self, question: &str) -> u64 {
        let config = self.decoder.config();
        let layers = config.num_hidden_layers * self.decoder.layer_weights();
        let weights = layers as u64 + config.table_parameters();
        // Words have four letters or more, and replies a few words.
        weights * (question.len() as u64 / 4 + 64)
    }

    /// Answers a question greedily; `is_wanted` is asked before each pass. What a model writes to
    /// itself before the reply is left out.
    pub fn reply(
        &self,
        question: &str,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<String, ReplyError> {
        let missing = || Error::Text("chat template: there is none".into());
        let prompt = self.chat.as_ref().ok_or_else(missing)?.question(question)?;
        let prompt = self.text.encode_prompt(&prompt)?;
        let (tokens, context) = (prompt.len(), self.context);
        if tokens >= context {
            return Err(ReplyError::TooLong { tokens, context });
        }
        let most = MAX_REPLY.min(context - tokens);
        let mut cache = Self::cache(tokens, most);
        let mut next = self.read(&prompt, &mut cache, is_wanted)?;
        let mut written = Vec::new();
        while !self.ends.contains(&next) {
            written.push(next);
            if written.len() == most {
                let begin = self.text.decode(&written)?.chars().take(200).collect();
                return Err(ReplyError::Endless {
                    tokens: most,
                    begin,
                });
            }
            if !is_wanted() {
                return Err(ReplyError::Cancelled);
            }
            // The place of the token just written, which the pass reads.
            let at = tokens + written.len() - 1;
            next = self.likeliest(&self.pass(&[next], at, &mut cache, &mut NoHooks)?)?;
        }
        let reply = self.text.decode(&written)?;
        // Behind the last one: what a model writes to itself may name its own mark.
        let (_, reply) = reply.rsplit_once(REASONING_END).unwrap_or(("", &reply));
        Ok(reply.trim().to_owned())
    }

    /// Reads a prompt and returns the likeliest token after it.
    fn read(
        &self,
        prompt: &[u32],
        cache: &mut SequenceCache,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<u32, ReplyError> {
        let mut last = None;
        for (number, chunk) in prompt.chunks(CHUNK).enumerate() {
            if !is_wanted() {
                return Err(ReplyError::Cancelled);
            }
            // Positions go on where the chunk before has ended.
            last = Some(self.pass(chunk, number * CHUNK, cache, &mut NoHooks)?);
        }
        // A template writes something before every answer.
        let empty = || Error::Text("the chat template makes an empty prompt".into());
        self.likeliest(&last.ok_or_else(empty)?)
    }

    /// Returns the likeliest token after the last of some rows `(R, D)`.
    fn likeliest(&self, rows: &Tensor) -> Result<u32, ReplyError> {
        let last = rows.narrow(0, rows.dim(0)? - 1, 1)?; // (1, D)
        let found = likeliest(&self.logits(&last)?)?.to_vec2::<f32>()?;
        match found[0][..] {
            // Id and log-probability, both as f32; ids are exact in it, see `MAX_VOCABULARY`.
            [token, logprob] if logprob.is_finite() => Ok(token as u32),
            _ => Err(Error::Text("its numbers overflow".into()).into()),
        }
    }
}
