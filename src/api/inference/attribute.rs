//! Attribute on the wire: scores in parts of bounded size.

use std::sync::Arc;

use super::capture::parts;
use crate::api::rpc::ResponseSender;
use crate::api::v1::{self, attribute_response::Event};
use crate::api::{Error, State, convert};
use crate::pipeline::{AttributeRequest, Attribution, AttributionEvent, RequestContext};

/// Checks and compiles a request.
pub(super) async fn begin(
    state: &State,
    context: &RequestContext,
    message: v1::AttributeRequest,
) -> Result<Attribution, Error> {
    let request = request(state, context, message)?;
    Ok(state.runtime.attribute(request).await?)
}

/// Returns the request that a message makes.
pub(super) fn request(
    state: &State,
    context: &RequestContext,
    message: v1::AttributeRequest,
) -> Result<AttributeRequest, Error> {
    let model = state.models.resident(context, &message.model)?;
    convert::attribute(message, model, context.clone())
}

/// Sends the scores once all passes are done.
pub(super) async fn stream(
    state: Arc<State>,
    request_id: String,
    mut attribution: Attribution,
    sender: ResponseSender<v1::AttributeResponse>,
) -> Result<(), Error> {
    let response = |event| v1::AttributeResponse { event: Some(event) };
    let started = convert::started(request_id, attribution.started());
    sender.send(response(Event::Started(started))).await?;
    loop {
        match attribution.next(&state.runtime).await? {
            AttributionEvent::Scores(scores) => {
                // Scores of a point may be as large as its values.
                for part in parts(scores) {
                    sender.send(response(Event::Scores(part))).await?;
                }
            }
            AttributionEvent::Finished(finished) => {
                let finished = convert::attribute_finished(finished)?;
                return sender.send(response(Event::Finished(finished))).await;
            }
        }
    }
}
