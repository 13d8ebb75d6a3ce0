//! An answer as it comes.

use tonic::Streaming;

use crate::Error;
use crate::v1::generate_response::Event;
use crate::v1::{
    Activation, CaptureFinished, CaptureResponse, Finished, GenerateResponse, Started, Token, capture_response,
};

/// A streamed answer. Dropping it tells the server to stop.
#[derive(Debug)]
pub struct Answer {
    stream: Streaming<GenerateResponse>,
    /// The first event.
    pub started: Started,
    finished: Option<Finished>,
}

impl Answer {
    pub(crate) async fn begin(mut stream: Streaming<GenerateResponse>) -> Result<Self, Error> {
        match stream.message().await?.and_then(|m| m.event) {
            Some(Event::Started(started)) => Ok(Self { stream, started, finished: None }),
            _ => Err(Error::Truncated),
        }
    }

    /// The next token; `None` when the answer is complete.
    pub async fn next(&mut self) -> Result<Option<Token>, Error> {
        if self.finished.is_some() {
            return Ok(None);
        }
        match self.stream.message().await?.and_then(|m| m.event) {
            Some(Event::Token(token)) => Ok(Some(token)),
            Some(Event::Finished(finished)) => {
                self.finished = Some(finished);
                // The trailers; a stream dropped before them is reset, and servers count resets.
                self.stream.message().await?;
                Ok(None)
            }
            Some(Event::Started(_)) | None => Err(Error::Truncated),
        }
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Result<Finished, Error> {
        while self.next().await?.is_some() {}
        self.finished.ok_or(Error::Truncated)
    }
}

/// Captured activations as they come, each put together from its parts. Dropping it tells the server to stop.
#[derive(Debug)]
pub struct Capture {
    stream: Streaming<CaptureResponse>,
    /// The first event.
    pub started: Started,
    finished: Option<CaptureFinished>,
}

impl Capture {
    pub(crate) async fn begin(mut stream: Streaming<CaptureResponse>) -> Result<Self, Error> {
        match stream.message().await?.and_then(|m| m.event) {
            Some(capture_response::Event::Started(started)) => Ok(Self { stream, started, finished: None }),
            _ => Err(Error::Truncated),
        }
    }

    /// The next whole activation; `None` when all have come.
    pub async fn next(&mut self) -> Result<Option<Activation>, Error> {
        let mut whole: Option<Activation> = None;
        while self.finished.is_none() {
            match self.stream.message().await?.and_then(|m| m.event) {
                Some(capture_response::Event::Activation(part)) => {
                    let so_far = match &mut whole {
                        Some(so_far) => {
                            so_far.data.extend(part.data);
                            so_far
                        }
                        None => whole.insert(part),
                    };
                    if so_far.data.len() as u64 >= so_far.size {
                        return Ok(whole);
                    }
                }
                Some(capture_response::Event::Finished(finished)) if whole.is_none() => {
                    self.finished = Some(finished);
                    self.stream.message().await?;
                }
                _ => return Err(Error::Truncated),
            }
        }
        Ok(None)
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Result<CaptureFinished, Error> {
        while self.next().await?.is_some() {}
        self.finished.ok_or(Error::Truncated)
    }
}
