//! Answers as server-sent events, a chunk a token.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::Value;
use tonic::Status;

use super::door::Door;
use super::error;
use crate::api::{Error, ResponseSender};
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

/// Returns the response that streams an answer. A client that leaves ends the generation.
pub(super) fn respond(
    door: &Arc<Door>,
    context: &RequestContext,
    generation: Generation,
    chunks: impl Chunks,
) -> Response {
    let (own, caller) = (door.clone(), context.clone());
    let work = move |sender| async move { send(&own, &caller, generation, chunks, &sender).await };
    let sent = door
        .state
        .respond_with_stream(context.clone(), BUFFERED, work)
        // The messages alone: gRPC's response has no place here.
        .into_inner();
    let frames = sent.flat_map(|sent| {
        stream::iter(match sent {
            Ok(frame) => vec![Ok::<_, Infallible>(frame)],
            Err(status) => {
                let told = event(&error::body(&status).to_string());
                // The event is for the client, the trailers are for the layers, which record how it
                // ended.
                vec![Ok(told), Ok(trailers(&status))]
            }
        })
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
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
    sender: &ResponseSender<Frame<Bytes>>,
) -> Result<(), Error> {
    if let Some(first) = chunks.first() {
        sender.send(event(&first.to_string())).await?;
    }
    loop {
        for next in generation.next().await? {
            match next {
                GenerateEvent::Token(token) => {
                    let chunk = chunks.token(&token)?.to_string();
                    sender.send(event(&chunk)).await?;
                }
                GenerateEvent::Finished(finished) => {
                    let record = door.keep_record(context, &finished.provenance);
                    for chunk in chunks.last(&finished, &record) {
                        sender.send(event(&chunk.to_string())).await?;
                    }
                    // OpenAI's clients end their stream at this, not at the end of the body.
                    sender.send(event("[DONE]")).await?;
                    return sender.send(trailers(&Status::ok(""))).await;
                }
            }
        }
    }
}

fn event(data: &str) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("data: {data}\n\n")))
}

/// Returns what the layers see the end of a stream by.
fn trailers(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    // Texts of errors are short enough for headers.
    let _ = status.add_header(&mut trailers);
    Frame::trailers(trailers)
}
