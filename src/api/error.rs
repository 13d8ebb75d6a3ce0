//! Why a request fails.

use crate::{engine, intervention, model, vision};

/// Every way in which a request can fail; `status.rs` gives each its code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field that is out of its range.
    #[error("{field}: {message}")]
    Invalid {
        /// Path of the field in the request.
        field: String,
        /// The limit, and what would be valid.
        message: String,
    },
    /// No such model.
    #[error("no model {name:?}; resident: {}", .resident.join(", "))]
    UnknownModel {
        /// As asked.
        name: String,
        /// What there is.
        resident: Vec<String>,
    },
    /// A model of that name is resident already.
    #[error("name: a model called {name:?} is resident; unload it or take another name")]
    SameName {
        /// As asked.
        name: String,
    },
    /// A model or a projector that does not load.
    #[error("{field}: {source}")]
    Load {
        /// Path of the field in the request.
        field: &'static str,
        /// Why.
        source: Box<model::Error>,
    },
    /// A key is needed.
    #[error("{}", if *.said { "this key is none of the server's" } else { "a key is needed: metadata authorization, Bearer KEY" })]
    Unauthenticated {
        /// Whether there was one.
        said: bool,
    },
    /// Clients may not load.
    #[error("this server was started without --allow-load")]
    Closed,
    /// No picture of that hash.
    #[error("{field}: no picture {handle:?} is kept; send its bytes")]
    UnknownImage {
        /// Path of the field in the request.
        field: String,
        /// As asked.
        handle: String,
    },
    /// No such saliency model.
    #[error("interventions: no saliency model {name:?}; resident: {}", .resident.join(", "))]
    UnknownSaliency {
        /// As asked.
        name: String,
        /// What there is.
        resident: Vec<String>,
    },
    /// More would be captured than may be.
    #[error(
        "{field}: {needed} bytes would be captured; at most {limit} may be; choose fewer points, or reduce"
    )]
    CaptureBudget {
        /// Path of the field in the request.
        field: &'static str,
        /// Bytes.
        needed: u64,
        /// Bytes.
        limit: u64,
    },
    /// A record that cannot be replayed.
    #[error("provenance: {0}")]
    Record(String),
    /// A golden set that is not there or does not fit.
    #[error("no parity check of {model}: {reason}")]
    Goldens {
        /// The model.
        model: String,
        /// What is wrong.
        reason: String,
    },
    /// A picture.
    #[error("{field}: {source}")]
    Image {
        /// Path of the field in the request.
        field: String,
        /// What is wrong with it.
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
    /// What the client streams has ended badly.
    #[error("the stream of requests ended: {0}")]
    Inbound(Box<tonic::Status>),
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
    /// An error of the client's stream.
    pub(super) fn from_client(status: tonic::Status) -> Self {
        Self::Inbound(Box::new(status))
    }

    /// A failed load of what the request's `field` names.
    pub(super) fn load(field: &'static str) -> impl FnOnce(model::Error) -> Self {
        move |source| Self::Load {
            field,
            source: Box::new(source),
        }
    }

    /// The same with its field inside of `outer`.
    pub(super) fn within(self, outer: &str) -> Self {
        let inside = |field: String| format!("{outer}.{field}");
        match self {
            Self::Invalid { field, message } => Self::Invalid {
                field: inside(field),
                message,
            },
            other => other,
        }
    }

    pub(super) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }
}
