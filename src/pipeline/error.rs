//! Why a request fails. Texts and fields are made here; codes are the edge's.

use std::time::Duration;

use super::budget::OverBudget;
use super::owned_store::TooLarge;
use crate::field_path::{FieldPath, InvalidField, shown};
use crate::{engine, intervention, model, vision, weights};

/// Lists every way in which the pipeline fails a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field that is out of its range.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// No such model.
    #[error("no model {}; resident: {}", shown(.name), .resident.join(", "))]
    UnknownModel {
        /// Path of the field in the request.
        field: FieldPath,
        /// The name or handle as asked.
        name: String,
        /// The names that would be valid.
        resident: Vec<String>,
    },
    /// A model of that name is resident already.
    #[error("name: {}", self.detail())]
    SameName {
        /// The name or handle as asked.
        name: String,
    },
    /// A model or a projector that does not load.
    #[error("{field}: {}", self.detail())]
    Load {
        /// Path of the field in the request.
        field: FieldPath,
        /// Why.
        source: Box<model::Error>,
    },
    /// No picture of that hash.
    #[error("{field}: {}", self.detail())]
    UnknownImage {
        /// Path of the field in the request.
        field: FieldPath,
        /// The name or handle as asked.
        handle: String,
    },
    /// No such saliency model.
    #[error("{field}: {}", self.detail())]
    UnknownSaliency {
        /// Path of the field in the request.
        field: FieldPath,
        /// The name or handle as asked.
        name: String,
        /// The names that would be valid.
        resident: Vec<String>,
    },
    /// More would be captured than may be.
    #[error("{field}: {}", self.detail())]
    CaptureBudget {
        /// Path of the field in the request.
        field: FieldPath,
        /// Bytes.
        needed: u64,
        /// Bytes.
        limit: u64,
    },
    /// A model that the caller's key is not for.
    #[error("{field}: {}", self.detail())]
    ModelNotAllowed {
        /// Path of the field in the request.
        field: FieldPath,
        /// The name as asked.
        name: String,
        /// The names that the key is for.
        allowed: String,
    },
    /// A place that clients may not load from, or that is not there.
    #[error("{field}: {}", self.detail())]
    PlaceNotAllowed {
        /// Path of the field in the request.
        field: FieldPath,
        /// The places that are allowed.
        allowed: String,
    },
    /// A value that exceeds what is kept for the caller.
    #[error("{field}: {}", self.detail())]
    StoreTooSmall {
        /// Path of the field in the request.
        field: FieldPath,
        /// Bytes.
        needed: u64,
        /// Bytes.
        limit: u64,
    },
    /// A minute's quota of the caller's key that is used up.
    #[error(
        "this key has {limit} {of} a minute, and they are used up; free again in {:.1} s",
        .retry_after.as_secs_f64()
    )]
    Quota {
        /// Names what is counted.
        of: &'static str,
        /// The quota of a minute.
        limit: u64,
        /// The time after which there is room for the request.
        retry_after: Duration,
    },
    /// A budget that all requests share has no room.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// A record that cannot be replayed.
    #[error("provenance: {0}")]
    Record(String),
    /// A golden set that is not there or does not fit.
    #[error("no parity check of {model}: {reason}")]
    Goldens {
        /// The model.
        model: String,
        /// The reason.
        reason: String,
    },
    /// A picture.
    #[error("{field}: {}", self.detail())]
    Image {
        /// Path of the field in the request.
        field: FieldPath,
        /// The reason.
        source: vision::Error,
    },
    /// An intervention.
    #[error(transparent)]
    Intervention(#[from] intervention::Error),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The model, while a request was prepared: a fault of the server.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The client has left, so nobody hears the rest.
    #[error("the client has left")]
    ClientLeft,
    /// The engine has stopped: a fault of the server.
    #[error("the engine has stopped")]
    EngineStopped,
    /// The engine has sent what the request did not ask for: a fault of the server.
    #[error("the engine sent an event of another kind of request")]
    UnexpectedEvent,
    /// Any other fault of the server.
    #[error("{0}")]
    Fault(String),
}

impl Error {
    /// Returns the error of a failed load of what the request's `field` names, or of the devices
    /// that it names for it.
    pub fn load(field: &'static str) -> impl FnOnce(model::Error) -> Self {
        move |source| {
            // A device that cannot hold a model says nothing against where the model comes from.
            let of_device = matches!(
                source,
                model::Error::Devices { .. } | model::Error::DeviceMemory { .. }
            );
            Self::Load {
                field: if of_device { "device" } else { field }.into(),
                source: Box::new(source),
            }
        }
    }

    /// Returns the same error with its field, if it has one, below `outer`.
    #[must_use]
    pub fn within(mut self, outer: impl Into<FieldPath>) -> Self {
        if let Some(field) = self.field_mut() {
            field.push_front(outer);
        }
        self
    }

