//! Bounds what a request holds before anything is known of it: a place in the queue and the bytes of
//! its message. What has no room is refused before it is read.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

use super::body::{Observer, watch};
use super::context;
use super::weight::{Contract, Scale};
use crate::api::{self, Error};
use crate::openai;
use crate::pipeline::{self, Reservation};

/// Bytes before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// Bytes in memory for each of a body in JSON: the text itself, its texts parsed, and a picture
/// decoded from one.
const JSON: u64 = 3;

/// Makes room for so many bytes at once, not for each field of a message.
const ROOM: u64 = 1 << 20;

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
    let context = context::of(&mut request);
    let refused = |error: pipeline::Error, id: &str| {
        Error::from(error)
            .status(id, runtime.retry_after())
            .into_http()
    };
    if method.queues {
        match runtime.enter(&context.client) {
            Ok(place) => context.place = Some(place),
            Err(error) => return refused(error, &context.id),
        }
    }
    let context = context.clone();
    let held = match runtime.messages.reserve(&context.client, 0) {
        Ok(held) => Arc::new(Mutex::new(held)),
        Err(error) => return refused(error.into(), &context.id),
    };
    let messages = Messages {
        is_streamed: method.streams,
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
        .run(request.map(|inner| Body::new(Counted { inner, messages })))
        .await;
    // Whatever has an answer does not wait any more.
    context.leave_queue();
    if method.holds {
        watch(response, Held { _messages: held })
    } else {
        release(&held);
        response
    }
}

fn release(held: &Mutex<Reservation>) {
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    let all = held.amount();
    held.shrink(all);
}

/// Holds messages as long as the body.
struct Held {
    _messages: Arc<Mutex<Reservation>>,
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
    },
}

/// Counts the messages of a body by their heads, before their bytes come.
struct Messages {
    is_streamed: bool,
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
        self.silence
            .as_mut()
            .reset(Instant::now() + self.intake.patience);
        while !bytes.is_empty() {
            match &mut self.position {
                Position::Json => {
                    self.make_room(JSON * bytes.len() as u64)?;
                    bytes = &[];
                }
                Position::Message {
                    left,
                    scale,
                    counted,
                } => {
                    let count = (*left).min(bytes.len() as u64);
                    let (own, rest) = bytes.split_at(count as usize);
                    bytes = rest;
                    let more = scale.read(own) - *counted;
                    *left -= count;
                    let is_over = *left == 0;
                    // In large pieces, and what is left of them at the end.
                    let is_due = more >= ROOM || (is_over && more > 0);
                    if is_due {
                        *counted += more;
                    }
                    if is_over {
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
        self.position = if length > 0 {
            Position::Message {
                left: length,
                scale: Box::new(Scale::new(&self.intake.contract, &self.path, length)),
                counted: 0,
            }
        } else {
            Position::Head(Vec::with_capacity(HEAD))
        };
        if self.is_streamed {
            release(&self.held);
        }
        // A longer one is refused by its length.
        if length > self.limit {
            return Ok(());
        }
        self.make_room(length)
    }

    fn make_room(&self, bytes: u64) -> Result<(), Status> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.grow(bytes).map_err(|error| {
            let retry_after = self.intake.state.runtime.retry_after();
            Error::from(pipeline::Error::from(error)).status(&self.id, retry_after)
        })
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

struct Counted {
    inner: Body,
    messages: Messages,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref()
                    && let Err(status) = self.messages.read(data)
                {
                    return Poll::Ready(Some(Err(status.into())));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(end) => Poll::Ready(end.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => match self.messages.check_silence(context) {
                Ok(()) => Poll::Pending,
                Err(status) => Poll::Ready(Some(Err(status.into()))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
