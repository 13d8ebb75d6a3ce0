//! Turns requests away from a server that goes down, and in the end cuts off those that are left.

use std::pin::Pin;
use std::task::Context;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tonic::Status;

use super::body::{Observer, watch};
use super::context;
use crate::api::{Error, RESTART_DELAY};
use crate::engine;
use crate::pipeline::{InFlight, Phase, RequestContext};

/// Refuses what comes too late, and otherwise does as [`cut`].
pub(super) async fn refuse(
    State(in_flight): State<InFlight>,
    mut request: Request,
    next: Next,
) -> Response {
    if in_flight.phase() == Phase::Serving {
        return cut(State(in_flight), request, next).await;
    }
    going_down(context::of(&mut request)).into_http()
}

/// Ends a response that is not complete when the server has waited long enough, or when nothing but
/// streams without an end are left.
pub(super) async fn cut(
    State(in_flight): State<InFlight>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = context::of(&mut request).clone();
    let mut ending: Ending = Box::pin(in_flight.reached(Phase::Ending));
    tokio::select! {
        // A response that is there is better than a refusal.
        biased;
        response = next.run(request) => {
            let scissors = Scissors { ending: Some(ending), context };
            watch(response, scissors)
        }
        () = &mut ending => going_down(&context).into_http(),
    }
}

type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Cuts a stream short once the server ends.
struct Scissors {
    /// `None` once it has cut: the body is empty then, and ends by itself.
    ending: Option<Ending>,
    context: RequestContext,
}

impl Observer for Scissors {
    fn cut_short(&mut self, context: &mut Context<'_>) -> Option<HeaderMap> {
        let ending = self.ending.as_mut()?;
        if ending.as_mut().poll(context).is_pending() {
            return None;
        }
        self.ending = None;
        let mut trailers = HeaderMap::new();
        // Fails for messages that no header can hold; this one is ours.
        let _ = going_down(&self.context).add_header(&mut trailers);
        Some(trailers)
    }
}

fn going_down(context: &RequestContext) -> Status {
    Error::from(engine::Error::Draining).status(&context.id, RESTART_DELAY)
}
