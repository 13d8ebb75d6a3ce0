//! Takes requests in: counts each until its stream ends, for its connection and for a server that
//! goes down, and gives it the context that the layers behind read and fill in.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use metrics::SharedString;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::body::{Observer, watch};
use crate::api::v1;
use crate::openai;
use crate::pipeline::{InFlight, InFlightGuard, RequestContext};
use crate::server::connections::{Peer, RunningRequest};

/// Carries the id in metadata, both ways.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a client's id at most.
const MAX_ID: usize = 128;

/// Counts a request of its connection until its stream ends: connections without any are closed.
pub(in crate::server) async fn count_requests(request: Request, next: Next) -> Response {
    let Some(guard) = peer(request.extensions()).map(Peer::request) else {
        return next.run(request).await;
    };
    watch(next.run(request).await, guard)
}

/// Returns the other end of the connection that a request came by.
pub(super) fn peer(extensions: &Extensions) -> Option<&Peer> {
    extensions.get::<Peer>()
}

/// Starts the context of a request, under its client's id or a fresh one, which the response's head
/// repeats.
pub(super) async fn begin(
    State((in_flight, methods)): State<(InFlight, Methods)>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut context = RequestContext::default();
    if let Some(id) = id_of_client(request.headers()) {
        context.id = id;
    }
    let method = Method(methods.0.get(request.uri().path()).cloned());
    let guard = in_flight.guard(method.or_unknown());
    // For work that outlives the stream; the body has another one.
    context.in_flight = Some(guard.clone());
    // Both kinds of ids are visible ASCII.
    let id = HeaderValue::from_str(&context.id);
    request.extensions_mut().insert(context);
    request.extensions_mut().insert(method);
    // Held by the body, so that a stream counts until it ends.
    let mut response = watch(next.run(request).await, guard);
    if let Ok(id) = id {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

/// Returns the context of `request`, for a layer to fill in.
pub(super) fn context(request: &mut Request) -> &mut RequestContext {
    // Services that need no key have none yet: they stand behind no other layer.
    request
        .extensions_mut()
        .get_or_insert_default::<RequestContext>()
}

/// Returns the id that the client has sent, if logs can show it as it is.
fn id_of_client(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let fits = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| id.to_owned())
}

/// Maps the path of each rpc to its label, so that no client can invent one.
#[derive(Debug, Clone)]
pub(super) struct Methods(Arc<HashMap<String, SharedString>>);

impl Methods {
    /// Reads the rpcs from the contract's own descriptor, and adds what OpenAI's API has.
    pub(super) fn all() -> Self {
        let mut paths = HashMap::new();
        // It is compiled in, so it decodes.
        let descriptors = FileDescriptorSet::decode(v1::DESCRIPTOR).unwrap_or_default();
        for file in &descriptors.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    paths.insert(path, method.name().to_owned().into());
                }
            }
        }
        for (path, label) in openai::METHODS {
            paths.insert(path.to_owned(), label.into());
        }
        Self(Arc::new(paths))
    }
}

/// The label of a request's method; `None` where it is no rpc.
#[derive(Debug, Clone, Default)]
pub(super) struct Method(Option<SharedString>);

impl Method {
    /// Returns the method that [`begin`] has found.
    pub(super) fn of(request: &Request) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// Returns the label, if it is an rpc.
    pub(super) fn rpc(self) -> Option<SharedString> {
        self.0
    }

    /// Returns the label, or `unknown`: a path is the client's to choose.
    pub(super) fn or_unknown(&self) -> SharedString {
        self.0.clone().unwrap_or_else(|| "unknown".into())
    }
}

// Being dropped with the body is all that a guard does.
impl Observer for RunningRequest {}
impl Observer for Arc<InFlightGuard> {}

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
