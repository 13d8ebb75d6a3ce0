//! Models: configuration, processor and forward pass, with Hugging Face's names.
//!
//! A family is a folder here, a line in [`FAMILIES`], and a golden set; one vision transformer and
//! one decoder serve all of them by configuration. A forward pass calls
//! [`nn::Hooks`](crate::nn::Hooks) at every hook point and knows nothing of interventions, prompts
//! or requests.

mod chat;
mod chat_files;
mod clip;
mod clock;
mod config;
mod conversations;
mod decoder;
mod embedded;
mod family;
mod generation;
mod hub;
mod jinja;
mod lifetime;
pub mod llava;
pub mod llava_next;
pub mod llava_onevision;
mod original;
mod projector;
mod resident;
mod rotary;
mod saliency;
mod sentencepiece;
mod source;
mod text;
mod tokens;
mod tower;
mod unsupported;
pub mod vipllava;

use std::path::PathBuf;

use candle_core::{Device, DeviceLocation};

pub use chat::{Chat, ChatTemplate, Message, MessagePart, Rendered, Role};
pub use clip::Clip;
pub use config::Config;
pub use decoder::{DECODERS, Decoder, DecoderConfig};
pub use embedded::{SHAPES, shapes, sizes};
pub use family::{FAMILIES, Family};
pub use generation::{Cutoffs, GenerationConfig, Processors};
pub use hub::{Hub, HubId};
pub use lifetime::Lifetime;
pub use projector::Projector;
pub use resident::{DEFAULT_PROJECTOR, Load, Model, Prompt};
pub use saliency::SaliencyModel;
pub use source::{Origin, RANDOM, Source};
pub use text::{Detokenizer, IMAGE_MARKER, Text};
pub use tokens::{ImageTokens, Place};
pub use tower::{Owner, SelectStrategy, TowerConfig, VisionTower};
pub use unsupported::Purpose;

/// cpu or cuda:N.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".into(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

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
