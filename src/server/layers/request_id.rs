//! Gives every request a context with an id.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use crate::pipeline::RequestContext;

/// Starts the context of a request under a fresh id.
pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(RequestContext::default());
    next.run(request).await
}
