//! Says why a server does not start or run.

use crate::{model, pipeline};

/// Says why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reports a model that does not load.
    #[error("model {name}: {source}")]
    Model {
        /// Names the model.
        name: String,
        /// Says why.
        source: Box<pipeline::Error>,
    },
    /// Reports a judge that does not load.
    #[error("judge: {0}")]
    Judge(Box<model::Error>),
    /// Reports an address, or a thread of an engine, that cannot be had.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Reports a failure of the transport.
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    /// Reports requests that had not finished when the drain timeout was over.
    #[error("requests cut off at the end of --drain-timeout: {requests}")]
    CutOff {
        /// Counts them.
        requests: usize,
    },
    /// Reports that reflection or metrics cannot be set up: a fault of the server.
    #[error("{0}")]
    Setup(String),
}
