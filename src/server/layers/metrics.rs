//! Records a request once its stream has ended: a stream that fails late has failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use metrics::{SharedString, counter, histogram};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::body::{Observer, watch};
use super::context;
use crate::api::v1;
use crate::openai;
use crate::pipeline::RequestContext;
use crate::telemetry::names;

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

/// Records the code and duration of a request, and logs what failed through the server's fault.
pub(super) async fn record(
    State(methods): State<Methods>,
    mut request: Request,
    next: Next,
) -> Response {
    // What is no rpc is answered with UNIMPLEMENTED, and not counted.
    let Some(method) = methods.0.get(request.uri().path()).cloned() else {
        return next.run(request).await;
    };
    let mut recorder = Recorder {
        method,
        context: context::of(&mut request).clone(),
        start: Instant::now(),
        code: Code::Cancelled,
    };
    let response = next.run(request).await;
    // An error without a stream has its status in the head.
    recorder.trailers(response.headers());
    watch(response, recorder)
}

/// Records a request when it is dropped: with the status that it saw, or as cancelled.
struct Recorder {
    method: SharedString,
    context: RequestContext,
    start: Instant,
    code: Code,
}

impl Observer for Recorder {
    fn trailers(&mut self, trailers: &HeaderMap) {
        let Some(status) = Status::from_header_map(trailers) else {
            return;
        };
        self.code = status.code();
        if let Some(reason) = rejection(&status) {
            counter!(names::REQUESTS_REJECTED, "reason" => reason).increment(1);
        }
        if status.code() == Code::Internal {
            let error = status.message();
            tracing::error!(request_id = %self.context.id, error, "request failed");
        }
    }
}

/// Returns the label of a request that was refused before it ran.
fn rejection(status: &Status) -> Option<&'static str> {
    match status.get_details_error_info()?.reason.as_str() {
        "QUEUE_FULL" => Some("queue_full"),
        "BACKLOG" | "KV_BUDGET" | "BUDGET" => Some("budget"),
        "DRAINING" => Some("draining"),
        _ => None,
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Self {
            method, context, ..
        } = self;
        let (elapsed, code) = (self.start.elapsed(), format!("{:?}", self.code));
        let (model, seconds) = (context.metrics.model(), elapsed.as_secs_f64());
        histogram!(names::REQUEST_DURATION, "method" => method.clone()).record(elapsed);
        tracing::info!(%method, model, %code, seconds, "request");
        counter!(
            names::REQUESTS,
            "method" => method.clone(), "model" => model.to_owned(), "code" => code
        )
        .increment(1);
    }
}
