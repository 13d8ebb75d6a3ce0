//! Requests to the engine.

use std::sync::Arc;

use super::deadline::Deadline;
use super::measure::Measure;
use super::sampler::Sampling;
use crate::intervention::{EditKeys, EffectLog, Plan};
use crate::model::{ImageTokens, Model, Pixels, Prompt};

/// One input under one or many plans, ready to run.
#[derive(Debug)]
pub struct Request {
    /// The model.
    pub model: Arc<Model>,
    /// The client that asks.
    pub client: ClientId,
    /// The plans to run; variants share what they have in common.
    pub variants: Vec<Variant>,
    /// The time when the engine gives the request up.
    pub deadline: Deadline,
}

/// The client that a request is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ClientId {
    /// Nothing is shared between tenants.
    pub tenant: Arc<str>,
    /// Connections share the engine fairly.
    pub connection: u64,
}

#[cfg(test)]
impl ClientId {
    /// Returns a client without a name, as tests need some.
    pub(crate) fn of_connection(connection: u64) -> Self {
        Self {
            connection,
            ..Self::default()
        }
    }
}

/// One plan on one input.
#[derive(Debug)]
pub struct Variant {
    /// The interventions.
    pub plan: Arc<Plan>,
    /// The plan's [`Plan::edit_keys`], which take a while where operations hold tensors: whoever
    /// submits from an async thread computes them on another.
    pub edit_keys: EditKeys,
    /// The effects of compiling the plan.
    pub observed: EffectLog,
    /// The pictures as the tower takes them.
    pub pixels: Vec<Pixels>,
    /// The visual tokens of each picture before any selection; the plan has those that the language
    /// model reads.
    pub images: Vec<ImageTokens>,
    /// The input of the language model.
    pub prompt: Prompt,
    /// The work to do on the prompt.
    pub task: Task,
}

/// The work to do on a prompt.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per request, and most requests generate"
)]
pub enum Task {
    /// Generate an answer.
    Generate {
        /// Chooses tokens.
        sampling: Sampling,
        /// Number of tokens, at least 1; prompt and answer fit the context together.
        max_tokens: usize,
        /// Number of the likeliest tokens to report.
        top_logprobs: usize,
    },
    /// Compute the likelihood of each of these continuations.
    Score(Vec<Vec<u32>>),
    /// Read the distributions that predict answers.
    Measure(Measure),
}
