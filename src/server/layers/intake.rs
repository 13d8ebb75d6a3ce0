//! Bounds what a request holds before anything is known of it: itself, a place in the queue and the
//! bytes of its message. What has no room is refused before it is read; of a stream of messages the
//! next one waits.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

use super::arrival;
use super::body::{Observer, watch};
use super::weight::{Contract, Scale};
use crate::api::{self, Error};
use crate::openai;
use crate::pipeline::{self, Arrived, OverBudget, RequestContext, Reservation, Runtime};

/// Bytes before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// Bytes in memory for each of a body in JSON: the text itself, its texts parsed, and a picture
/// decoded from one.
const JSON: u64 = 3;

/// Makes room for so many bytes at once, not for each field of a message.
const ROOM: u64 = 1 << 20;

/// Bytes that a message of a stream may take beside its length before more room is asked for, so that
/// hardly any waits in its middle.
const DECODED: u64 = 8 << 10;

/// Says what comes in and how.
#[derive(Debug, Clone)]
pub(in crate::server) struct Intake {
    /// Has the budget.
    state: Arc<api::State>,
    /// Bounds how long a client may be silent in the middle of a message.
    patience: Duration,
    contract: Arc<Contract>,
}

impl Intake {
    /// Lets requests in as far as the budgets of `state` go; nobody may be silent for longer than
    /// `patience` in the middle of a message.
    pub(in crate::server) fn new(state: Arc<api::State>, patience: Duration) -> Self {
        Self {
            state,
            patience,
            contract: Contract::read(),
        }
    }
}

/// Says what a method does with its messages.
struct Method {
    /// Takes a place in the queue.
    queues: bool,
    /// Takes many messages, each let go as the next one comes.
    streams: bool,
    /// Holds its message until its stream ends.
    holds: bool,
}

impl Method {
    fn at(path: &str) -> Self {
        let is = |name: &str| path.ends_with(name);
        Self {
            // What is told at once waits for nobody; all else is work for a turn or for the engine.
            queues: !path.starts_with("/scotoma.v1.ModelService/")
                && !is("/Describe")
                && (is_framed(path) || openai::METHODS.iter().any(|(own, _)| *own == path)),
            streams: is("/Evaluate"),
            holds: is("/Sweep"),
        }
    }
}

/// Reports whether bodies at `path` are messages behind gRPC's heads; others are JSON.
fn is_framed(path: &str) -> bool {
    !path.starts_with("/v1/")
}

/// Gives a request its place and counts its messages.
pub(super) async fn admit(
    State(intake): State<Intake>,
    mut request: Request,
    next: Next,
) -> Response {
    let method = Method::at(request.uri().path());
    let runtime = &intake.state.runtime;
    let context = arrival::context(&mut request);
    let (stream, held) = match places(runtime, method.queues, context) {
        // Shared by the body, which grows it as bytes come, and the response, which lets it go.
        Ok((stream, held)) => (stream, Arc::new(Mutex::new(held))),
        Err(error) => {
            let status = Error::from(error).status(&context.id, runtime.retry_after());
            return status.into_http();
        }
    };
    let context = context.clone();
    let messages = Messages {
        is_streamed: method.streams,
        owed: 0,
        complete: Vec::new(),
        arrived: context.arrived.clone(),
        limit: runtime.limits.message_bytes as u64,
        path: request.uri().path().to_owned(),
        id: context.id.clone(),
        position: if is_framed(request.uri().path()) {
            Position::Head(Vec::with_capacity(HEAD))
        } else {
            Position::Json
        },
        held: held.clone(),
        silence: Box::pin(sleep(intake.patience)),
        intake: intake.clone(),
    };
    let response = next
        .run(request.map(|inner| {
            Body::new(Counted {
                inner,
                messages,
                stalled: None,
            })
        }))
        .await;
    // Whatever has an answer does not wait any more.
    context.leave_queue();
    if !method.holds && !method.streams {
        release(&held);
    }
    let held = Held {
        _stream: stream,
        _messages: method.holds.then_some(held),
    };
    watch(response, held)
}

/// Takes places among the streams and in the queue, and begins to count messages.
fn places(
    runtime: &Runtime,
    queues: bool,
    context: &mut RequestContext,
) -> Result<(Reservation, Reservation), pipeline::Error> {
    let stream = runtime.streams.reserve(&context.client, 1)?;
    if queues {
        context.place = Some(runtime.enter(&context.client)?);
    }
    // It grows as messages come, whose sizes nobody knows yet.
    let messages = runtime.messages.reserve(&context.client, 0)?;
    Ok((stream, messages))
}

