//! Counts requests from their arrival to the end of their stream.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::body::{Observer, watch};
use super::context;
use super::metrics::Methods;
use crate::pipeline::{InFlight, InFlightGuard};

/// Holds a guard in the context, for work that outlives the stream, and in the body.
pub(super) async fn count(
    State((in_flight, methods)): State<(InFlight, Methods)>,
    mut request: Request,
    next: Next,
) -> Response {
    // A path is the client's to choose.
    let method = methods.of(&request).unwrap_or_else(|| "unknown".into());
    let guard = in_flight.guard(method);
    context::of(&mut request).in_flight = Some(guard.clone());
    watch(next.run(request).await, guard)
}

/// Being dropped with the body is all that a guard does.
impl Observer for Arc<InFlightGuard> {}
