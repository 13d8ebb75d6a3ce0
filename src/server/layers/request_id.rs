//! Gives every request a context with an id, which the response's head repeats.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::pipeline::RequestContext;

/// Carries the id in metadata, both ways.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a client's id at most.
const MAX_ID: usize = 128;

/// Starts the context of a request under its client's id, or a fresh one.
pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    let mut context = RequestContext::default();
    if let Some(id) = id_of_client(request.headers()) {
        context.id = id;
    }
    // Both kinds are visible ASCII.
    let value = HeaderValue::from_str(&context.id);
    request.extensions_mut().insert(context);
    let mut response = next.run(request).await;
    if let Ok(value) = value {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// Returns the id that the client has sent, if logs can show it as it is.
fn id_of_client(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let fits = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_visible_ascii() {
        let id = |value: &str| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            id_of_client(&HeaderMap::from_iter([(HEADER, value)]))
        };
        assert_eq!(id("run-7/item-3").as_deref(), Some("run-7/item-3"));
        for bad in ["", "a b", "\u{e4}", &"a".repeat(129)] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
