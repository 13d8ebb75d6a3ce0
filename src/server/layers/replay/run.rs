//! One call that is carried out, what it has answered so far, and those who read it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::sync::watch;
use tonic::Status;

use crate::api::Error;
use crate::engine::Deadline;
use crate::pipeline::RequestContext;

/// Lets a run go on that nobody reads, for whoever asks again.
const LINGER: Duration = Duration::from_secs(2);
/// Bounds what waits for the readers of a run that is too large to be kept.
const UNREAD: u64 = 1 << 20;

/// Names a run: who asks, and the key.
pub(super) type Name = (Arc<str>, String);

/// A run: one call that is carried out, and what it has answered so far.
pub(super) struct Run {
    pub(super) name: Name,
    /// Names the call that began it, in errors.
    id: String,
    /// Names whose part of the memory it takes.
    pub(super) owner: Arc<str>,
    /// Digest of method and message.
    pub(super) digest: blake3::Hash,
    pub(super) state: Mutex<RunState>,
    /// Says when the engine gives it up.
    deadline: Deadline,
    /// Says when the longest run that its key allows is over, whoever reads it then.
    latest: Option<Instant>,
    /// Counts those who read.
    pub(super) readers: watch::Sender<usize>,
    /// Changes whenever a reader has read.
    pub(super) read: watch::Sender<()>,
}

#[derive(Default)]
pub(super) struct RunState {
    /// The response's head, once it is there.
    pub(super) head: Option<HeaderMap>,
    /// Frames with their sizes.
    pub(super) frames: VecDeque<(Kept, u64)>,
    /// Frames that were dropped in front of these.
    pub(super) dropped: usize,
    /// Bytes that count as kept.
    pub(super) bytes: u64,
    /// Bytes of the frames that the slowest reader has not seen.
    pub(super) unread: u64,
    /// Set once the beginning is not kept any more.
    pub(super) is_cut: bool,
    pub(super) is_done: bool,
    /// The place of each reader, by its number.
    pub(super) readers: HashMap<usize, usize>,
    pub(super) next_reader: usize,
    pub(super) wakers: Vec<Waker>,
}

/// A frame that can be sent again.
// `http_body::Frame` is not `Clone`.
pub(super) enum Kept {
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
    /// Begins a run for the call of `context`, whose deadline it has until another call joins.
    pub(super) fn new(
        name: Name,
        owner: Arc<str>,
        digest: blake3::Hash,
        context: &RequestContext,
    ) -> Self {
        let grant = context.account.as_ref().map(|account| &account.grant);
        let longest = grant.and_then(|grant| grant.max_run);
        Self {
            deadline: context.deadline.clone(),
            latest: longest.and_then(|longest| Instant::now().checked_add(longest)),
            id: context.id.clone(),
            name,
            owner,
            digest,
            state: Mutex::default(),
            readers: watch::Sender::new(0),
            read: watch::Sender::new(()),
        }
    }

    /// Locks the state; never across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it go on for as long as one more call waits.
    pub(super) fn extend(&self, context: &RequestContext) {
        // Whichever comes first: until when the call waits, and how long its key may run.
        let both = [context.deadline.get(), self.latest];
        self.deadline.extend(both.into_iter().flatten().min());
    }

    /// Returns the status of its calls where it has ended without one, as after a panic.
    pub(super) fn broken_off(&self) -> Status {
        Error::fault("the call has broken off").status(&self.id, Duration::ZERO)
    }

    /// Wakes the readers that wait for more.
    pub(super) fn wake(&self) {
        // Unlocked before they are called: whoever wakes reads the state.
        let wakers = std::mem::take(&mut self.lock().wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until the readers of a run that is not kept have read most of it.
    pub(super) async fn room(&self) {
        // `wait_for` looks once before it waits, so that no read is missed in between.
        let mut read = self.read.subscribe();
        // The sender lives as long as the run.
        let _ = read.wait_for(|()| !self.is_full()).await;
    }

    fn is_full(&self) -> bool {
        let state = self.lock();
        state.is_cut && state.unread > UNREAD
    }

    /// Waits until nobody has read for a while, or nobody could any more.
    pub(super) async fn abandoned(&self) {
        let mut readers = self.readers.subscribe();
        loop {
            let _ = readers.wait_for(|&count| count == 0).await;
            // Whoever asks again is refused, so nobody will read it.
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
        // Without readers all frames count as seen.
        self.readers.values().copied().min().unwrap_or(end)
    }

    /// Counts what the slowest reader has not seen; of a run that is not kept the rest goes.
    pub(super) fn settle(&mut self) {
        let seen = self.seen();
        if self.is_cut {
            while self.dropped < seen && self.frames.pop_front().is_some() {
                self.dropped += 1;
            }
        }
        let unseen = self.frames.iter().skip(seen.saturating_sub(self.dropped));
        self.unread = unseen.map(|(_, size)| size).sum();
    }

    /// Ends an answer that has not ended by itself with `status`: a client cannot tell one that
    /// lacks its end from a connection that is lost.
    pub(super) fn close(&mut self, status: &Status) {
        if self.head.is_none() {
            let (head, ()) = status.clone().into_http::<()>().into_parts();
            self.head = Some(head.headers);
            return;
        }
        let mut trailers = HeaderMap::new();
        // A status of ours has a text that fits a header.
        let _ = status.add_header(&mut trailers);
        self.frames.push_back((Kept::Trailers(trailers), 0));
    }

    /// Gives back what an answer took that is not kept, once nobody reads it: its list, too, which
    /// would stay as long as its longest was.
    pub(super) fn trim(&mut self) {
        if self.is_cut && self.is_done && self.readers.is_empty() {
            (self.head, self.frames) = (None, VecDeque::new());
        }
    }
}

/// Reads the answer of a run from its beginning.
pub(super) struct Reader {
    run: Arc<Run>,
    number: usize,
}

impl Reader {
    /// Adds a reader to `run`, which counts until it is dropped; `None` where the beginning is not
    /// kept any more.
    pub(super) fn join(run: &Arc<Run>) -> Option<Self> {
        // One lock for both: a run that is cut in between would wait for this reader for ever.
        let mut state = run.lock();
        if state.is_cut {
            return None;
        }
        let number = state.next_reader;
        state.next_reader += 1;
        // From the first frame on, whenever it joins.
        state.readers.insert(number, 0);
        drop(state);
        run.readers.send_modify(|count| *count += 1);
        let run = run.clone();
        Some(Self { run, number })
    }

    /// Waits for the head and returns the response.
    pub(super) async fn response(self) -> Response {
        let head = std::future::poll_fn(|context| {
            let mut state = self.run.lock();
            if let Some(head) = &state.head {
                return Poll::Ready(head.clone());
            }
            // It gets one at its end at the latest, and keeps it while there are readers.
            state.wakers.push(context.waker().clone());
            Poll::Pending
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
        // What is kept is not dropped as it is read, and nobody waits for room.
        if state.is_cut {
            state.settle();
        }
        drop(state);
        // `send` would fail where nobody waits for room.
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
        state.trim();
        drop(state);
        self.run.readers.send_modify(|count| *count -= 1);
        self.run.read.send_replace(());
    }
}
