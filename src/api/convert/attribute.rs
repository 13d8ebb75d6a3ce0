//! Attributions, from messages and to messages.

use std::sync::Arc;

use super::interventions::request_interventions;
use super::request::prompt;
use super::response::{provenance, token_logprob};
use super::trace::metric;
use super::values::unknown;
use crate::api::{Error, v1};
use crate::model::Model;
use crate::pipeline::{
    AttributeRequest, AttributionFinished, AttributionInput, AttributionMethod, RequestContext,
};

/// Converts a request.
pub(in crate::api) fn attribute(
    mut message: v1::AttributeRequest,
    model: Arc<Model>,
    context: RequestContext,
) -> Result<AttributeRequest, Error> {
    let own = prompt(message.prompt.take())?;
    let interventions = request_interventions(&mut message.interventions)?;
    let source = message.source.take().map(source).transpose()?;
    // Read before they are written: a number that is none has no name in JSON.
    let (metric, method) = (metric(message.metric.clone())?, method(message.method)?);
    // Inputs are spelled elsewhere, their pictures by handles.
    let canonical = v1::AttributeRequest {
        metric: message.metric.clone(),
        method: message.method,
        points: message.points.clone(),
        layers: message.layers.clone(),
        steps: message.steps,
        ..v1::AttributeRequest::default()
    };
    let canonical = serde_json::to_value(canonical).map_err(Error::fault)?;
    Ok(AttributeRequest {
        context,
        model,
        prompt: own,
        interventions,
        metric,
        method,
        points: message.points,
        layers: message.layers,
        steps: message.steps,
        source,
        sample_key: message.sample_key,
        canonical,
    })
}

fn source(mut message: v1::TraceInput) -> Result<AttributionInput, Error> {
    let own = message.prompt.take().map(|own| prompt(Some(own)));
    let interventions = request_interventions(&mut message.interventions);
    Ok(AttributionInput {
        prompt: own.transpose().map_err(|e| e.within("source"))?,
        interventions: interventions.map_err(|e| e.within("source"))?,
    })
}

fn method(number: i32) -> Result<AttributionMethod, Error> {
    use v1::AttributionMethod as Number;
    Ok(match Number::try_from(number) {
        Ok(Number::Gradient) => AttributionMethod::Gradient,
        Ok(Number::GradientValues) => AttributionMethod::GradientValues,
        Ok(Number::GradientTimesInput) => AttributionMethod::GradientTimesInput,
        Ok(Number::IntegratedGradients) => AttributionMethod::IntegratedGradients,
        Ok(Number::Patching) => AttributionMethod::Patching,
        Ok(Number::GradCam) => AttributionMethod::GradCam,
        Ok(Number::AttentionRelevance) => AttributionMethod::AttentionRelevance,
        Ok(Number::AttentionRollout) => AttributionMethod::AttentionRollout,
        Ok(Number::AttentionFlow) => AttributionMethod::AttentionFlow,
        Ok(Number::Unspecified) | Err(_) => {
            let valid = ["ATTRIBUTION_METHOD_GRADIENT to _ATTENTION_FLOW, 1 to 9"];
            return Err(unknown("method".into(), number, &valid));
        }
    })
}

/// Converts the end of an attribution.
pub(in crate::api) fn attribute_finished(
    finished: AttributionFinished,
) -> Result<v1::AttributeFinished, Error> {
    Ok(v1::AttributeFinished {
        value: finished.value,
        baseline: finished.baseline,
        tokens: finished.tokens.into_iter().map(token_logprob).collect(),
        rows_computed: finished.rows,
        provenance: Some(provenance(finished.provenance)?),
    })
}
