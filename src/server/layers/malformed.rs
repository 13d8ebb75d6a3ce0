//! Blames the client for a message that does not decode, which tonic calls a fault of the server.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tonic::Status;

use super::arrival;
use crate::api::Error;

/// Replaces tonic's status, which stands in the head, since no handler was called.
pub(super) async fn blame(mut request: Request, next: Next) -> Response {
    let id = arrival::context(&mut request).id.clone();
    let response = next.run(request).await;
    let status = Status::from_header_map(response.headers());
    match status.as_ref().and_then(Error::malformed) {
        Some(error) => error.status(&id, Duration::ZERO).into_http(),
        None => response,
    }
}
