//! Answers a call that is tried again from the run that exists: calls of one API key with the same
//! `idempotency-key` are one run, however many of them there are.
//!
//! The run is a task of its own. What it answers is kept, as far as the memory for it goes, and each
//! of its calls reads that from the beginning. So a client whose connection broke asks again and
//! misses nothing, and nothing is computed twice. A run that nobody reads any more goes on for a
//! while, for whoever asks again; what has ended well is kept for some minutes.

mod run;
mod table;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use tokio::task::JoinError;
use tonic::Status;

use super::arrival;
use crate::api::Error;
use run::{Reader, Run};
pub(in crate::server) use table::Replays;

/// Names the run in the metadata of a call.
const KEY: &str = "idempotency-key";
/// Characters of a key at most.
const MAX_KEY: usize = 128;
/// Methods whose calls can be replayed: one message asks. An Evaluate goes on by what it knows, and
/// the others may be asked again without harm.
const METHODS: [&str; 7] = [
    "Generate",
    "Score",
    "Sweep",
    "Capture",
    "Trace",
    "Attribute",
    "UploadImage",
];
/// Bytes before a message: a flag and its length.
const FRAME_HEAD: usize = 5;

/// Bytes of a message that is digested where it is read, within a tenth of a millisecond. For more
/// other connections would wait; for less, a burst of calls would start threads, each of which
/// keeps some MiB of what it has used as long as there are calls.
const DIGESTED_HERE: usize = 1 << 16;

/// Joins a call to the run of its key, or begins one.
pub(super) async fn join(State(replays): State<Replays>, request: Request, next: Next) -> Response {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    let key = request.headers().get(KEY).cloned();
    // With `--replay-mib 0` a key says nothing, and every call runs.
    let Some(key) = key.filter(|_| METHODS.contains(&method) && replays.keeps_any()) else {
        return next.run(request).await;
    };
    match begin(&replays, &key, request, next).await {
        Ok(reader) => reader.response().await,
        Err(status) => status.into_http(),
    }
}

/// Returns a reader of the run, and starts that where there is none.
async fn begin(
    replays: &Replays,
    key: &HeaderValue,
    mut request: Request,
    next: Next,
) -> Result<Reader, Status> {
    let context = arrival::context(&mut request).clone();
    let failed = |error: Error| error.status(&context.id, Duration::ZERO);
    let key = key_of(key).ok_or_else(|| failed(Error::IdempotencyKey))?;
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    // The limit is that of a message; its head of five bytes comes beside it.
    let bytes = to_bytes(body, replays.message_bytes() + FRAME_HEAD).await;
    // The layers before say by a status why they read no further.
    let bytes = bytes.map_err(|e| status_in(&e).unwrap_or_else(|| failed(Error::from_body(&e))))?;
    let digest = digest_of(path, bytes.clone())
        .await
        .map_err(|e| failed(Error::fault(e)))?;
    let name = (context.client.tenant.clone(), key);
    let (reader, run) = replays.join(name, digest, &context).map_err(failed)?;
    if let Some(run) = run {
        let request = Request::from_parts(parts, Body::from(bytes));
        // Not joined: it outlives this call where another one reads on.
        tokio::spawn(execute(replays.clone(), run, request, next));
    } else {
        context.metrics.set_replayed();
    }
    Ok(reader)
}

/// Returns the digest of method and message, a large one's from a thread of its own.
async fn digest_of(path: String, message: Bytes) -> Result<blake3::Hash, JoinError> {
    if message.len() <= DIGESTED_HERE {
        return Ok(digest(&path, &message));
    }
    tokio::task::spawn_blocking(move || digest(&path, &message)).await
}

/// Returns the digest of method and message.
fn digest(path: &str, message: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(path.as_bytes()).update(&[0]).update(message);
    hasher.finalize()
}

/// Returns the status that an error was made of, if one was.
fn status_in(error: &(dyn std::error::Error + 'static)) -> Option<Status> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|error| error.downcast_ref::<Status>().cloned())
}

/// Returns a key that may be one: a word of ASCII.
fn key_of(value: &HeaderValue) -> Option<String> {
    let key = value.to_str().ok()?;
    let fits = (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| key.to_owned())
}

/// Runs a call to its end, or until nobody has read it for a while.
async fn execute(replays: Replays, run: Arc<Run>, request: Request, next: Next) {
    let mut ending = Ending {
        replays: replays.clone(),
        run: run.clone(),
        is_good: None,
    };
    // Dropped before `ending`, which is what cancels it in the engine.
    let mut work = pin!(carry_out(&replays, &run, request, next));
    loop {
        tokio::select! {
            is_good = &mut work => {
                ending.is_good = is_good;
                return;
            }
            () = run.abandoned() => {
                if replays.give_up(&run) {
                    return;
                }
            }
        }
    }
}

/// Ends a run as it is dropped: after a panic, too, its readers would else wait for ever.
struct Ending {
    replays: Replays,
    run: Arc<Run>,
    /// `None` until its answer has ended.
    is_good: Option<bool>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.replays.finish(&self.run, self.is_good);
    }
}

/// Keeps what a call answers; returns whether it ended well, `None` where it broke off.
async fn carry_out(
    replays: &Replays,
    run: &Arc<Run>,
    request: Request,
    next: Next,
) -> Option<bool> {
    let (parts, mut body) = next.run(request).await.into_parts();
    let mut is_good = parts.headers.get("grpc-status").is_none_or(|s| s == "0");
    run.lock().head = Some(parts.headers);
    // An error without a stream; `finish` wakes those that wait for its head.
    if body.is_end_stream() {
        return Some(is_good);
    }
    run.wake();
    while let Some(frame) = body.frame().await {
        let frame = frame.ok()?;
        if let Some(trailers) = frame.trailers_ref() {
            is_good = trailers.get("grpc-status").is_some_and(|s| s == "0");
        }
        replays.push(run, frame);
        // Waits only where the answer is not kept: then its slowest reader sets the pace.
        run.room().await;
    }
    Some(is_good)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use tonic::Code;
    use tower::ServiceExt as _;

    use super::*;
    use crate::server::ApiKeys;

    #[tokio::test]
    async fn a_run_that_panics_ends_its_calls() {
        async fn fail(body: Bytes) -> StatusCode {
            assert!(!body.is_empty(), "a panic");
            StatusCode::OK
        }
        let replays = Replays::new(1 << 20, 1 << 20, ApiKeys::default());
        let service = Router::new()
            .route("/Generate", post(fail))
            .layer(from_fn_with_state(replays, join));
        let request = Request::post("/Generate").header(KEY, "a");
        let answer = service.oneshot(request.body(Body::empty()).unwrap());
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await;
        let answer = answer.expect("it has to end").unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal, "{status}");
    }
}
