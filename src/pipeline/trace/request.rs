//! Requests of traces in the server's own terms.

use std::sync::Arc;

use serde_json::Value;

use crate::intervention::GridSpec;
use crate::model::Model;
use crate::pipeline::interventions::Interventions;
use crate::pipeline::metric::AnswerMetric;
use crate::pipeline::request::PromptInput;
use crate::pipeline::request_context::RequestContext;

/// Asks for a grid of patched runs.
#[derive(Debug)]
pub struct TraceRequest {
    /// The caller, its deadline and its metrics.
    pub context: RequestContext,
    /// The model.
    pub model: Arc<Model>,
    /// The input under which the model says what it should.
    pub clean: TraceInput,
    /// The input under which it does not; without a prompt that of the clean one is taken.
    pub corrupted: TraceInput,
    /// Says what is measured.
    pub metric: AnswerMetric,
    /// The cells.
    pub grid: GridSpec,
    /// Says which run is patched.
    pub direction: Direction,
    /// Lets effects reach the receiver of the grid by one way alone; `None`: by all.
    pub path: Option<TracePath>,
    /// Tells samples that share a seed apart.
    pub sample_key: String,
    /// The contract's spelling, without prompts and the model's name.
    pub canonical: Value,
}

/// One of the two inputs.
#[derive(Debug)]
pub struct TraceInput {
    /// The words and pictures.
    pub prompt: Option<PromptInput>,
    /// The changes to the forward pass.
    pub interventions: Interventions,
}

/// Says which run is patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Clean activations are written into the corrupted run.
    Denoise,
    /// Corrupted activations are written into the clean run.
    Noise,
}

/// Says how the effect of a sender may reach the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracePath {
    /// Says what carries it.
    pub via: Via,
}

/// Says what carries an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The residual stream alone.
    Residual,
    /// The residual stream and MLPs.
    Mlps,
}
