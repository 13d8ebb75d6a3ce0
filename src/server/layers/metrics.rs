//! Counts a request once its stream has ended: a stream that fails late has failed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
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
use crate::telemetry::{model_label, names};

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

    /// Returns the label of a request; `None` where it is no rpc.
    pub(super) fn of(&self, request: &Request) -> Option<SharedString> {
        self.0.get(request.uri().path()).cloned()
    }
}

/// Records the code and duration of a request.
pub(super) async fn record(
    State((methods, by_key)): State<(Methods, ByKey)>,
    mut request: Request,
    next: Next,
) -> Response {
    // What is no rpc is answered with UNIMPLEMENTED, and not counted.
    let Some(method) = methods.of(&request) else {
        return next.run(request).await;
    };
    let mut recorder = Recorder {
        method,
        by_key,
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
    by_key: ByKey,
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
    }
}

/// Names of keys that are labels; more would let the page of metrics grow without end.
const MAX_KEYS: usize = 64;

/// Counts requests by the names of their keys, where that is wanted.
#[derive(Debug, Clone)]
pub(in crate::server) struct ByKey(Option<Arc<Mutex<HashSet<String>>>>);

impl ByKey {
    /// Counts by the names of keys, if it `is_wanted`.
    pub(in crate::server) fn new(is_wanted: bool) -> Self {
        Self(is_wanted.then(Arc::default))
    }

    fn count(&self, context: &RequestContext, code: String) {
        let (Some(known), Some(account)) = (&self.0, &context.account) else {
            return;
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let name = account.name.to_string();
        let is_label = known.contains(&name) || known.len() < MAX_KEYS;
        let key = if is_label {
            known.insert(name.clone());
            name
        } else {
            "other".to_owned()
        };
        let (computed, reused) = context.metrics.rows();
        for (kind, rows) in [("computed", computed), ("reused", reused)] {
            counter!(names::KEY_ROWS, "key" => key.clone(), "kind" => kind).increment(rows);
        }
        counter!(names::KEY_REQUESTS, "key" => key, "code" => code).increment(1);
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
        let model = context.metrics.model();
        histogram!(names::REQUEST_DURATION, "method" => method.clone()).record(elapsed);
        counter!(
            names::REQUESTS,
            "method" => method.clone(), "model" => model_label(model), "code" => code.clone()
        )
        .increment(1);
        self.by_key.count(context, code);
    }
}
