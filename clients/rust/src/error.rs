//! What can go wrong, with what the server said about it.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A field of the request that the server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, `interventions[0].drop_layers.layers[1]` for instance.
    pub field: String,
    /// What is wrong and what would be valid.
    pub description: String,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server was not reached.
    #[error("cannot reach the server: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The server refused or failed.
    #[error("{code:?}: {message}")]
    Server {
        /// The gRPC code.
        code: Code,
        /// For people.
        message: String,
        /// The server's reason, in capitals, for programs.
        reason: Option<String>,
        /// The fields that were refused.
        fields: Vec<FieldViolation>,
        /// When to try again, where that helps.
        retry_after: Option<Duration>,
    },
    /// The stream ended without its last event.
    #[error("the stream ended early")]
    Truncated,
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let fields = details.bad_request().map_or_else(Vec::new, |b| {
            let violation = |v: &tonic_types::FieldViolation| FieldViolation {
                field: v.field.clone(),
                description: v.description.clone(),
            };
            b.field_violations.iter().map(violation).collect()
        });
        Self::Server {
            code: status.code(),
            message: status.message().to_owned(),
            reason: details.error_info().map(|i| i.reason.clone()),
            fields,
            retry_after: details.retry_info().and_then(|r| r.retry_delay),
        }
    }
}

impl Error {
    /// The gRPC code, where the server answered.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Server { code, .. } => Some(*code),
            Self::Transport(_) | Self::Truncated => None,
        }
    }
}
