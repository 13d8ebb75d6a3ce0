//! Reasons why interventions cannot be applied.

use crate::field_path::{FieldPath, InvalidField, shown};
use crate::model;

/// Why a list of interventions cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that is out of its range.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// A projector that is not resident.
    #[error("{field}: {}", self.detail())]
    UnknownProjector {
        /// Path of the field in the request.
        field: FieldPath,
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        resident: Vec<String>,
    },
    /// A sparse autoencoder that is not resident.
    #[error("{field}: {}", self.detail())]
    UnknownSae {
        /// Path of the field in the request.
        field: FieldPath,
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        resident: Vec<String>,
    },
    /// A tuned lens that is not resident.
    #[error("{field}: {}", self.detail())]
    UnknownLens {
        /// Path of the field in the request.
        field: FieldPath,
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        resident: Vec<String>,
    },
    /// Activations that are not kept, or no longer.
    #[error("{field}: {}", self.detail())]
    UnknownActivation {
        /// Path of the field in the request.
        field: FieldPath,
        /// The name that was asked for.
        handle: String,
    },
    /// An intervention that had nothing to act on.
    #[error("{field}: {}", self.detail())]
    NeverFired {
        /// Path of the field in the request.
        field: FieldPath,
        /// Why.
        message: String,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] model::Error),
}

impl Error {
    /// Returns the field of the request that is to blame, if one is.
    pub fn field(&self) -> Option<&FieldPath> {
        match self {
            Self::Invalid(InvalidField { field, .. })
            | Self::UnknownProjector { field, .. }
            | Self::UnknownSae { field, .. }
            | Self::UnknownLens { field, .. }
            | Self::UnknownActivation { field, .. }
            | Self::NeverFired { field, .. } => Some(field),
            Self::Model(_) => None,
        }
    }

    /// Returns the text without the field in front.
    pub fn detail(&self) -> String {
        match self {
            Self::Invalid(invalid) => invalid.message.clone(),
            Self::UnknownProjector { name, resident, .. } => {
                format!(
                    "no projector {}; resident: {}",
                    shown(name),
                    resident.join(", ")
                )
            }
            Self::UnknownSae { name, resident, .. } if resident.is_empty() => {
                format!(
                    "no sparse autoencoder {}; the model has none, `serve --sae NAME=FOLDER` adds \
                     one",
                    shown(name)
                )
            }
            Self::UnknownSae { name, resident, .. } => {
                format!(
                    "no sparse autoencoder {}; resident: {}",
                    shown(name),
                    resident.join(", ")
                )
            }
            Self::UnknownLens { name, resident, .. } if resident.is_empty() => {
                format!(
                    "no tuned lens {}; the model has none, `serve --lens NAME=FOLDER` adds one",
                    shown(name)
                )
            }
            Self::UnknownLens { name, resident, .. } => {
                format!(
                    "no tuned lens {}; resident: {}",
                    shown(name),
                    resident.join(", ")
                )
            }
            Self::UnknownActivation { handle, .. } => {
                format!(
                    "no activations {} are kept; capture them again, or send them",
                    shown(handle)
                )
            }
            Self::NeverFired { message, .. } => format!("never fired: {message}"),
            Self::Model(error) => error.to_string(),
        }
    }

    /// Returns the same field, to be moved below another one.
    pub fn field_mut(&mut self) -> Option<&mut FieldPath> {
        match self {
            Self::Invalid(InvalidField { field, .. })
            | Self::UnknownProjector { field, .. }
            | Self::UnknownSae { field, .. }
            | Self::UnknownLens { field, .. }
            | Self::UnknownActivation { field, .. }
            | Self::NeverFired { field, .. } => Some(field),
            Self::Model(_) => None,
        }
    }
}
