//! Reasons why a model does not load, or a prompt is not read.

use std::path::PathBuf;

/// What can keep a model from loading, or a prompt from being read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the model that cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It does not fit.
    #[error(
        "the model needs {needed} bytes, {left} are left of the memory budget; unload a model or raise the budget"
    )]
    Budget {
        /// Bytes.
        needed: u64,
        /// Bytes.
        left: u64,
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
        /// What it is, and what would be read.
        reason: String,
    },
    /// A token that the model has no embedding of.
    #[error(
        "token {id} ({token:?}) is beyond the model's embedding table, which has {rows} rows (vocab_size)"
    )]
    Token {
        /// Its number.
        id: u32,
        /// As the tokenizer spells it.
        token: String,
        /// Of the table.
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
        /// Of the template, or its name.
        file: PathBuf,
        /// Of the template.
        line: usize,
        /// What it says.
        reason: String,
    },
    /// A conversation for a model that has no chat template.
    #[error("{model} has no chat template; {mend}")]
    NoChatTemplate {
        /// The model.
        model: String,
        /// What to do.
        mend: String,
    },
    /// Shapes, dtypes, the device.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
