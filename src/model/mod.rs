//! Models: configuration, processor and forward pass, with Hugging Face's names.
//!
//! **Read [`llava.rs`](Model) first**: the whole forward pass on one page, tower -> projector ->
//! pack -> splice -> decoder ([`Model::encode_images`], [`Model::embed`], [`Model::forward`]). Two
//! traits say what differs:
//!
//! - [`VisionTower`], with [`TowerInfo`] (sizes that all views share) and [`ViewInfo`] (sizes of one
//!   view, whose grid need not be square nor the same for all). A tower implements `info`, `blocks`
//!   and `embed_patches`, and `select` where it is unlike CLIP's. Its `vision_config` is a
//!   `TowerConfig`, which loads it.
//! - [`Family`]: which config.json is of it, which tower it has (`tower`), what the image processor
//!   makes of a picture (`tiling`), which visual tokens that is (`tokens`, an [`ImageTokens`]),
//!   what ends a row of them (`row_end`), which token places a picture (`image_marker`). A family
//!   is a file in `families/`, a line in [`FAMILIES`], and a golden set; see
//!   docs/adding-a-family.md.
//!
//! `encoders/` has what stands beside a LLaVA by itself: CLIP and SigLIP whole, ViT, DINOv2.
//!
//! What is on a device stands behind [`ResidentTower`], [`ResidentDecoder`] and
//! [`ResidentProjector`], so that any thread may hold a model, and its device's thread alone
//! computes with it.
//!
//! `load/` reads files and weights. [`input.rs`](Model::read) makes what the page reads of what a
//! request holds, by the image processor and by `text/`: chat templates and tokenizers. A forward pass calls
//! [`nn::Hooks`](crate::nn::Hooks) at every hook point and knows nothing of interventions, prompts
//! or requests.

mod beside;
mod by_name;
mod decoder;
mod dinov2;
mod encoders;
mod error;
mod families;
mod fields;
mod generation;
mod gradient;
mod hosted_linear;
mod image_tokens;
mod input;
mod jinja;
mod lifetime;
mod llava;
mod load;
mod measured_rows;
mod projector;
mod read;
mod resident;
mod rotary;
mod sae;
mod saliency;
mod shape;
mod text;
mod text_model;
mod tuned_lens;
mod vision_tower;
mod vit;
mod warm_up;

pub use decoder::{DECODERS, Decoder, DecoderConfig};
pub use encoders::{DualEncoder, EncoderFeatures, ImageEncoder, TextEncoder};
pub use error::Error;
pub use families::{FAMILIES, Family};
pub use generation::{Cutoffs, GenerationConfig, Processors};
pub use gradient::{
    Blend, GradientInput, GradientPass, GradientReduction, Gradients, Objective, Tap, TapGradient,
};
pub use image_tokens::{ImageTokens, Place};
pub use input::{
    ImageFiles, Input, InputError, InputImage, Pixels, PromptToken, TextSegment, Words,
};
pub use lifetime::Lifetime;
pub use llava::{ImageInput, Model, Prompt};
pub use load::config::Config;
pub use load::embedded::{SHAPES, shapes, sizes};
pub use load::hub::{Hub, HubId};
pub use load::loader::{Load, LoadTo, PreparedModel};
pub use load::origin::{Origin, RANDOM};
pub use load::source::Source;
pub use load::unsupported::Purpose;
pub use measured_rows::{MeasuredRows, RowsQuery};
pub use projector::Projector;
pub use resident::{DEFAULT_PROJECTOR, ResidentDecoder, ResidentProjector, ResidentTower};
pub use sae::{Feature, SaeActivation, SaePlace, SparseAutoencoder};
pub use saliency::SaliencyModel;
pub use shape::{Shape, shape_of};
pub use text::chat::{Chat, ChatTemplate};
pub use text::message::{IMAGE_MARKER, Message, MessagePart, Rendered, Role};
pub use text::tokenizer::{Detokenizer, Text};
pub use text_model::{PreparedTextModel, ReplyError, TextModel};
pub use tuned_lens::{Translator, TunedLens};
pub use vision_tower::{SelectStrategy, TowerConfig, TowerInfo, ViewBatch, ViewInfo, VisionTower};
