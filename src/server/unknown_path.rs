//! Answers requests that are no gRPC and whose path nothing else serves: with what is served.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::field_path::shown;

/// Says what is served beside OpenAI's API and metrics.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served {
    /// Tells whether the page is.
    pub(super) page: bool,
    /// Names the services of gRPC.
    pub(super) services: &'static [&'static str],
}

/// Answers 404 unless a request is gRPC's.
pub(super) async fn explain(
    State(served): State<Served>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let service = path.trim_start_matches('/').split('/').next();
    let of_service =
        service.is_some_and(|name| !name.is_empty() && served.services.contains(&name));
    // gRPC-Web has `application/grpc-web`. The services themselves say what is wrong with a request
    // for one of them.
    let kind = request.headers().get(CONTENT_TYPE);
    if of_service || kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return next.run(request).await;
    }
    let page = if served.page { "the page at /, " } else { "" };
    let text = format!(
        "there is no {} {}; served are {page}OpenAI's API at /v1, metrics at /metrics, and gRPC \
         and gRPC-Web\n",
        request.method(),
        shown(path)
    );
    (StatusCode::NOT_FOUND, text).into_response()
}
