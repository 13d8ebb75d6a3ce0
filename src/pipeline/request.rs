//! Requests in the server's own terms: checked against the contract, every seed filled in.

use std::sync::Arc;

use candle_core::DType;
use serde_json::Value;

use super::error::Error;
use super::grid::SweepGrid;
use super::interventions::Interventions;
use super::request_context::RequestContext;
use super::sampling::SamplingParams;
use super::stores::Bytes;
use crate::field_path::FieldPath;
use crate::intervention;
use crate::model::{Message, Model};

/// A picture.
#[derive(Debug, Clone)]
pub struct Image {
    /// Path of the picture in the request.
    pub field: FieldPath,
    /// The picture itself, or where it is.
    pub source: ImageSource,
}

/// Says where a picture is.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// The bytes of its file, which came with the request.
    Sent(Bytes),
    /// The handle of an uploaded picture: the BLAKE3 (hex) of its bytes.
    Uploaded(String),
}

impl Image {
    /// Returns a picture that came with the request.
    pub fn sent(field: impl Into<FieldPath>, bytes: Bytes) -> Self {
        Self {
            field: field.into(),
            source: ImageSource::Sent(bytes),
        }
    }

    /// Returns a picture that the client uploaded before.
    pub fn uploaded(field: impl Into<FieldPath>, handle: String) -> Self {
        Self {
            field: field.into(),
            source: ImageSource::Uploaded(handle),
        }
    }
}

/// Says how several pictures of one request are prepared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MultiImage {
    /// Leaves it to the model's processor.
    #[default]
    Unspecified,
    /// Each padded to a square.
    Padded,
    /// Each tiled as if it came alone.
    Tiled,
}

/// The words of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptText {
    /// The words of one user, to be put through the chat template.
    Text(String),
    /// The prompt as the tokenizer takes it.
    Raw(String),
    /// A conversation; its picture parts are the request's images, in order.
    Messages(Vec<Message>),
}

/// Words and pictures.
#[derive(Debug, Clone)]
pub struct PromptInput {
    /// The words, with the places of the pictures.
    pub text: PromptText,
    /// The pictures, in order.
    pub images: Vec<Image>,
    /// Says how several pictures are prepared.
    pub multi_image: MultiImage,
}

/// Asks for an answer.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// The caller, its deadline and its metrics.
    pub context: RequestContext,
    /// The model.
    pub model: Arc<Model>,
    /// The words and pictures.
    pub prompt: PromptInput,
    /// The changes to the forward pass.
    pub interventions: Interventions,
    /// Says how tokens are chosen.
    pub sampling: SamplingParams,
    /// Tokens of the answer, at most; 0: as many as the model allows.
    pub max_tokens: u32,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Counts the likeliest tokens to report for each.
    pub top_logprobs: u32,
    /// Tells samples that share a seed apart.
    pub sample_key: String,
}

/// Asks for the likelihood of continuations.
#[derive(Debug, Clone)]
pub struct ScoreRequest {
    /// The caller, its deadline and its metrics.
    pub context: RequestContext,
    /// The model.
    pub model: Arc<Model>,
    /// The words and pictures before each continuation.
    pub prompt: PromptInput,
    /// The changes to the forward pass.
    pub interventions: Interventions,
    /// The texts to score.
    pub continuations: Vec<String>,
    /// Tells samples that share a seed apart.
    pub sample_key: String,
}

/// Something to capture.
#[derive(Debug, Clone)]
pub struct CaptureSpec {
    /// The hook points, and the reduction of what is found there.
    pub capture: intervention::CaptureTarget,
    /// Keeps the values for later requests.
    pub keep: bool,
    /// The contract's spelling.
    pub canonical: Value,
}

/// Asks for activations.
#[derive(Debug, Clone)]
pub struct CaptureRequest {
    /// The caller, its deadline and its metrics.
    pub context: RequestContext,
    /// The model.
    pub model: Arc<Model>,
    /// The words and pictures.
    pub prompt: PromptInput,
    /// The changes to the forward pass.
    pub interventions: Interventions,
    /// The hook points to capture.
    pub targets: Vec<CaptureSpec>,
    /// The dtype that values are sent as; `None`: f32.
    pub dtype: Option<DType>,
    /// Tokens to generate; 0: none.
    pub max_tokens: u32,
    /// Bytes of all activations, at most; 0: as many as the server allows.
    pub max_bytes: u64,
    /// Tells samples that share a seed apart.
    pub sample_key: String,
}

/// Asks for a picture as interventions leave it.
#[derive(Debug, Clone)]
pub struct PreviewRequest {
    /// The caller, its deadline and its metrics.
    pub context: RequestContext,
    /// The model.
    pub model: Arc<Model>,
    /// The picture.
    pub image: Image,
    /// The changes to the picture.
    pub interventions: Interventions,
    /// Tells samples that share a seed apart.
    pub sample_key: String,
}

/// Holds what all variants of a sweep have in common.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one for each sweep")]
pub enum SweepInput {
    /// Each variant is an answer.
    Generate(GenerateRequest),
    /// Each variant is the likelihood of the same continuations.
    Score(ScoreRequest),
}

/// The interventions of variant `i`, drawn and converted when it is its turn: a million variants
/// need not be held at once.
pub type VariantSource = Box<dyn Fn(usize) -> Result<Interventions, Error> + Send + Sync>;

/// Says what varies.
pub enum Variants {
    /// One after the other.
    Listed {
        /// Counts the variants.
        count: usize,
        /// The interventions of each, after those of the input.
        source: VariantSource,
    },
    /// All combinations of the values of some fields.
    Grid(SweepGrid),
}

impl std::fmt::Debug for Variants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variants").finish_non_exhaustive()
    }
}

/// Asks for one input under many variants.
#[derive(Debug)]
pub struct SweepRequest {
    /// The input that they have in common.
    pub input: SweepInput,
    /// Says what varies.
    pub variants: Variants,
    /// Waits with the first window where the queue is full, instead of failing. Those that
    /// follow always wait.
    pub patient: bool,
}

impl SweepInput {
    /// Returns who asks.
    pub fn context(&self) -> &RequestContext {
        match self {
            Self::Generate(request) => &request.context,
            Self::Score(request) => &request.context,
        }
    }

    /// Returns the model.
    pub fn model(&self) -> &Arc<Model> {
        match self {
            Self::Generate(request) => &request.model,
            Self::Score(request) => &request.model,
        }
    }

    /// Returns what is asked.
    pub fn prompt(&self) -> &PromptInput {
        match self {
            Self::Generate(request) => &request.prompt,
            Self::Score(request) => &request.prompt,
        }
    }

    /// Returns the name of the field of a sweep that it stands in.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Generate(_) => "generate",
            Self::Score(_) => "score",
        }
    }
}
