//! Generate on the wire.

use crate::api::rpc::ResponseSender;
use crate::api::v1::{self, generate_response::Event};
use crate::api::{Error, State, convert};
use crate::pipeline::{GenerateEvent, GenerateRequest, Generation, RequestContext};

/// Admits a request.
pub(super) async fn begin(
    state: &State,
    context: &RequestContext,
    message: v1::GenerateRequest,
) -> Result<Generation, Error> {
    let request = request(state, context, message)?;
    Ok(state.generate(request).await?)
}

/// Returns the request that a message makes.
pub(super) fn request(
    state: &State,
    context: &RequestContext,
    mut message: v1::GenerateRequest,
) -> Result<GenerateRequest, Error> {
    // In this order: of several mistakes the first one is reported, and without the model a client
    // cannot mend the others.
    Ok(GenerateRequest {
        model: state.models.resident(context, &message.model)?,
        context: context.clone(),
        sampling: convert::sampling(message.sampling.unwrap_or_default()),
        prompt: convert::prompt(message.prompt)?,
        interventions: convert::request_interventions(&mut message.interventions)?,
        max_tokens: message.max_tokens,
        stop: message.stop,
        top_logprobs: message.top_logprobs,
        sample_key: message.sample_key,
    })
}

/// Sends the events of one answer until it ends.
pub(super) async fn stream(
    request_id: String,
    mut generation: Generation,
    sender: ResponseSender<v1::GenerateResponse>,
) -> Result<(), Error> {
    let response = |event| v1::GenerateResponse { event: Some(event) };
    let started = convert::started(request_id, generation.started());
    sender.send(response(Event::Started(started))).await?;
    loop {
        // Two at last: the last token comes together with the end.
        for event in generation.next().await? {
            match event {
                GenerateEvent::Token(token) => {
                    let token = convert::token(token);
                    sender.send(response(Event::Token(token))).await?;
                }
                GenerateEvent::Finished(finished) => {
                    let finished = convert::finished(finished)?;
                    return sender.send(response(Event::Finished(finished))).await;
                }
            }
        }
    }
}
