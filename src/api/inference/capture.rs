//! Capture on the wire: activations in parts of bounded size.

use std::sync::Arc;

use crate::api::rpc::ResponseSender;
use crate::api::v1::{self, capture_response::Event};
use crate::api::{Error, State, convert};
use crate::pipeline::{
    CaptureEvent, CaptureRequest, CaptureRun, CapturedActivation, RequestContext,
};

/// Bytes of one part.
// Clients of gRPC take messages of 4 MiB by default.
const PART: usize = 1 << 20;

/// Admits a request.
pub(super) async fn begin(
    state: &State,
    context: &RequestContext,
    message: v1::CaptureRequest,
) -> Result<CaptureRun, Error> {
    let request = request(state, context, message)?;
    Ok(state.capture(request).await?)
}

/// Returns the request that a message makes.
pub(super) fn request(
    state: &State,
    context: &RequestContext,
    mut message: v1::CaptureRequest,
) -> Result<CaptureRequest, Error> {
    Ok(CaptureRequest {
        model: state.models.resident(context, &message.model)?,
        context: context.clone(),
        dtype: convert::requested_dtype(message.dtype)?,
        targets: convert::targets(message.targets)?,
        prompt: convert::prompt(message.prompt)?,
        interventions: convert::request_interventions(&mut message.interventions)?,
        max_tokens: message.max_tokens,
        max_bytes: message.max_bytes,
        sample_key: message.sample_key,
    })
}

/// Sends what is captured until the answer ends.
pub(super) async fn stream(
    state: Arc<State>,
    request_id: String,
    mut capture: CaptureRun,
    sender: ResponseSender<v1::CaptureResponse>,
) -> Result<(), Error> {
    let response = |event| v1::CaptureResponse { event: Some(event) };
    let started = convert::started(request_id, capture.started());
    sender.send(response(Event::Started(started))).await?;
    loop {
        match capture.next(&state.runtime).await? {
            CaptureEvent::Activation(activation) => {
                for part in parts(activation) {
                    sender.send(response(Event::Activation(part))).await?;
                }
            }
            CaptureEvent::Finished(finished) => {
                let finished = convert::capture_finished(finished)?;
                return sender.send(response(Event::Finished(finished))).await;
            }
        }
    }
}

/// Cuts an activation into parts of at most `PART` bytes; one without values is one part.
pub(super) fn parts(mut activation: CapturedActivation) -> impl Iterator<Item = v1::Activation> {
    // Taken out first, so that no part copies the whole.
    let data = std::mem::take(&mut activation.data);
    let mut whole = convert::activation(activation);
    whole.size = data.len() as u64;
    // One at least: without values there are still a shape and tokens to send.
    let count = data.len().div_ceil(PART).max(1);
    (0..count).map(move |i| {
        // `data` is in the order of its shape, whose last axis runs fastest; a part may end within
        // a row.
        let range = i * PART..((i + 1) * PART).min(data.len());
        v1::Activation {
            data: data[range].to_vec(),
            offset: (i * PART) as u64,
            // The first part has the likeliest tokens.
            top: std::mem::take(&mut whole.top),
            features: std::mem::take(&mut whole.features),
            positions: std::mem::take(&mut whole.positions),
            ..whole.clone()
        }
    })
}
