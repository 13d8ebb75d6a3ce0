//! Answers as server-sent events, a chunk a token.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::door::Door;
use super::error;
use crate::api::Error;
use crate::pipeline::{Finished, GenerateEvent, GeneratedToken, Generation, RequestContext};

/// Chunks that may wait for a slow client.
const BUFFERED: usize = 16;

/// Writes the chunks of one answer.
pub(super) trait Chunks: Send + 'static {
    /// Returns what comes before the first token.
    fn first(&self) -> Option<Value>;

    /// Returns the chunk of a token.
    fn token(&mut self, token: &GeneratedToken) -> Result<Value, Error>;

    /// Returns what comes at the end, of an answer whose record is `record`.
    fn last(&self, finished: &Finished, record: &str) -> Vec<Value>;
}

type Sender = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

/// Returns the response that streams an answer. A client that leaves ends the generation.
pub(super) fn respond(
    door: Arc<Door>,
    context: RequestContext,
    generation: Generation,
    chunks: impl Chunks,
) -> Response {
    let (sender, receiver) = mpsc::channel(BUFFERED);
    tokio::spawn(async move {
        let sent = tokio::select! {
            // Nobody reads what else there is.
            biased;
            () = sender.closed() => return,
            sent = send(&door, &context, generation, chunks, &sender) => sent,
        };
        let status = match &sent {
            Ok(()) => Status::ok(""),
            Err(error) => door.state.status(&context, error),
        };
        if sent.is_err() {
            send_data(&sender, &error::body(&status).to_string()).await;
        }
        // For the layers, which see how a stream ends by its trailers.
        let mut trailers = HeaderMap::new();
        let _ = status.add_header(&mut trailers);
        let _ = sender.send(Ok(Frame::trailers(trailers))).await;
    });
    let mut response = Response::new(Body::new(StreamBody::new(ReceiverStream::new(receiver))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn send(
    door: &Door,
    context: &RequestContext,
    mut generation: Generation,
    mut chunks: impl Chunks,
    sender: &Sender,
) -> Result<(), Error> {
    if let Some(first) = chunks.first() {
        send_data(sender, &first.to_string()).await;
    }
    loop {
        for event in generation.next().await? {
            match event {
                GenerateEvent::Token(token) => {
                    send_data(sender, &chunks.token(&token)?.to_string()).await;
                }
                GenerateEvent::Finished(finished) => {
                    let record = door.keep_record(context, &finished.provenance);
                    for chunk in chunks.last(&finished, &record) {
                        send_data(sender, &chunk.to_string()).await;
                    }
                    send_data(sender, "[DONE]").await;
                    return Ok(());
                }
            }
        }
    }
}

/// Sends one event. A client that has left is noticed by `respond`.
async fn send_data(sender: &Sender, data: &str) {
    let event = Bytes::from(format!("data: {data}\n\n"));
    let _ = sender.send(Ok(Frame::data(event))).await;
}
