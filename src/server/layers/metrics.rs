//! Counts a request once its stream has ended: a stream that fails late has failed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use metrics::{SharedString, counter, histogram};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::arrival::{self, Method};
use super::body::{Observer, watch};
use crate::pipeline::RequestContext;
use crate::telemetry::{model_label, names};

/// Records the code and duration of a request.
pub(super) async fn record(
    State(by_key): State<ByKey>,
    mut request: Request,
    next: Next,
) -> Response {
    // What is no rpc is answered with UNIMPLEMENTED, and not counted.
    let Some(method) = Method::of(&request).rpc() else {
        return next.run(request).await;
    };
    let mut recorder = Recorder {
        method,
        by_key,
        context: arrival::context(&mut request).clone(),
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