    /// Returns the same error with the index of its element of `list` moved by `by`.
    #[must_use]
    pub fn shifted(mut self, list: &str, by: usize) -> Self {
        if let Some(field) = self.field_mut() {
            field.shift(list, by);
        }
        self
    }

    /// Returns the error of a value, named by `field`, that a store has no room for.
    pub(super) fn store_too_small(field: &'static str, too_large: TooLarge) -> Self {
        Self::StoreTooSmall {
            field: field.into(),
            needed: too_large.bytes,
            limit: too_large.share,
        }
    }

    /// Reports whether the engine takes no request at all.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_unavailable())
    }

    /// Says that the value of `field` is invalid because of `message`.
    pub fn invalid(field: impl Into<FieldPath>, message: impl Into<String>) -> Self {
        InvalidField::new(field, message).into()
    }

    /// Returns the text without the field in front, as a list of violations by field wants it.
    pub fn detail(&self) -> String {
        match self {
            Self::Invalid(invalid) => invalid.message.clone(),
            Self::SameName { name } => {
                format!(
                    "a model called {} is resident; unload it or take another name",
                    shown(name)
                )
            }
            Self::Load { source, .. } => source.to_string(),
            Self::Image { source, .. } => source.to_string(),
            Self::UnknownImage { handle, .. } => {
                format!("no picture {} is kept; send its bytes", shown(handle))
            }
            Self::UnknownSaliency { name, resident, .. } => {
                let resident = resident.join(", ");
                format!("no saliency model {}; resident: {resident}", shown(name))
            }
            Self::CaptureBudget { needed, limit, .. } => format!(
                "{needed} bytes would be captured; at most {limit} may be; choose fewer points, or \
                 reduce"
            ),
            Self::ModelNotAllowed { name, allowed, .. } => {
                format!("this key is not for {name:?}; it is for {allowed}")
            }
            Self::PlaceNotAllowed { allowed, .. } => {
                format!("not there, or not among what clients may load: {allowed}")
            }
            Self::StoreTooSmall { needed, limit, .. } => {
                format!("{needed} bytes would be kept; {limit} are, for this caller")
            }
            Self::Record(problem) => problem.clone(),
            Self::Intervention(error) => error.detail(),
            _ => self.to_string(),
        }
    }

    /// Returns the field of the request to blame, if one is.
    pub fn field(&self) -> Option<FieldPath> {
        match self {
            Self::Invalid(InvalidField { field, .. })
            | Self::UnknownModel { field, .. }
            | Self::UnknownImage { field, .. }
            | Self::UnknownSaliency { field, .. }
            | Self::CaptureBudget { field, .. }
            | Self::ModelNotAllowed { field, .. }
            | Self::PlaceNotAllowed { field, .. }
            | Self::StoreTooSmall { field, .. }
            | Self::Image { field, .. } => Some(field.clone()),
            Self::Load { field, source } => match source.as_ref() {
                // A model and its adapter are loaded at once: only the error tells which of them it
                // is of.
                model::Error::Weights(weights::Error::Adapter { .. }) => Some("adapter".into()),
                // A fault of the server, which no field mends.
                model::Error::Tensor(_) => None,
                _ => Some(field.clone()),
            },
            Self::Intervention(intervention::Error::Model(error)) | Self::Model(error) => {
                match error {
                    model::Error::Token { .. } | model::Error::NoChatTemplate { .. } => {
                        Some("prompt".into())
                    }
                    _ => None,
                }
            }
            Self::Intervention(error) => error.field().cloned(),
            Self::SameName { .. } => Some("name".into()),
            Self::Record(_) => Some("provenance".into()),
            Self::Goldens { .. } => Some("model".into()),
            Self::Engine(engine::Error::NothingLeft) => Some("sampling".into()),
            Self::Engine(_)
            | Self::Quota { .. }
            | Self::OverBudget(_)
            | Self::ClientLeft
            | Self::EngineStopped
            | Self::UnexpectedEvent
            | Self::Fault(_) => None,
        }
    }

    /// Returns the path of the field to blame, where an error keeps one, to be moved.
    pub fn field_mut(&mut self) -> Option<&mut FieldPath> {
        match self {
            Self::Invalid(InvalidField { field, .. })
            | Self::UnknownModel { field, .. }
            | Self::Load { field, .. }
            | Self::UnknownImage { field, .. }
            | Self::UnknownSaliency { field, .. }
            | Self::CaptureBudget { field, .. }
            | Self::ModelNotAllowed { field, .. }
            | Self::PlaceNotAllowed { field, .. }
            | Self::StoreTooSmall { field, .. }
            | Self::Image { field, .. } => Some(field),
            Self::Intervention(error) => error.field_mut(),
            Self::SameName { .. }
            | Self::Record(_)
            | Self::Goldens { .. }
            | Self::Quota { .. }
            | Self::Engine(_)
            | Self::OverBudget(_)
            | Self::Model(_)
            | Self::ClientLeft
            | Self::EngineStopped
            | Self::UnexpectedEvent
            | Self::Fault(_) => None,
        }
    }
}
