//! Counts requests from their arrival to the end of their stream.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::body::{Observer, watch};
use super::context;
use crate::pipeline::{InFlight, InFlightGuard};

/// Holds a guard in the context, for work that outlives the stream, and in the body.
pub(super) async fn count(
    State(in_flight): State<InFlight>,
    mut request: Request,
    next: Next,
) -> Response {
    let guard = in_flight.guard();
    context::of(&mut request).in_flight = Some(guard.clone());
    watch(next.run(request).await, guard)
}

/// Being dropped with the body is all that a guard does.
impl Observer for Arc<InFlightGuard> {}
