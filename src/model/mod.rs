//! Models: configuration, processor and forward pass, with Hugging Face's names.
//!
//! A family is a folder here, a line in [`FAMILIES`], and a golden set; one vision transformer and
//! one decoder serve all of them by configuration. A forward pass calls
//! [`nn::Hooks`](crate::nn::Hooks) at every hook point and knows nothing of interventions, prompts
//! or requests.

mod clip;
mod decoder;
mod device;
mod error;
mod families;
mod generation;
mod image_tokens;
mod jinja;
mod lifetime;
mod llava;
mod load;
mod packing;
mod projector;
mod projectors;
mod read;
mod rotary;
mod saliency;
mod text;
mod vision_tower;
mod vit;

pub use clip::Clip;
pub use decoder::{DECODERS, Decoder, DecoderConfig};
pub use device::device_name;
pub use error::Error;
pub use families::{FAMILIES, Family};
pub use generation::{Cutoffs, GenerationConfig, Processors};
pub use image_tokens::{ImageTokens, Place};
pub use lifetime::Lifetime;
pub use llava::{ImageInput, Model, Prompt};
pub use load::config::Config;
pub use load::embedded::{SHAPES, shapes, sizes};
pub use load::hub::{Hub, HubId};
pub use load::loader::Load;
pub use load::origin::{Origin, RANDOM};
pub use load::source::Source;
pub use load::unsupported::Purpose;
pub use projector::Projector;
pub use projectors::DEFAULT_PROJECTOR;
pub use saliency::SaliencyModel;
pub use text::chat::{Chat, ChatTemplate};
pub use text::message::{IMAGE_MARKER, Message, MessagePart, Rendered, Role};
pub use text::tokenizer::{Detokenizer, Text};
pub use vision_tower::{SelectStrategy, TowerConfig, TowerInfo, ViewBatch, ViewInfo, VisionTower};