fn locked(held: &Mutex<Reservation>) -> MutexGuard<'_, Reservation> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn release(held: &Mutex<Reservation>) {
    let mut held = locked(held);
    let all = held.amount();
    held.shrink(all);
}

/// Lets go with the body.
struct Held {
    _stream: Reservation,
    _messages: Option<Arc<Mutex<Reservation>>>,
}

impl Observer for Held {}

/// Says what comes next in a body.
enum Position {
    /// JSON, whose length is known at its end.
    Json,
    /// The bytes before a message, so many of which have come.
    Head(Vec<u8>),
    /// So many bytes of a message, with what it weighs and how much of that has room.
    Message {
        left: u64,
        scale: Box<Scale>,
        counted: u64,
        length: u64,
    },
}

/// Counts the messages of a body by their heads, before their bytes come.
struct Messages {
    is_streamed: bool,
    /// Counts the bytes of a stream that there is no room for yet.
    owed: u64,
    /// Lists what each message of a stream takes that has come since there was room.
    complete: Vec<u64>,
    arrived: Arrived,
    limit: u64,
    id: String,
    path: String,
    position: Position,
    held: Arc<Mutex<Reservation>>,
    silence: Pin<Box<Sleep>>,
    intake: Intake,
}

impl Messages {
    /// Reads on; fails where a message begins that there is no room for.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        // Any byte is progress: this is for clients that have gone silent, not for slow lines.
        self.silence
            .as_mut()
            .reset(Instant::now() + self.intake.patience);
        while !bytes.is_empty() {
            match &mut self.position {
                Position::Json => {
                    // By what has come: the length in the head is the client's word, and may
                    // be missing.
                    self.make_room(JSON * bytes.len() as u64)?;
                    bytes = &[];
                }
                Position::Message {
                    left,
                    scale,
                    counted,
                    length,
                } => {
                    let count = (*left).min(bytes.len() as u64);
                    let (own, rest) = bytes.split_at(count as usize);
                    bytes = rest;
                    // Of a stream `DECODED` is counted before; more is asked for behind that.
                    let more = scale.read(own).saturating_sub(*counted);
                    *left -= count;
                    let is_over = *left == 0;
                    // In large pieces, and what is left of them at the end.
                    let is_due = more >= ROOM || (is_over && more > 0);
                    if is_due {
                        *counted += more;
                    }
                    if is_over {
                        if self.is_streamed {
                            self.complete.push(*length + *counted);
                        }
                        self.position = Position::Head(Vec::with_capacity(HEAD));
                    }
                    if is_due {
                        self.make_room(more)?;
                    }
                }
                Position::Head(head) => {
                    let count = (HEAD - head.len()).min(bytes.len());
                    head.extend(&bytes[..count]);
                    bytes = &bytes[count..];
                    // Whole with its fifth byte: a flag, and the length as four bytes, big-endian.
                    if let [_, a, b, c, d] = head[..] {
                        self.begin(u32::from_be_bytes([a, b, c, d]).into())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes room for a message of so many bytes.
    fn begin(&mut self, length: u64) -> Result<(), Status> {
        let counted = if self.is_streamed { DECODED } else { 0 };
        self.position = if length > 0 {
            Position::Message {
                left: length,
                scale: Box::new(Scale::new(&self.intake.contract, &self.path, length)),
                counted,
                length,
            }
        } else {
            if self.is_streamed {
                self.complete.push(counted);
            }
            Position::Head(Vec::with_capacity(HEAD))
        };
        // A longer one is refused by its length.
        if length > self.limit {
            return Ok(());
        }
        self.make_room(length + counted)
    }

    /// Takes room, or fails where there is none; a stream waits for it once the frame is read.
    fn make_room(&mut self, bytes: u64) -> Result<(), Status> {
        if self.is_streamed {
            self.owed += bytes;
            return Ok(());
        }
        let grown = locked(&self.held).grow(bytes);
        grown.map_err(|full| self.refusal(full))
    }

    fn refusal(&self, full: OverBudget) -> Status {
        let retry_after = self.intake.state.runtime.retry_after();
        Error::from(pipeline::Error::from(full)).status(&self.id, retry_after)
    }

    /// Returns a wait for the room that the last frame of a stream needs; `None` where there is
    /// room.
    fn room(&mut self) -> Option<Room> {
        if self.owed == 0 && self.complete.is_empty() {
            return None;
        }
        // In half of the budget: what can wait leaves room for what would be refused.
        if locked(&self.held).grow_in_half(self.owed).is_ok() {
            self.hand_on();
            return None;
        }
        let (held, owed) = (self.held.clone(), self.owed);
        Some(Box::pin(wait_for_room(held, owed, self.intake.patience)))
    }

    /// Hands what complete messages hold to whoever reads them.
    fn hand_on(&mut self) {
        self.owed = 0;
        let mut held = locked(&self.held);
        for amount in self.complete.drain(..) {
            // In the order of the messages, in which they are read.
            self.arrived.push(held.split(amount));
        }
        drop(held);
        // The wait was not the client's.
        let silence = Instant::now() + self.intake.patience;
        self.silence.as_mut().reset(silence);
    }

    /// Reports whether the client owes bytes: the first message of a request, or the rest of one.
    fn is_owed(&self) -> bool {
        match &self.position {
            Position::Json | Position::Message { .. } => true,
            Position::Head(head) => !head.is_empty() || !self.is_streamed,
        }
    }

    /// Fails where the client has been silent for too long.
    fn check_silence(&mut self, context: &mut Context<'_>) -> Result<(), Status> {
        if !self.is_owed() || self.silence.as_mut().poll(context).is_pending() {
            return Ok(());
        }
        let error = Error::Silent {
            seconds: self.intake.patience.as_secs_f64(),
        };
        Err(error.status(&self.id, Duration::ZERO))
    }
}

type Room = Pin<Box<dyn Future<Output = Result<(), OverBudget>> + Send>>;

/// Waits until `held` has `owed` more. Who holds nothing waits as long as it takes; who holds the
/// first part of a message gives up after `patience`, or two of them would wait for each other.
async fn wait_for_room(
    held: Arc<Mutex<Reservation>>,
    owed: u64,
    patience: Duration,
) -> Result<(), OverBudget> {
    // Whoever holds a part may keep others waiting for the rest, and gives up at last.
    let (budget, is_bounded) = {
        let held = locked(&held);
        (held.budget().clone(), held.amount() > 0)
    };
    let until = Instant::now() + patience;
    loop {
        // Before the try: what is freed after it is not missed.
        let freed = budget.freed();
        let Err(full) = locked(&held).grow_in_half(owed) else {
            return Ok(());
        };
        tokio::select! {
            () = freed => {}
            () = tokio::time::sleep_until(until), if is_bounded => return Err(full),
        }
    }
}

struct Counted {
    inner: Body,
    messages: Messages,
    /// Holds a frame of a stream back until there is room for what it begins.
    stalled: Option<(Frame<Bytes>, Room)>,
}

impl Counted {
    /// Hands out the frame that is held back, once there is room.
    fn poll_stalled(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some((_, room)) = &mut self.stalled else {
            return Poll::Ready(None);
        };
        let made = ready!(room.as_mut().poll(context));
        let frame = self.stalled.take().map(|(frame, _)| frame);
        if let Err(full) = made {
            return Poll::Ready(Some(Err(self.messages.refusal(full).into())));
        }
        self.messages.hand_on();
        Poll::Ready(frame.map(Ok))
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.stalled.is_some() {
            return self.poll_stalled(context);
        }
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref()
                    && let Err(status) = self.messages.read(data)
                {
                    return Poll::Ready(Some(Err(status.into())));
                }
                match self.messages.room() {
                    None => Poll::Ready(Some(Ok(frame))),
                    Some(room) => {
                        self.stalled = Some((frame, room));
                        self.poll_stalled(context)
                    }
                }
            }
            Poll::Ready(end) => Poll::Ready(end.map(|frame| frame.map_err(Into::into))),
            // Looked at only where nothing has come: a body that is ready has not been silent.
            Poll::Pending => match self.messages.check_silence(context) {
                Ok(()) => Poll::Pending,
                Err(status) => Poll::Ready(Some(Err(status.into()))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        // A frame that is held back is still to come.
        self.stalled.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Nothing is added or left out, so that a length in the head stays true.
        self.inner.size_hint()
    }
}
