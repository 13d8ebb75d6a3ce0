//! Frames every rpc: takes the context that the layers made, runs the work, and turns its errors
//! into statuses. What else all rpcs have in common is done by the layers of the server.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Error, State, v1};
use crate::pipeline::{self, RequestContext};

/// Carries the messages of a response as they are made.
pub(crate) type ResponseStream<A> = ReceiverStream<Result<A, Status>>;

/// Sends the messages of a response. Fails once the client has left.
#[derive(Debug)]
pub(crate) struct ResponseSender<A> {
    messages: mpsc::Sender<Result<A, Status>>,
    /// Bounds the wait for room.
    read_timeout: Duration,
}

impl<A> Clone for ResponseSender<A> {
    fn clone(&self) -> Self {
        Self {
            messages: self.messages.clone(),
            read_timeout: self.read_timeout,
        }
    }
}

impl<A> ResponseSender<A> {
    /// Sends `message` once there is room for it. Fails where the client reads nothing for so long
    /// that whatever waits for it had better be let go.
    pub(crate) async fn send(&self, message: A) -> Result<(), Error> {
        let sending = self.messages.send(Ok(message));
        match tokio::time::timeout(self.read_timeout, sending).await {
            Ok(sent) => sent.map_err(|_| pipeline::Error::ClientLeft.into()),
            Err(_) => Err(Error::SlowReader {
                seconds: self.read_timeout.as_secs_f64(),
            }),
        }
    }

    /// Sends `message` if there is room for it now: a slow client misses it.
    pub(super) fn send_if_room(&self, message: A) {
        // Fails as well where the client has left, which the next `send` tells.
        let _ = self.messages.try_send(Ok(message));
    }
}

/// Returns the context that the layers made for `request`.
pub(super) fn context<Q>(request: &Request<Q>) -> RequestContext {
    // Without layers, as in a test of a service by itself, it is a request of the server's own.
    request.extensions().get().cloned().unwrap_or_default()
}

impl State {
    /// Returns the status of a request that failed with `error`.
    pub fn status(&self, context: &RequestContext, error: &Error) -> Status {
        error.status(&context.id, self.retry_after())
    }

    /// Returns the message of a part of a request, a variant or a sample, that failed with `error`.
    pub(super) fn part_error(
        &self,
        context: &RequestContext,
        error: &pipeline::Error,
    ) -> v1::SweepError {
        error.in_sweep(&context.id, self.retry_after())
    }

    /// Answers with the one message that `work` returns.
    pub(super) async fn respond<A>(
        &self,
        context: &RequestContext,
        work: impl Future<Output = Result<A, Error>>,
    ) -> Result<Response<A>, Status> {
        work.await
            .map(Response::new)
            .map_err(|error| self.status(context, &error))
    }

    /// Answers with the messages that `work` sends, of which `buffered` may wait for the client.
    ///
    /// `work` runs in a task of its own, which drops it when the client leaves.
    pub(crate) fn respond_with_stream<A, F>(
        self: &Arc<Self>,
        context: RequestContext,
        buffered: usize,
        work: impl FnOnce(ResponseSender<A>) -> F,
    ) -> Response<ResponseStream<A>>
    where
        A: Send + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (sender, stream) = mpsc::channel(buffered);
        let work = work(ResponseSender {
            // The other one stays here: it hears of a client that leaves, and sends the error.
            messages: sender.clone(),
            read_timeout: self.read_timeout,
        });
        let state = self.clone();
        // On the threads of the handlers, one of which calls this.
        tokio::spawn(async move {
            let result = tokio::select! {
                // Nobody reads what else the work has ready.
                biased;
                // Dropping the work tells the engine to let go.
                () = sender.closed() => return,
                // Without a status the stream of work that panics would look cancelled.
                // Nothing of the work is looked at again once it has panicked.
                result = AssertUnwindSafe(work).catch_unwind() => result.unwrap_or_else(panicked),
            };
            if let Err(error) = result {
                // A client that left in the meantime does not hear of it.
                let _ = sender.send(Err(state.status(&context, &error))).await;
            }
        });
        Response::new(ReceiverStream::new(stream))
    }
}

/// Returns the error of work that has panicked.
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Result<(), Error> {
    // `panic!` hands on a String where it has arguments, and else a literal.
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Err(Error::fault(text.unwrap_or_else(|| "panic".into())))
}
