//! Watches a body until it ends. Layers that look at the head alone see a stream begin, not end.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::response::Response;
use http_body::{Frame, SizeHint};

/// Watches the frames of a body. It is dropped with the body, which is how it learns that the client
/// has left.
pub(super) trait Observer: Send + Unpin + 'static {
    /// Sees a part of the body.
    fn data(&mut self, _data: &Bytes) {}

    /// Sees the trailers, which say how a stream ended.
    fn trailers(&mut self, _trailers: &HeaderMap) {}

    /// Returns trailers to end the body with, in place of its next frame.
    fn cut_short(&mut self, _context: &mut Context<'_>) -> Option<HeaderMap> {
        None
    }
}

/// Lets `observer` watch the body of `response`.
pub(super) fn watch(response: Response, observer: impl Observer) -> Response {
    response.map(|inner| watched(inner, observer))
}

/// Returns a body that passes `inner` on while `observer` watches.
pub(super) fn watched(inner: Body, observer: impl Observer) -> Body {
    Body::new(Watched { inner, observer })
}

struct Watched<O> {
    inner: Body,
    observer: O,
}

impl<O: Observer> HttpBody for Watched<O> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // First, or a stream that never waits would never be cut.
        if let Some(trailers) = self.observer.cut_short(context) {
            // Dropping the stream cancels what it waits for.
            self.inner = Body::empty();
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.observer.data(data);
                }
                if let Some(trailers) = frame.trailers_ref() {
                    self.observer.trailers(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(end) => Poll::Ready(end.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => Poll::Pending,
        }
    }

    // An error has no body, only a head that says so; without these two it would get one.
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
