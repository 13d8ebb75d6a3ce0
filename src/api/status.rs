//! Errors to statuses: the only place that chooses a code.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Error, v1};
use crate::field_path::FieldPath;
use crate::{engine, intervention, model, pipeline};

const DOMAIN: &str = "scotoma";

/// Holds what a status says beside the text.
struct Kind {
    code: Code,
    reason: &'static str,
    retry: bool,
}

fn of(code: Code, reason: &'static str) -> Kind {
    Kind {
        code,
        reason,
        retry: false,
    }
}

/// Returns the kind of an error that is worth trying again.
fn again(code: Code, reason: &'static str) -> Kind {
    Kind {
        code,
        reason,
        retry: true,
    }
}

/// Builds the status of a failed request; `violation` is the field to blame with what is wrong with
/// it.
fn status_of(
    error: &dyn std::fmt::Display,
    kind: &Kind,
    violation: Option<(FieldPath, String)>,
    request_id: &str,
    retry_after: Duration,
) -> Status {
    let metadata = [("request_id".to_owned(), request_id.to_owned())];
    let mut details = ErrorDetails::new();
    details.set_error_info(kind.reason, DOMAIN, metadata);
    if let Some((field, message)) = violation {
        details.add_bad_request_violation(shortened(&field.to_string()), shortened(&message));
    }
    // Its presence is what tells a client that another try helps.
    if kind.retry {
        details.set_retry_info(Some(retry_after));
    }
    let error = error.to_string();
    // A fault is looked up in the log, which knows the request by this id. Its first line is what
    // the client may see: others are the stack of a library.
    let message = if kind.code == Code::Internal {
        let first = error.lines().next().unwrap_or_default();
        if first.len() < error.len() {
            tracing::error!(request_id, error, "a fault in full");
        }
        format!("{} (request {request_id})", shortened(first))
    } else {
        shortened(&error)
    };
    Status::with_error_details(kind.code, message, details)
}

/// Bytes of a text in a header. A client of gRPC's C core takes 8 KiB of headers, in which a text
/// stands twice; past that it reports RESOURCE_EXHAUSTED in place of the error.
const MOST_BYTES: usize = 1500;

/// Cuts a text that a header could not hold.
fn shortened(text: &str) -> String {
    let mut bytes = 0;
    for (at, letter) in text.char_indices() {
        // Headers hold ASCII; all else is spelled as %XX, byte by byte.
        // Counted as they are sent, and cut by characters.
        bytes += if letter == ' ' || letter.is_ascii_graphic() {
            1
        } else {
            3 * letter.len_utf8()
        };
        if bytes > MOST_BYTES {
            return format!("{}...", &text[..at]);
        }
    }
    text.to_owned()
}

impl Error {
    /// Returns the status of a request that failed so; `retry_after` goes with those worth trying
    /// again.
    pub fn status(&self, request_id: &str, retry_after: Duration) -> Status {
        // Without a wildcard: an error that is new does not build until it has its code.
        let kind = match self {
            Self::Pipeline(error) => return error.status(request_id, retry_after),
            Self::NoKey | Self::UnknownKey => of(Code::Unauthenticated, "UNAUTHENTICATED"),
            Self::KeyExpired { .. } => of(Code::Unauthenticated, "KEY_EXPIRED"),
            Self::NotAdmin { .. } => of(Code::PermissionDenied, "NOT_ADMIN"),
            Self::Silent { .. } => of(Code::DeadlineExceeded, "SILENT_CLIENT"),
            // Not worth another try by itself: a client that reads as before is cut again.
            Self::SlowReader { .. } => of(Code::ResourceExhausted, "SLOW_READER"),
            Self::IdempotencyKey => of(Code::InvalidArgument, "INVALID_FIELD"),
            Self::IdempotencyMismatch => of(Code::InvalidArgument, "IDEMPOTENCY_MISMATCH"),
            Self::NotReplayable => of(Code::FailedPrecondition, "NOT_REPLAYABLE"),
            // The code that tonic has for a message past its limit.
            Self::MessageTooLarge => of(Code::OutOfRange, "MESSAGE_TOO_LARGE"),
            Self::Malformed(_) => of(Code::InvalidArgument, "MALFORMED_MESSAGE"),
            Self::Closed => of(Code::PermissionDenied, "LOADING_NOT_ALLOWED"),
            // One of ours, which intake made of a body that it read no further: it has its reason,
            // and a delay where another try helps.
            Self::Inbound(status) if !status.details().is_empty() => return (**status).clone(),
            Self::Inbound(status) => of(status.code(), "BROKEN_STREAM"),
        };
        status_of(self, &kind, None, request_id, retry_after)
    }
}

