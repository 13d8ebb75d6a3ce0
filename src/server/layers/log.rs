//! Writes a line of the log for every request that ends, refused ones included, and one more for
//! those that change what the server holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use metrics::SharedString;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::arrival::{self, Method};
use super::body::{Observer, watch, watched};
use crate::pipeline::RequestContext;
use crate::telemetry::{AUDIT, RequestSpan, export_request, traces_are_exported};

/// Methods that only an admin may call where keys are used.
const ADMIN: [&str; 4] = ["LoadModel", "UnloadModel", "LoadProjector", "CheckParity"];

/// Logs a request once its stream has ended.
pub(super) async fn record(mut request: Request, next: Next) -> Response {
    let bytes_in = Arc::new(AtomicU64::new(0));
    let mut line = Line {
        method: Method::of(&request).or_unknown(),
        context: arrival::context(&mut request).clone(),
        start: Instant::now(),
        // Stays where no status was seen: the client has left.
        code: Code::Cancelled,
        reason: None,
        parent: parent(request.headers()),
        bytes_in: bytes_in.clone(),
        bytes_out: 0,
    };
    let request = request.map(|inner| watched(inner, Counter(bytes_in)));
    let response = next.run(request).await;
    // An error without a stream has its status in the head.
    line.trailers(response.headers());
    watch(response, line)
}

/// Holds what is logged of a request. It is written when the body is dropped.
struct Line {
    method: SharedString,
    context: RequestContext,
    start: Instant,
    code: Code,
    reason: Option<String>,
    /// The client's `traceparent` and `tracestate`.
    parent: [Option<String>; 2],
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
}

impl Observer for Line {
    fn data(&mut self, data: &Bytes) {
        self.bytes_out += data.len() as u64;
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        let Some(status) = Status::from_header_map(trailers) else {
            return;
        };
        self.code = status.code();
        self.reason = status.get_details_error_info().map(|info| info.reason);
        if status.code() == Code::Internal {
            let error = status.message();
            tracing::error!(request_id = self.context.id, ?error, "request failed");
        }
    }
}

impl Line {
    /// Exports the request as a trace.
    fn trace(&self, code: &str) {
        if !traces_are_exported() {
            return;
        }
        let learned = &self.context.metrics;
        let (computed, reused) = learned.rows();
        let attributes = [
            ("rpc.system", "grpc"),
            ("rpc.method", &*self.method),
            ("scotoma.request_id", &self.context.id),
            ("scotoma.key", learned.caller()),
            ("scotoma.model", learned.model()),
        ];
        let [traceparent, tracestate] = &self.parent;
        export_request(RequestSpan {
            method: &self.method,
            parent: [traceparent.as_deref(), tracestate.as_deref()],
            start: self.start,
            code,
            reason: self.reason.as_deref(),
            attributes: attributes
                .map(|(name, value)| (name, value.to_owned()))
                .to_vec(),
            counts: vec![
                ("rpc.grpc.status_code", i32::from(self.code) as u64),
                ("scotoma.rows_computed", computed),
                ("scotoma.rows_reused", reused),
                ("scotoma.tokens", learned.tokens() as u64),
            ],
            stages: learned.take_stages(),
        });
    }
}

/// Returns what a client says of the span that it is in, short enough to be so.
fn parent(headers: &HeaderMap) -> [Option<String>; 2] {
    ["traceparent", "tracestate"].map(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        // What Trace Context asks servers to hand on of a `tracestate`; a header may be far longer.
        (value.len() <= 512).then(|| value.to_owned())
    })
}

impl Drop for Line {
    fn drop(&mut self) {
        let learned = &self.context.metrics;
        let (rows_computed, rows_reused) = learned.rows();
        let first_token = learned.first_token();
        let code = format!("{:?}", self.code);
        tracing::info!(
            target: "scotoma::request",
            request_id = self.context.id,
            key = learned.caller(),
            method = %self.method,
            model = learned.model(),
            code,
            reason = self.reason,
            tokens = learned.tokens(),
            rows_computed,
            rows_reused,
            first_token_seconds = first_token.map(|at| (at - self.start).as_secs_f64()),
            seconds = self.start.elapsed().as_secs_f64(),
            bytes_in = self.bytes_in.load(Ordering::Relaxed),
            bytes_out = self.bytes_out,
            replayed = learned.is_replayed().then_some(true),
            "request"
        );
        self.trace(&code);
        if ADMIN.contains(&&*self.method) {
            tracing::info!(
                target: AUDIT,
                request_id = self.context.id,
                key = learned.caller(),
                method = %self.method,
                asked = learned.asked(),
                code,
                reason = self.reason,
                seconds = self.start.elapsed().as_secs_f64(),
                "admin call"
            );
        }
    }
}

/// Counts the bytes of a request as they come.
struct Counter(Arc<AtomicU64>);

impl Observer for Counter {
    fn data(&mut self, data: &Bytes) {
        self.0.fetch_add(data.len() as u64, Ordering::Relaxed);
    }
}
