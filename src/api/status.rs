//! Errors to statuses: the only place that chooses a code.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Error, v1};
use crate::{engine, intervention, model, weights};

const DOMAIN: &str = "scotoma";

struct Kind<'a> {
    code: Code,
    reason: &'static str,
    field: Option<&'a str>,
    retry: bool,
}

impl Error {
    fn kind(&self) -> Kind<'_> {
        let of = |code, reason, field, retry| Kind {
            code,
            reason,
            field,
            retry,
        };
        match self {
            Self::Invalid { field, .. } => {
                of(Code::InvalidArgument, "INVALID_FIELD", Some(field), false)
            }
            Self::Image { field, .. } => {
                of(Code::InvalidArgument, "INVALID_IMAGE", Some(field), false)
            }
            Self::UnknownModel { .. } => of(Code::NotFound, "UNKNOWN_MODEL", Some("model"), false),
            Self::UnknownImage { field, .. } => {
                of(Code::NotFound, "UNKNOWN_IMAGE", Some(field), false)
            }
            Self::UnknownSaliency { .. } => of(
                Code::NotFound,
                "UNKNOWN_SALIENCY_MODEL",
                Some("interventions"),
                false,
            ),
            Self::CaptureBudget { field, .. } => of(
                Code::ResourceExhausted,
                "CAPTURE_BUDGET",
                Some(field),
                false,
            ),
            Self::Record(_) => of(
                Code::InvalidArgument,
                "BAD_RECORD",
                Some("provenance"),
                false,
            ),
            Self::SameName { .. } => of(Code::AlreadyExists, "SAME_NAME", Some("name"), false),
            Self::Unauthenticated { .. } => {
                of(Code::Unauthenticated, "UNAUTHENTICATED", None, false)
            }
            Self::Closed => of(Code::PermissionDenied, "LOADING_NOT_ALLOWED", None, false),
            Self::Load { field, source } => match source.as_ref() {
                model::Error::Budget { .. } => {
                    of(Code::ResourceExhausted, "MEMORY_BUDGET", Some(field), false)
                }
                model::Error::Hub { .. } => of(Code::Unavailable, "HUB", Some(field), false),
                model::Error::Weights(weights::Error::Adapter { .. }) => {
                    of(Code::InvalidArgument, "BAD_MODEL", Some("adapter"), false)
                }
                model::Error::Tensor(_) => of(Code::Internal, "FAULT", None, false),
                model::Error::File { .. }
                | model::Error::Unsupported { .. }
                | model::Error::Token { .. }
                | model::Error::Chat { .. }
                | model::Error::NoChatTemplate { .. }
                | model::Error::Config(_)
                | model::Error::Weights(_)
                | model::Error::Vision(_)
                | model::Error::Text(_) => {
                    of(Code::InvalidArgument, "BAD_MODEL", Some(field), false)
                }
            },
            Self::Goldens { .. } => {
                of(Code::FailedPrecondition, "NO_GOLDENS", Some("model"), false)
            }
            Self::Intervention(e) => match e {
                intervention::Error::Invalid { field, .. } => of(
                    Code::InvalidArgument,
                    "INVALID_INTERVENTION",
                    Some(field),
                    false,
                ),
                intervention::Error::UnknownProjector { field, .. } => {
                    of(Code::NotFound, "UNKNOWN_PROJECTOR", Some(field), false)
                }
                intervention::Error::UnknownActivation { field, .. } => {
                    of(Code::NotFound, "UNKNOWN_ACTIVATION", Some(field), false)
                }
                intervention::Error::NeverFired { field, .. } => of(
                    Code::FailedPrecondition,
                    "INTERVENTION_NEVER_FIRED",
                    Some(field),
                    false,
                ),
                intervention::Error::Model(model::Error::Token { .. }) => of(
                    Code::InvalidArgument,
                    "INVALID_FIELD",
                    Some("prompt"),
                    false,
                ),
                intervention::Error::Model(_) => of(Code::Internal, "FAULT", None, false),
            },
            Self::Engine(e) => match e {
                engine::Error::QueueFull { .. } => {
                    of(Code::ResourceExhausted, "QUEUE_FULL", None, true)
                }
                engine::Error::Backlog { .. } => of(Code::ResourceExhausted, "BACKLOG", None, true),
                engine::Error::KvBudget { .. } => {
                    of(Code::ResourceExhausted, "KV_BUDGET", None, false)
                }
                engine::Error::Draining => of(Code::Unavailable, "DRAINING", None, true),
                engine::Error::Deadline { .. } => {
                    of(Code::DeadlineExceeded, "DEADLINE", None, false)
                }
                engine::Error::NothingLeft => of(
                    Code::FailedPrecondition,
                    "NO_TOKEN_LEFT",
                    Some("sampling"),
                    false,
                ),
                engine::Error::NotFinite => of(Code::Internal, "NOT_FINITE", None, false),
                engine::Error::Fault(_) => of(Code::Internal, "FAULT", None, false),
            },
            Self::Inbound(status) => of(status.code(), "BROKEN_STREAM", None, false),
            Self::Model(model::Error::Token { .. }) => of(
                Code::InvalidArgument,
                "INVALID_FIELD",
                Some("prompt"),
                false,
            ),
            Self::Model(model::Error::NoChatTemplate { .. }) => of(
                Code::FailedPrecondition,
                "NO_CHAT_TEMPLATE",
                Some("prompt"),
                false,
            ),
            Self::ClientLeft => of(Code::Cancelled, "CLIENT_LEFT", None, false),
            Self::Model(_) | Self::EngineStopped | Self::UnexpectedEvent | Self::Fault(_) => {
                of(Code::Internal, "FAULT", None, false)
            }
        }
    }

    /// What the result of a variant says that failed so.
    pub(super) fn in_sweep(&self, request_id: &str, retry_after: Duration) -> v1::SweepError {
        let (status, kind) = (self.status(request_id, retry_after), self.kind());
        v1::SweepError {
            code: status.code().into(),
            reason: kind.reason.into(),
            field: kind.field.unwrap_or_default().into(),
            message: status.message().into(),
        }
    }

    /// The status of a request that failed so; `retry_after` goes with those worth trying again.
    pub fn status(&self, request_id: &str, retry_after: Duration) -> Status {
        let kind = self.kind();
        let metadata = [("request_id".to_owned(), request_id.to_owned())];
        let mut details = ErrorDetails::new();
        details.set_error_info(kind.reason, DOMAIN, metadata);
        let message = self.to_string();
        if let Some(field) = kind.field {
            let text = message
                .strip_prefix(&format!("{field}: "))
                .unwrap_or(&message);
            details.add_bad_request_violation(field, text);
        }
        if kind.retry {
            details.set_retry_info(Some(retry_after));
        }
        let message = if kind.code == Code::Internal {
            format!("{message} (request {request_id})")
        } else {
            message
        };
        Status::with_error_details(kind.code, message, details)
    }
}