impl pipeline::Error {
    /// Returns the status of a request that failed so.
    pub(super) fn status(&self, request_id: &str, retry_after: Duration) -> Status {
        let violation = self.field().map(|field| (field, self.detail()));
        // A quota knows by itself when it is free again.
        let retry_after = match self {
            Self::Quota { retry_after, .. } => *retry_after,
            _ => retry_after,
        };
        status_of(self, &self.kind(), violation, request_id, retry_after)
    }

    /// Returns the result of a variant that failed so.
    pub(super) fn in_sweep(&self, request_id: &str, retry_after: Duration) -> v1::SweepError {
        let status = self.status(request_id, retry_after);
        v1::SweepError {
            code: status.code().into(),
            reason: self.kind().reason.into(),
            field: self.field().unwrap_or_default().to_string(),
            message: status.message().into(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) | Self::Model(model::Error::Token { .. }) => {
                of(Code::InvalidArgument, "INVALID_FIELD")
            }
            Self::Image { .. } => of(Code::InvalidArgument, "INVALID_IMAGE"),
            Self::UnknownModel { .. } => of(Code::NotFound, "UNKNOWN_MODEL"),
            Self::UnknownImage { .. } => of(Code::NotFound, "UNKNOWN_IMAGE"),
            Self::UnknownSaliency { .. } => of(Code::NotFound, "UNKNOWN_SALIENCY_MODEL"),
            Self::OverBudget(_) => again(Code::ResourceExhausted, "BUDGET"),
            // A bound of one request, which waiting does not move.
            Self::CaptureBudget { .. } => of(Code::ResourceExhausted, "CAPTURE_BUDGET"),
            Self::ModelNotAllowed { .. } => of(Code::PermissionDenied, "MODEL_NOT_ALLOWED"),
            Self::PlaceNotAllowed { .. } => of(Code::PermissionDenied, "PLACE_NOT_ALLOWED"),
            // Larger than all that the caller may keep, however empty that is.
            Self::StoreTooSmall { .. } => of(Code::ResourceExhausted, "KEY_QUOTA"),
            Self::Quota { .. } => again(Code::ResourceExhausted, "KEY_QUOTA"),
            Self::Record(_) => of(Code::InvalidArgument, "BAD_RECORD"),
            Self::SameName { .. } => of(Code::AlreadyExists, "SAME_NAME"),
            Self::Load { source, .. } => load_kind(source),
            Self::Goldens { .. } => of(Code::FailedPrecondition, "NO_GOLDENS"),
            Self::Intervention(error) => intervention_kind(error),
            Self::Engine(error) => engine_kind(error),
            Self::Model(model::Error::NoChatTemplate { .. }) => {
                of(Code::FailedPrecondition, "NO_CHAT_TEMPLATE")
            }
            // For logs and metrics; nobody reads it.
            Self::ClientLeft => of(Code::Cancelled, "CLIENT_LEFT"),
            Self::Model(_) | Self::EngineStopped | Self::UnexpectedEvent | Self::Fault(_) => {
                of(Code::Internal, "FAULT")
            }
        }
    }
}

/// Returns the kind of a model that does not load.
fn load_kind(error: &model::Error) -> Kind {
    match error {
        // Room comes by unloading something, not by itself.
        model::Error::Budget { .. } | model::Error::DeviceMemory { .. } => {
            of(Code::ResourceExhausted, "MEMORY_BUDGET")
        }
        model::Error::Devices { .. } => of(Code::InvalidArgument, "INVALID_FIELD"),
        model::Error::Hub { .. } => of(Code::Unavailable, "HUB"),
        model::Error::Tensor(_) => of(Code::Internal, "FAULT"),
        model::Error::File { .. }
        | model::Error::Unsupported { .. }
        | model::Error::Token { .. }
        | model::Error::Chat { .. }
        | model::Error::NoChatTemplate { .. }
        | model::Error::Config(_)
        | model::Error::Weights(_)
        | model::Error::Vision(_)
        | model::Error::Text(_) => of(Code::InvalidArgument, "BAD_MODEL"),
    }
}

