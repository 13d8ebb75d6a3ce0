//! An answer as it comes.

use tonic::Streaming;

use crate::Error;
use crate::v1::generate_response::Event;
use crate::v1::{Finished, GenerateResponse, Started, Token};

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
