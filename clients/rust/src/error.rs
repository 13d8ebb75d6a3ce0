//! Errors, with the server's details.

use std::path::PathBuf;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A field of the request that the server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, `interventions[0].drop_layers.layers[1]` for instance.
    pub field: String,
    /// The reason, and what would be valid.
    pub description: String,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address, a certificate or the key cannot be used, or nothing answers there.
    #[error("cannot reach the server: {}", caused(.0.to_string(), std::error::Error::source(.0)))]
    Transport(#[from] tonic::transport::Error),
    /// The server refused or failed, or the connection was lost (`Unavailable`).
    #[error("{code:?}: {message}")]
    Server {
        /// The gRPC code.
        code: Code,
        /// The message for people.
        message: String,
        /// The server's reason, in capitals, for programs.
        reason: Option<String>,
        /// The fields that were refused.
        fields: Vec<FieldViolation>,
        /// The time to wait before a retry, where that helps.
        retry_after: Option<Duration>,
        /// The request's name in the server's log.
        request_id: Option<String>,
    },
    /// The stream ended without its last event.
    #[error("the stream ended early")]
    Truncated,
    /// A file of questions or results cannot be used.
    #[error(
        "{}{}: {message}",
        path.display(),
        line.map_or_else(String::new, |l| format!(", line {l}"))
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1 with the header counted.
        line: Option<u64>,
        /// Why.
        message: String,
    },
    /// The source of a run's questions has failed.
    #[error(transparent)]
    Questions(Box<dyn std::error::Error + Send + Sync>),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // In the trailers, beside the code; none where a proxy or this side has made the status.
        let details = status.get_error_details();
        let fields = details.bad_request().map_or_else(Vec::new, |b| {
            let violations = b.field_violations.iter();
            violations
                .map(|v| FieldViolation {
                    field: v.field.clone(),
                    description: v.description.clone(),
                })
                .collect()
        });
        Self::Server {
            code: code(&status),
            message: caused(
                status.message().to_owned(),
                std::error::Error::source(&status),
            ),
            reason: details.error_info().map(|i| i.reason.clone()),
            request_id: details
                .error_info()
                .and_then(|i| i.metadata.get("request_id").cloned()),
            fields,
            retry_after: details.retry_info().and_then(|r| r.retry_delay),
        }
    }
}

/// Formats an error with its causes.
fn caused(mut said: String, mut source: Option<&(dyn std::error::Error + 'static)>) -> String {
    while let Some(error) = source {
        let cause = error.to_string();
        // Many errors say their cause already.
        if !said.ends_with(&cause) {
            said.extend([": ", &cause]);
        }
        source = error.source();
    }
    said
}

/// Returns the code of a status. One that this side has made has a source; what it says of lost
/// connections and passed deadlines depends on where they are seen.
fn code(status: &Status) -> Code {
    let mut source = std::error::Error::source(status);
    let local = source.is_some();
    while let Some(error) = source {
        if error.is::<tonic::TimeoutExpired>() {
            return Code::DeadlineExceeded;
        }
        source = error.source();
    }
    match status.code() {
        Code::Unknown | Code::Internal | Code::Cancelled if local => Code::Unavailable,
        code => code,
    }
}

impl Error {
    /// Returns the gRPC code, where the server answered or could not be reached.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Server { code, .. } => Some(*code),
            Self::Transport(_) => Some(Code::Unavailable),
            Self::Truncated => Some(Code::DataLoss),
            Self::File { .. } | Self::Questions(_) => None,
        }
    }

    /// Returns the time after which the server says to try again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the server's reason, in capitals.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Server { reason, .. } => reason.as_deref(),
            _ => None,
        }
    }

    /// Returns the request's name in the server's log.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Server { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }

    /// Tells whether a call that ended so may be sent again: the connection is gone, or the server
    /// says when.
    pub(crate) fn is_lost(&self) -> bool {
        // A status with a reason is the server's own, and says when to come again where that helps.
        self.code() == Some(Code::Unavailable)
            && (self.retry_after().is_some() || self.reason().is_none())
    }

    /// Adds the name that the call was sent with, where the server said none.
    pub(crate) fn of_request(mut self, metadata: &tonic::metadata::MetadataMap) -> Self {
        if let Self::Server { request_id, .. } = &mut self
            && request_id.is_none()
        {
            let sent = metadata.get("x-request-id").and_then(|id| id.to_str().ok());
            *request_id = sent.map(str::to_owned);
        }
        self
    }

    /// Returns the same error in other words.
    pub(crate) fn saying(mut self, words: impl FnOnce(&str) -> String) -> Self {
        if let Self::Server { message, .. } = &mut self {
            *message = words(message);
            return self;
        }
        let message = words(&self.to_string());
        Self::from(Status::new(
            self.code().unwrap_or(Code::Unavailable),
            message,
        ))
    }

    pub(crate) fn file(
        path: impl Into<PathBuf>,
        line: Option<u64>,
        message: impl ToString,
    ) -> Self {
        Self::File {
            path: path.into(),
            line,
            message: message.to_string(),
        }
    }
}
