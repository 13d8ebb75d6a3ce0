//! Reasons why a model does not load, or a prompt is not read.

use std::path::{Path, PathBuf};

/// Reasons why a model does not load, or a prompt is not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the model that cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The model does not fit in the memory budget.
    #[error(
        "the model needs {needed} bytes, {left} are left of the memory budget; \
         unload a model or raise the budget"
    )]
    Budget {
        /// Bytes.
        needed: u64,
        /// Bytes.
        left: u64,
    },
    /// The weights do not fit the memory of the devices.
    #[error(
        "the weights do not fit the devices: {plan}; spread the model over more of them, as in \
         cuda:0+cuda:1, or free memory"
    )]
    DeviceMemory {
        /// The share of each device, and what it has.
        plan: String,
    },
    /// More devices than there is work for.
    #[error("{devices} devices for {layers} layers; at most one for each layer")]
    Devices {
        /// Devices that the model was to be spread over.
        devices: usize,
        /// Layers of the language model.
        layers: usize,
    },
    /// The hub, or what it sent.
    #[error("{id}: {reason}")]
    Hub {
        /// Name and revision.
        id: String,
        /// Why.
        reason: String,
    },
    /// A folder or repository that holds something else, or a format that is not read.
    #[error("{place}: {reason}")]
    Unsupported {
        /// Folder or id.
        place: String,
        /// The content that was found, and the content that would be read.
        reason: String,
    },
    /// A token that the model has no embedding of.
    #[error(
        "token {id} ({token:?}) is beyond the model's embedding table, \
         which has {rows} rows (vocab_size)"
    )]
    Token {
        /// Number of the token.
        id: u32,
        /// The token as the tokenizer spells it.
        token: String,
        /// Rows of the table.
        rows: usize,
    },
    /// A configuration that no model can have, or that is not supported.
    #[error("config.json: {0}")]
    Config(String),
    /// The weights.
    #[error(transparent)]
    Weights(#[from] crate::weights::Error),
    /// The image processor.
    #[error(transparent)]
    Vision(#[from] crate::vision::Error),
    /// The tokenizer or the chat template.
    #[error("{0}")]
    Text(String),
    /// A conversation that the chat template refuses or fails on.
    #[error("{file}, line {line}: {reason}")]
    Chat {
        /// File of the template, or its name.
        file: PathBuf,
        /// Line of the template.
        line: usize,
        /// The template's own words, or what is wrong with it.
        reason: String,
    },
    /// A conversation for a model that has no chat template.
    #[error("{model} has no chat template; {mend}")]
    NoChatTemplate {
        /// The model.
        model: String,
        /// A way to pass a template.
        mend: String,
    },
    /// Shapes, dtypes, the device.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// Says why a file cannot be read.
    pub(super) fn file(path: &Path, reason: String) -> Self {
        Self::File {
            path: path.to_owned(),
            reason,
        }
    }

    /// Says why a model is not read.
    pub(super) fn unsupported(place: &str, reason: String) -> Self {
        Self::Unsupported {
            place: place.to_owned(),
            reason,
        }
    }
}
