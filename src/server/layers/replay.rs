//! Answers a call that is tried again from the run that exists: calls of one API key with the same
//! `idempotency-key` are one run, however many of them there are.
//!
//! The run is a task of its own. What it answers is kept, as far as the memory for it goes, and each
//! of its calls reads that from the beginning. So a client whose connection broke asks again and
//! misses nothing, and nothing is computed twice. A run that nobody reads any more goes on for a
//! while, for whoever asks again; what has ended well is kept for some minutes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use metrics::gauge;
use tokio::sync::watch;
use tonic::Status;

use super::context;
use crate::api::Error;
use crate::server::ApiKeys;
use crate::telemetry::names;

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
/// Keeps what has ended well for so long.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// Lets a run go on that nobody reads, for whoever asks again.
const LINGER: Duration = Duration::from_secs(2);
/// Bounds the runs that are remembered, however small.
const MAX_RUNS: usize = 1 << 14;
/// Bounds what waits for the readers of a run that is too large to be kept.
const UNREAD: u64 = 1 << 20;
/// Bytes before a message: a flag and its length.
const FRAME_HEAD: usize = 5;

/// Joins a call to the run of its key, or begins one.
pub(super) async fn join(State(replays): State<Replays>, request: Request, next: Next) -> Response {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    let key = request.headers().get(KEY).cloned();
    let Some(key) = key.filter(|_| METHODS.contains(&method) && replays.0.max_bytes > 0) else {
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
    let context = context::of(&mut request).clone();
    let failed = |error: Error| error.status(&context.id, Duration::ZERO);
    let key = key_of(key).ok_or_else(|| failed(Error::IdempotencyKey))?;
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, replays.0.message_bytes + FRAME_HEAD).await;
    // The layers before say by a status why they read no further.
    let bytes = bytes.map_err(|e| status_in(&e).unwrap_or_else(|| failed(Error::from_body(&e))))?;
    let message = bytes.clone();
    // A message of many MiB would keep other connections waiting.
    let digest = tokio::task::spawn_blocking(move || digest(&path, &message)).await;
    let digest = digest.map_err(|e| failed(Error::fault(e)))?;
    let name = (context.client.tenant.clone(), key);
    let (run, is_new) = replays.run(name, digest).map_err(failed)?;
    let reader = Reader::new(run.clone());
    if is_new {
        let request = Request::from_parts(parts, Body::from(bytes));
        tokio::spawn(execute(replays.clone(), run, request, next));
    } else {
        context.metrics.set_replayed();
    }
    Ok(reader)
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
    let mut is_good = false;
    let work = async {
        let (parts, mut body) = next.run(request).await.into_parts();
        is_good = parts.headers.get("grpc-status").is_none_or(|s| s == "0");
        run.lock().head = Some(parts.headers);
        if body.is_end_stream() {
            return;
        }
        run.wake();
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(trailers) = frame.trailers_ref() {
                is_good = trailers.get("grpc-status").is_some_and(|s| s == "0");
            }
            replays.push(&run, frame);
            run.room().await;
        }
    };
    let is_complete = tokio::select! {
        () = work => true,
        () = run.abandoned() => false,
    };
    replays.finish(&run, is_complete && is_good);
}

/// Holds the runs of a server.
#[derive(Debug, Clone)]
pub(in crate::server) struct Replays(Arc<Table>);

#[derive(Debug)]
struct Table {
    /// Bytes of all answers that are kept; each key has an equal part.
    max_bytes: u64,
    message_bytes: usize,
    keys: ApiKeys,
    runs: Mutex<Runs>,
}

/// Names a run: who asks, and the key.
type Name = (Arc<str>, String);

#[derive(Debug, Default)]
struct Runs {
    by_name: HashMap<Name, Arc<Run>>,
    /// Runs that have ended, the first in front.
    ended: VecDeque<(Instant, Arc<Run>)>,
    /// The same by who asked.
    ended_of: HashMap<Arc<str>, Ended>,
    /// Bytes that are kept, by who asks.
    bytes: HashMap<Arc<str>, u64>,
}