/// Returns the kind of an intervention that does not fit.
fn intervention_kind(error: &intervention::Error) -> Kind {
    match error {
        intervention::Error::Invalid(_) => of(Code::InvalidArgument, "INVALID_INTERVENTION"),
        intervention::Error::UnknownProjector { .. } => of(Code::NotFound, "UNKNOWN_PROJECTOR"),
        intervention::Error::UnknownSae { .. } => of(Code::NotFound, "UNKNOWN_SAE"),
        intervention::Error::UnknownLens { .. } => of(Code::NotFound, "UNKNOWN_LENS"),
        intervention::Error::UnknownActivation { .. } => of(Code::NotFound, "UNKNOWN_ACTIVATION"),
        intervention::Error::NeverFired { .. } => {
            of(Code::FailedPrecondition, "INTERVENTION_NEVER_FIRED")
        }
        intervention::Error::Model(model::Error::Token { .. }) => {
            of(Code::InvalidArgument, "INVALID_FIELD")
        }
        intervention::Error::Model(_) => of(Code::Internal, "FAULT"),
    }
}

/// Returns the kind of a request that the engine refuses or ends. What is worth trying again is what
/// passes by itself: a full queue, not a request that is too large.
fn engine_kind(error: &engine::Error) -> Kind {
    match error {
        engine::Error::QueueFull { .. } => again(Code::ResourceExhausted, "QUEUE_FULL"),
        engine::Error::Backlog { .. } => again(Code::ResourceExhausted, "BACKLOG"),
        // Not `again`: it would not fit an empty device either.
        engine::Error::KvBudget { .. } => of(Code::ResourceExhausted, "KV_BUDGET"),
        engine::Error::Restarting => again(Code::Unavailable, "DEVICE_RESTART"),
        engine::Error::Draining => again(Code::Unavailable, "DRAINING"),
        engine::Error::Deadline { .. } => of(Code::DeadlineExceeded, "DEADLINE"),
        engine::Error::NothingLeft => of(Code::FailedPrecondition, "NO_TOKEN_LEFT"),
        // Of a checkpoint, or of what the interventions make of it.
        engine::Error::NotFinite => of(Code::FailedPrecondition, "NOT_FINITE"),
        engine::Error::Fault(_) => of(Code::Internal, "FAULT"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_ended_a_body_is_said_as_it_was() {
        let silent = Error::Silent { seconds: 3.0 }.status("7", Duration::ZERO);
        let error = Error::Inbound(Box::new(silent.clone()));
        let said = error.status("8", Duration::from_secs(1));
        assert_eq!(
            (said.code(), said.message(), said.details()),
            (silent.code(), silent.message(), silent.details())
        );
        let broken = Error::Inbound(Box::new(Status::cancelled("reset")));
        let said = broken.status("8", Duration::from_secs(1));
        let reason = said.get_details_error_info().unwrap().reason;
        assert_eq!(
            (said.code(), reason.as_str()),
            (Code::Cancelled, "BROKEN_STREAM")
        );
    }

    #[test]
    fn texts_fit_a_header_and_stacks_stay_here() {
        for letter in ["a", "\u{e9}", "\n"] {
            let status = Error::invalid("model", letter.repeat(5000)).status("7", Duration::ZERO);
            let headers = status.into_http::<()>().into_parts().0.headers;
            let bytes: usize = headers.values().map(HeaderValue::len).sum();
            assert!((1000..6000).contains(&bytes), "{bytes} of {letter:?}");
        }
        let fault = Error::fault("no such shape\n   0: a frame\n   1: another");
        let status = fault.status("7", Duration::ZERO);
        assert_eq!(status.message(), "no such shape (request 7)");
    }
}
