//! Frames every rpc: takes the context that the layers made, runs the work, and turns its errors
//! into statuses. What else all rpcs have in common is done by the layers of the server.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Error, State, v1};
use crate::pipeline::{self, RequestContext};

/// Carries the messages of a response as they are made.
pub(super) type ResponseStream<A> = ReceiverStream<Result<A, Status>>;

/// Sends the messages of a response. Fails once the client has left.
#[derive(Debug)]
pub(super) struct ResponseSender<A>(mpsc::Sender<Result<A, Status>>);

impl<A> Clone for ResponseSender<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A> ResponseSender<A> {
    /// Sends `message` once there is room for it.
    pub(super) async fn send(&self, message: A) -> Result<(), Error> {
        self.0
            .send(Ok(message))
            .await
            .map_err(|_| pipeline::Error::ClientLeft.into())
    }

    /// Sends `message` if there is room for it now: a slow client misses it.
    pub(super) fn send_if_room(&self, message: A) {
        let _ = self.0.try_send(Ok(message));
    }
}

/// Returns the context that the layers made for `request`.
pub(super) fn context<Q>(request: &Request<Q>) -> RequestContext {
    // Without layers, as in a test of a service by itself, it is a request of the server's own.
    request.extensions().get().cloned().unwrap_or_default()
}

impl State {
    /// Returns the status of a request that failed with `error`.
    pub(super) fn status(&self, context: &RequestContext, error: &Error) -> Status {
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
    pub(super) fn respond_with_stream<A, F>(
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
        let (state, work) = (self.clone(), work(ResponseSender(sender.clone())));
        tokio::spawn(async move {
            let result = tokio::select! {
                // Nobody reads what else the work has ready.
                biased;
                // Dropping the work tells the engine to let go.
                () = sender.closed() => return,
                result = work => result,
            };
            if let Err(error) = result {
                // A client that left in the meantime does not hear of it.
                let _ = sender.send(Err(state.status(&context, &error))).await;
            }
        });
        Response::new(ReceiverStream::new(stream))
    }
}