/// Runs of one caller that have ended.
#[derive(Debug, Default)]
struct Ended {
    count: usize,
    /// Lists those whose answer is kept, the first in front.
    kept: VecDeque<Arc<Run>>,
}

impl Replays {
    /// Creates a table that keeps answers of `max_bytes`, none where that is 0.
    pub(in crate::server) fn new(max_bytes: u64, message_bytes: usize, keys: ApiKeys) -> Self {
        Self(Arc::new(Table {
            max_bytes,
            message_bytes,
            keys,
            runs: Mutex::default(),
        }))
    }

    /// Returns the run of that name, and whether it is new. Fails where the name is that of another
    /// request, or the run's answer is not there any more.
    fn run(&self, name: Name, digest: blake3::Hash) -> Result<(Arc<Run>, bool), Error> {
        let mut runs = self.lock();
        runs.forget_old();
        if let Some(run) = runs.by_name.get(&name) {
            if run.digest != digest {
                return Err(Error::IdempotencyMismatch);
            }
            if run.lock().is_cut {
                return Err(Error::NotReplayable);
            }
            return Ok((run.clone(), false));
        }
        // Without keys anybody may call themselves any tenant: all are one.
        let owner = if self.0.keys.is_empty() {
            Arc::default()
        } else {
            name.0.clone()
        };
        let run = Arc::new(Run::new(name.clone(), owner, digest));
        runs.by_name.insert(name, run.clone());
        Ok((run, true))
    }

    /// Adds to the answer of a run. What is too much to be kept goes to those who read now.
    fn push(&self, run: &Run, frame: Frame<Bytes>) {
        let size = frame.data_ref().map_or(256, Bytes::len) as u64;
        // One lock at a time: others take the table's first.
        let is_cut = run.lock().is_cut;
        if !is_cut && !self.lock().reserve(run, size, self.share()) {
            self.lock().release(run);
            let mut state = run.lock();
            state.is_cut = true;
            state.settle();
        }
        let mut state = run.lock();
        state.frames.push_back((Kept::from(frame), size));
        state.unread += size;
        if !state.is_cut {
            state.bytes += size;
        }
        drop(state);
        run.wake();
    }

    /// Ends a run. One that has not ended well is forgotten: whoever asks again gets a new one.
    fn finish(&self, run: &Arc<Run>, is_good: bool) {
        run.lock().is_done = true;
        let mut runs = self.lock();
        if is_good {
            runs.ended.push_back((Instant::now(), run.clone()));
            let own = runs.ended_of.entry(run.owner.clone()).or_default();
            own.count += 1;
            own.kept.push_back(run.clone());
        } else {
            runs.release(run);
            runs.by_name.remove(&run.name);
        }
        drop(runs);
        run.wake();
    }

    /// Returns the bytes that one key may keep.
    fn share(&self) -> u64 {
        self.0.max_bytes / self.0.keys.count().max(1) as u64
    }

