//! Counts the requests of each connection, so that those without any can be closed.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::auth::peer;
use super::body::{Observer, watch};
use crate::server::connections::{Peer, RunningRequest};

/// Counts a request until its stream ends.
pub(in crate::server) async fn count_requests(request: Request, next: Next) -> Response {
    let Some(guard) = peer(request.extensions()).map(Peer::request) else {
        return next.run(request).await;
    };
    watch(next.run(request).await, guard)
}

/// Being dropped with the body is all that a guard does.
impl Observer for RunningRequest {}
