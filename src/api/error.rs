//! Lists why an rpc fails: what the pipeline says, and what only the wire knows.

use crate::field_path::{FieldPath, InvalidField};
use crate::{engine, intervention, model, pipeline};

/// Begins what prost says of bytes that do not decode.
const NO_MESSAGE: &str = "failed to decode Protobuf message: ";

/// Lists every way in which an rpc fails; `status.rs` gives each its code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Passes on an error of the pipeline.
    // Boxed, since every conversion returns it and few fail.
    #[error(transparent)]
    Pipeline(Box<pipeline::Error>),
    /// Reports that no key came where one is needed.
    #[error("a key is needed: metadata authorization, Bearer KEY")]
    NoKey,
    /// Reports a key that the server does not know.
    #[error("unknown API key")]
    UnknownKey,
    /// Reports a key whose day has come.
    #[error("this API key expired on {on}")]
    KeyExpired {
        /// The day, in UTC.
        on: String,
    },
    /// Reports a key that may ask models, and not change what is resident.
    #[error("this API key has no leave to {what}; an admin's has")]
    NotAdmin {
        /// The request, as the text spells it.
        what: String,
    },
    /// Reports a key of a call that is none.
    #[error("metadata idempotency-key: 1 to 128 visible ASCII characters are a key")]
    IdempotencyKey,
    /// Reports a key that came with another request before.
    #[error(
        "metadata idempotency-key: it came with another request before; a key is for one request \
         and its retries"
    )]
    IdempotencyMismatch,
    /// Reports a run whose answer is not kept any more.
    #[error(
        "this call was carried out before, and its answer was too large to be kept; ask again \
         under another idempotency-key"
    )]
    NotReplayable,
    /// Reports a message that is larger than the server takes.
    #[error("the message is larger than --max-message-mib allows")]
    MessageTooLarge,
    /// Reports that the server was started without leave to load.
    #[error("this server was started without --allow-load")]
    Closed,
    /// Reports a client that has begun a message and does not go on.
    #[error("no message came for {seconds} seconds")]
    Silent {
        /// Counts how long.
        seconds: f64,
    },
    /// Reports a client that does not read.
    #[error("nothing was read of what is ready for {seconds} seconds (--read-timeout)")]
    SlowReader {
        /// Counts how long.
        seconds: f64,
    },
    /// Reports bytes that are no message of the method, with what their decoder says.
    #[error("this is no message of the method: {0}")]
    Malformed(String),
    /// Reports that what the client streams has broken off, or what a layer has refused of it, with
    /// the details that the layer gave.
    #[error("the stream of requests ended: {0}")]
    Inbound(Box<tonic::Status>),
}

impl Error {
    /// Returns the error of a body that did not come, or was too large.
    pub fn from_body(error: &(dyn std::error::Error + 'static)) -> Self {
        // Libraries wrap it, some of them more than once.
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<http_body_util::LengthLimitError>() {
                return Self::MessageTooLarge;
            }
            cause = error.source();
        }
        Self::from_client(tonic::Status::cancelled(error.to_string()))
    }

    /// Returns the error of a client's stream that broke.
    pub(super) fn from_client(status: tonic::Status) -> Self {
        Self::malformed(&status).unwrap_or_else(|| Self::Inbound(Box::new(status)))
    }

    /// Returns what tonic calls a fault and is the client's mistake: bytes that do not decode, a
    /// frame that is cut short or is flagged wrongly. Statuses of ours have details, tonic's none.
    // `status_of` gives details to each of ours; what a library calls internal has none.
    pub(crate) fn malformed(status: &tonic::Status) -> Option<Self> {
        let text = status.message();
        let text = text.strip_prefix(NO_MESSAGE).unwrap_or(text);
        let is_of_tonic = status.code() == tonic::Code::Internal && status.details().is_empty();
        is_of_tonic.then(|| Self::Malformed(text.to_owned()))
    }

    /// Says that the value of `field` is invalid because of `message`.
    pub(super) fn invalid(field: impl Into<FieldPath>, message: impl Into<String>) -> Self {
        pipeline::Error::invalid(field, message).into()
    }

    /// Returns a fault of the server.
    pub(crate) fn fault(message: impl ToString) -> Self {
        pipeline::Error::Fault(message.to_string()).into()
    }

    /// Returns the same error with its field, if it has one, below `outer`.
    pub(super) fn within(self, outer: &str) -> Self {
        match self {
            Self::Pipeline(error) => error.within(outer).into(),
            other => other,
        }
    }

    /// Returns the error of a conversion as the pipeline's own.
    pub(super) fn into_pipeline(self) -> pipeline::Error {
        match self {
            Self::Pipeline(error) => *error,
            // Conversions fail with errors of the pipeline alone; the others are the wire's.
            other => pipeline::Error::Fault(other.to_string()),
        }
    }
}

impl From<pipeline::Error> for Error {
    fn from(error: pipeline::Error) -> Self {
        Self::Pipeline(Box::new(error))
    }
}

impl From<InvalidField> for Error {
    fn from(error: InvalidField) -> Self {
        pipeline::Error::from(error).into()
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        pipeline::Error::from(error).into()
    }
}

impl From<intervention::Error> for Error {
    fn from(error: intervention::Error) -> Self {
        pipeline::Error::from(error).into()
    }
}

impl From<model::Error> for Error {
    fn from(error: model::Error) -> Self {
        pipeline::Error::from(error).into()
    }
}
