//! Models: configuration, processor and forward pass, with Hugging Face's names.
//!
//! A family is a folder here ([`llava`] is LLaVA-1.5), a line in the registry of [`Model::load`], and a golden set. A forward pass calls [`nn::Hooks`](crate::nn::Hooks) at every hook
//! point and knows nothing of interventions, prompts or requests.

mod decoder;
mod embedded;
pub mod llava;
mod projector;
mod source;
mod text;
mod tower;

use std::path::PathBuf;

pub use decoder::{Decoder, DecoderConfig};
pub use embedded::{SHAPES, shapes};
pub use llava::{DEFAULT_PROJECTOR, Model};
pub use projector::Projector;
pub use source::Source;
pub use text::{Detokenizer, IMAGE_MARKER, Text};
pub use tower::{SelectStrategy, TowerConfig, VisionTower};

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
    /// Shapes, dtypes, the device.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
