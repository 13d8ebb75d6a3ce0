//! Encoders that stand by themselves, beside a LLaVA: of pictures (CLIP, SigLIP, ViT, DINOv2), of
//! texts (CLIP, SigLIP), and both as one, which classifies.
//!
//! They run in f32, whole and unhooked but for what they tell: what each layer puts out, the pooled
//! embedding, and where the class token looks.

mod checks;
mod dual;
mod image;
mod pooling;
mod text;
mod text_config;
mod tokenizer;
pub(super) mod tower;

pub use dual::DualEncoder;
pub use image::ImageEncoder;
pub use text::TextEncoder;

/// What an encoder makes of its inputs, layer by layer: names of hook points, and a row for each
/// input.
pub type EncoderFeatures = Vec<(String, Vec<Vec<f32>>)>;

/// Inputs that go up together.
const BATCH: usize = 16;