    /// Sets the metrics of the bytes that are kept.
    pub(in crate::server) fn report(&self) {
        let used: u64 = self.lock().bytes.values().sum();
        gauge!(names::BUDGET_USED, "budget" => "replays").set(used as f64);
        gauge!(names::BUDGET_LIMIT, "budget" => "replays").set(self.0.max_bytes as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    /// Takes `size` bytes for a run; the oldest answers of the same caller make room.
    fn reserve(&mut self, run: &Run, size: u64, share: u64) -> bool {
        let owner = &run.owner;
        while self.bytes.get(owner).copied().unwrap_or(0) + size > share {
            let own = self.ended_of.get_mut(owner);
            let Some(ended) = own.and_then(|own| own.kept.pop_front()) else {
                return false;
            };
            self.release(&ended);
            let mut state = ended.lock();
            // Its name stays, so that whoever asks again is told and nothing runs twice.
            state.is_cut = true;
            if state.readers.is_empty() {
                state.frames.clear();
            }
        }
        *self.bytes.entry(owner.clone()).or_default() += size;
        true
    }

    /// Gives the bytes of a run back.
    fn release(&mut self, run: &Run) {
        let bytes = std::mem::take(&mut run.lock().bytes);
        if let Some(all) = self.bytes.get_mut(&run.owner) {
            *all = all.saturating_sub(bytes);
            if *all == 0 {
                self.bytes.remove(&run.owner);
            }
        }
    }

    /// Forgets what has ended long ago, and where there are too many, the first of whoever has the
    /// most: none makes others be carried out twice.
    fn forget_old(&mut self) {
        while let Some((at, _)) = self.ended.front() {
            if at.elapsed() >= KEPT_FOR {
                self.forget(0);
            } else if self.ended.len() >= MAX_RUNS {
                let most = self.ended_of.iter().max_by_key(|(_, own)| own.count);
                let of_most = |(_, run): &(Instant, Arc<Run>)| {
                    most.is_some_and(|(owner, _)| run.owner == *owner)
                };
                let first = self.ended.iter().position(of_most);
                self.forget(first.unwrap_or_default());
            } else {
                return;
            }
        }
    }

    fn forget(&mut self, at: usize) {
        let Some((_, run)) = self.ended.remove(at) else {
            return;
        };
        self.release(&run);
        self.by_name.remove(&run.name);
        if let Some(own) = self.ended_of.get_mut(&run.owner) {
            own.count -= 1;
            if own.count == 0 {
                self.ended_of.remove(&run.owner);
            } else if own.kept.front().is_some_and(|kept| Arc::ptr_eq(kept, &run)) {
                own.kept.pop_front();
            }
        }
    }
}

/// A run: one call that is carried out, and what it has answered so far.
struct Run {
    name: Name,
    /// Names whose part of the memory it takes.
    owner: Arc<str>,
    /// Digest of method and message.
    digest: blake3::Hash,
    state: Mutex<RunState>,
    /// Counts those who read.
    readers: watch::Sender<usize>,
    /// Changes whenever a reader has read.
    read: watch::Sender<()>,
}

#[derive(Default)]
struct RunState {
    /// The response's head, once it is there.
    head: Option<HeaderMap>,
    /// Frames with their sizes.
    frames: VecDeque<(Kept, u64)>,
    /// Frames that were dropped in front of these.
    dropped: usize,
    /// Bytes that count as kept.
    bytes: u64,
    /// Bytes of the frames that the slowest reader has not seen.
    unread: u64,
    /// Set once the beginning is not kept any more.
    is_cut: bool,
    is_done: bool,
    /// The place of each reader, by its number.
    readers: HashMap<usize, usize>,
    next_reader: usize,
    wakers: Vec<Waker>,
}

/// A frame that can be sent again.
enum Kept {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl From<Frame<Bytes>> for Kept {
    fn from(frame: Frame<Bytes>) -> Self {
        match frame.into_data() {
            Ok(data) => Self::Data(data),
            Err(frame) => Self::Trailers(frame.into_trailers().unwrap_or_default()),
        }
    }
}

impl Kept {
    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Run {
    fn new(name: Name, owner: Arc<str>, digest: blake3::Hash) -> Self {
        Self {
            name,
            owner,
            digest,
            state: Mutex::default(),
            readers: watch::Sender::new(0),
            read: watch::Sender::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut self.lock().wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until the readers of a run that is not kept have read most of it.
    async fn room(&self) {
        let mut read = self.read.subscribe();
        // The sender lives as long as the run.
        let _ = read.wait_for(|()| !self.is_full()).await;
    }

    fn is_full(&self) -> bool {
        let state = self.lock();
        state.is_cut && state.unread > UNREAD
    }

    /// Waits until nobody has read for a while, or nobody could any more.
    async fn abandoned(&self) {
        let mut readers = self.readers.subscribe();
        loop {
            let _ = readers.wait_for(|&count| count == 0).await;
            if self.lock().is_cut {
                return;
            }
            let joined = readers.wait_for(|&count| count > 0);
            if tokio::time::timeout(LINGER, joined).await.is_err() {
                return;
            }
        }
    }
}

impl RunState {
    /// Returns how many frames all readers have seen.
    fn seen(&self) -> usize {
        let end = self.dropped + self.frames.len();
        self.readers.values().copied().min().unwrap_or(end)
    }

    /// Counts what the slowest reader has not seen; of a run that is not kept the rest goes.
    fn settle(&mut self) {
        let seen = self.seen();
        if self.is_cut {
            while self.dropped < seen && self.frames.pop_front().is_some() {
                self.dropped += 1;
            }
        }
        let unseen = self.frames.iter().skip(seen.saturating_sub(self.dropped));
        self.unread = unseen.map(|(_, size)| size).sum();
    }
}

/// Reads the answer of a run from its beginning.
struct Reader {
    run: Arc<Run>,
    number: usize,
}

impl Reader {
    fn new(run: Arc<Run>) -> Self {
        let mut state = run.lock();
        let number = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(number, 0);
        drop(state);
        run.readers.send_modify(|count| *count += 1);
        Self { run, number }
    }

    /// Waits for the head and returns the response.
    async fn response(self) -> Response {
        let head = std::future::poll_fn(|context| {
            let mut state = self.run.lock();
            match &state.head {
                Some(head) => Poll::Ready(head.clone()),
                // It ended without one: nobody has read it for long.
                None if state.is_done => Poll::Ready(HeaderMap::new()),
                None => {
                    state.wakers.push(context.waker().clone());
                    Poll::Pending
                }
            }
        });
        let head = head.await;
        let mut response = Response::new(Body::new(self));
        *response.headers_mut() = head;
        response
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.run.lock();
        let at = state.readers.get(&self.number).copied().unwrap_or(0);
        let frame = at
            .checked_sub(state.dropped)
            .and_then(|at| state.frames.get(at))
            .map(|(kept, _)| kept.frame());
        let Some(frame) = frame else {
            if state.is_done {
                return Poll::Ready(None);
            }
            state.wakers.push(context.waker().clone());
            return Poll::Pending;
        };
        state.readers.insert(self.number, at + 1);
        if state.is_cut {
            state.settle();
        }
        drop(state);
        self.run.read.send_replace(());
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.run.lock();
        let at = state.readers.get(&self.number).copied().unwrap_or(0);
        state.is_done && at >= state.dropped + state.frames.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.run.lock();
        state.readers.remove(&self.number);
        state.settle();
        drop(state);
        self.run.readers.send_modify(|count| *count -= 1);
        self.run.read.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has a call of `owner` carried out, unless it is known; returns whether it was.
    fn end(replays: &Replays, owner: &str, call: usize) -> bool {
        let digest = blake3::hash(b"the same");
        let name = (owner.into(), call.to_string());
        let (run, is_new) = replays.run(name, digest).unwrap();
        if is_new {
            replays.push(&run, Frame::data(Bytes::from_static(&[0; 100])));
            replays.finish(&run, true);
        }
        is_new
    }

    fn held(replays: &Replays) -> u64 {
        replays.lock().bytes.values().sum()
    }

    #[test]
    fn who_asks_much_makes_nobody_elses_be_forgotten() {
        let line = |name, key: &str| ApiKeys::line(name, &key.repeat(32)).unwrap();
        let keys = [line("polite", "1"), line("greedy", "2")].join("\n");
        let replays = Replays::new(1 << 20, 1 << 20, ApiKeys::parse(&keys).unwrap());
        assert!(end(&replays, "polite", 0));
        for call in 0..2 * MAX_RUNS {
            assert!(end(&replays, "greedy", call));
        }
        assert!(!end(&replays, "polite", 0), "it is still known");
        assert!(!end(&replays, "greedy", 2 * MAX_RUNS - 1));
        assert!(end(&replays, "greedy", 0), "the first is forgotten");
        assert!(held(&replays) <= 1 << 20);
        let runs = replays.lock();
        assert!(runs.ended.len() <= MAX_RUNS);
        let counted: usize = runs.ended_of.values().map(|own| own.count).sum();
        assert_eq!(counted, runs.ended.len());
    }

    #[test]
    fn without_keys_all_names_have_one_part() {
        let replays = Replays::new(1 << 16, 1 << 20, ApiKeys::default());
        for call in 0..2000 {
            assert!(end(&replays, &format!("tenant-{call}"), call));
        }
        assert!(held(&replays) <= 1 << 16);
    }
}
