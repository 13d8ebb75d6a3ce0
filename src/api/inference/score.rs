//! Score on the wire.

use crate::api::{Error, State, convert, v1};
use crate::pipeline::{RequestContext, ScoreRequest};

/// Runs a request to its end.
pub(super) async fn score(
    state: &State,
    context: &RequestContext,
    message: v1::ScoreRequest,
) -> Result<v1::ScoreResponse, Error> {
    let request = request(state, context, message)?;
    convert::scored(state.runtime.score(request).await?)
}

/// Returns the request that a message makes.
pub(super) fn request(
    state: &State,
    context: &RequestContext,
    mut message: v1::ScoreRequest,
) -> Result<ScoreRequest, Error> {
    Ok(ScoreRequest {
        model: state.models.resident(context, &message.model)?,
        context: context.clone(),
        prompt: convert::prompt(message.prompt)?,
        interventions: convert::request_interventions(&mut message.interventions)?,
        continuations: message.continuations,
        sample_key: message.sample_key,
    })
}
