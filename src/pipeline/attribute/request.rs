//! Requests for attributions, and what is wrong with them before anything is prepared.

use std::sync::Arc;

use serde_json::Value;

use crate::model::Model;
use crate::pipeline::error::Error;
use crate::pipeline::interventions::Interventions;
use crate::pipeline::metric::AnswerMetric;
use crate::pipeline::request::PromptInput;
use crate::pipeline::request_context::RequestContext;

/// Steps of a path integral, unless a request says how many.
const DEFAULT_STEPS: u32 = 64;
const MAX_STEPS: u32 = 512;
/// Points of one request, layers counted one by one, and so most of each of its two lists.
pub(super) const MAX_POINTS: usize = 1024;

/// Says what is made of gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributionMethod {
    /// The norm of the gradient of each row.
    Gradient,
    /// The gradients themselves.
    GradientValues,
    /// The sum of gradient times value over each row.
    GradientTimesInput,
    /// The same, the gradient averaged over the way from a baseline.
    IntegratedGradients,
    /// The change that another input's activations would make there, to first order.
    Patching,
    /// The class activation map of a layer of the tower.
    GradCam,
    /// Attention times its gradient, from layer to layer.
    AttentionRelevance,
    /// Attention and the identity, from layer to layer.
    AttentionRollout,
    /// The largest flow through attention and the identity.
    AttentionFlow,
}

impl AttributionMethod {
    /// Returns whether another input gives a baseline or what is patched in.
    pub(super) fn takes_source(self) -> bool {
        matches!(self, Self::IntegratedGradients | Self::Patching)
    }
}

/// Another input.
#[derive(Debug, Clone)]
pub struct AttributionInput {
    /// Words and pictures; `None`: those of the request.
    pub prompt: Option<PromptInput>,
    /// The changes.
    pub interventions: Interventions,
}

/// Asks for attributions.
#[derive(Debug, Clone)]
pub struct AttributeRequest {
    /// The caller, its deadline and its metrics.
    pub context: RequestContext,
    /// The model.
    pub model: Arc<Model>,
    /// The words and pictures.
    pub prompt: PromptInput,
    /// The changes of pictures, projector and layers.
    pub interventions: Interventions,
    /// The number whose gradient is taken.
    pub metric: AnswerMetric,
    /// Says what is made of gradients.
    pub method: AttributionMethod,
    /// Names of hook points, `{l}` for the layer; `pixels`.
    pub points: Vec<String>,
    /// The layers that `{l}` stands for.
    pub layers: Vec<u32>,
    /// Steps of a path integral; 0: as many as the method takes.
    pub steps: u32,
    /// The baseline, or what is patched in.
    pub source: Option<AttributionInput>,
    /// Tells samples that share a seed apart.
    pub sample_key: String,
    /// The contract's spelling of what it asks of its inputs.
    pub canonical: Value,
}

impl AttributeRequest {
    /// Checks what depends on neither the prompt nor the plan.
    pub(super) fn check(&self) -> Result<(), Error> {
        // By themselves, before `places` multiplies them.
        for (field, given) in [("points", self.points.len()), ("layers", self.layers.len())] {
            if given > MAX_POINTS {
                let message = format!("{given} given; at most {MAX_POINTS} are taken");
                return Err(Error::invalid(field, message));
            }
        }
        self.metric.check()?;
        if self.metric.compares() {
            let message = "has no gradient at the run that it compares with; logprob, \
                           logprob_difference and probability are taken";
            return Err(Error::invalid("metric.divergence", message));
        }
        if self.steps > MAX_STEPS {
            let message = format!("{} is more than {MAX_STEPS}", self.steps);
            return Err(Error::invalid("steps", message));
        }
        if self.steps > 0 && !self.method.takes_source() {
            let message = "set, but only integrated gradients and patching go in steps";
            return Err(Error::invalid("steps", message));
        }
        match (&self.source, self.method) {
            (Some(_), method) if !method.takes_source() => {
                let message = "set, but only integrated gradients and patching have another input";
                Err(Error::invalid("source", message))
            }
            (None, AttributionMethod::Patching) => {
                let message = "unset; patching needs the input whose activations are put in";
                Err(Error::invalid("source", message))
            }
            _ => Ok(()),
        }
    }

    /// Returns how many gradients are averaged at each point; 1: that of the run itself.
    pub(super) fn steps(&self) -> u32 {
        match (self.method, self.steps) {
            (AttributionMethod::IntegratedGradients, 0) => DEFAULT_STEPS,
            (AttributionMethod::IntegratedGradients, steps) => steps,
            (_, steps) => steps.max(1),
        }
    }
}
