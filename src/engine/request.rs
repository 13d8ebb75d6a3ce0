//! What the engine is asked to do, and what it tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::{Cost, Sampling};
use crate::intervention::{Captured, Effect, Observed, Plan};
use crate::model::{ImageTokens, Model, Prompt};

/// One input under one or many plans, ready to run.
#[derive(Debug)]
pub struct Job {
    /// The model.
    pub model: Arc<Model>,
    /// Who asks.
    pub client: Client,
    /// What to run; they share what they have in common.
    pub variants: Vec<Variant>,
    /// When to give up.
    pub deadline: Option<Instant>,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// Nothing is shared between tenants.
    pub tenant: Arc<str>,
    /// Connections share the engine fairly.
    pub connection: u64,
}

/// One plan on one input.
#[derive(Debug)]
pub struct Variant {
    /// The interventions.
    pub plan: Arc<Plan>,
    /// What compiling the plan did already.
    pub observed: Observed,
    /// The pictures as the tower takes them.
    pub pixels: Vec<Pixels>,
    /// The visual tokens of each picture before any selection; the plan has those that the language
    /// model reads.
    pub images: Vec<ImageTokens>,
    /// What the language model reads.
    pub prompt: Prompt,
    /// What to do with it.
    pub work: Work,
}

/// The views of a picture.
#[derive(Debug, Clone)]
pub struct Pixels {
    /// `(V, 3, S, S)`.
    pub views: Tensor,
    /// BLAKE3 of their numbers, little-endian f32.
    pub digest: blake3::Hash,
}

impl Pixels {
    /// Takes the digest.
    pub fn new(views: Tensor) -> candle_core::Result<Self> {
        let digest = super::digest_of(&views)?;
        Ok(Self { views, digest })
    }
}

/// What to do with a prompt.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per request, and most requests generate"
)]
pub enum Work {
    /// Go on writing.
    Generate {
        /// How tokens are chosen.
        sampling: Sampling,
        /// At least 1; prompt and answer fit the context together.
        max_tokens: usize,
        /// How many of the likeliest tokens to report.
        top_logprobs: usize,
    },
    /// Give the likelihood of each of these.
    Score(Vec<Vec<u32>>),
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Rows were captured.
    Captured(Captured),
    /// The prompt has been read; comes once, before tokens or scores.
    Prefilled(Prefilled),
    /// One token was generated; the last event where its `finish` is set.
    Token(Token),
    /// The likelihoods, one list per continuation, one entry per token; the last event.
    Scored {
        /// Natural logarithms of probabilities.
        scores: Vec<Vec<f64>>,
        /// What the request has cost.
        timing: Timing,
        /// What each intervention did.
        effects: Vec<Effect>,
    },
}

/// What came out on the way to the first token.
#[derive(Debug, Clone, Default)]
pub struct Prefilled {
    /// BLAKE3 (hex) of the visual tokens as the language model reads them, little-endian f32; of
    /// several pictures BLAKE3 of the digests of each, in hex; empty without any.
    pub visual_tokens: String,
    /// The same of the logits that were asked for, and of several continuations.
    pub logits: String,
    /// The visual tokens that left on the way, by intervention; ascending.
    pub pruned: BTreeMap<usize, Vec<u32>>,
}

/// One generated token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Number in the vocabulary.
    pub id: u32,
    /// Natural logarithm of its probability, before temperature and truncation.
    pub logprob: f64,
    /// The likeliest tokens, likeliest first.
    pub top: Vec<(u32, f64)>,
    /// Set on the last one.
    pub finish: Option<Finish>,
    /// What the request has cost up to here.
    pub timing: Timing,
    /// What each intervention has done up to here.
    pub effects: Vec<Effect>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model wrote its end token.
    Eos,
    /// The limit of tokens was reached.
    Length,
}

/// What a request has cost so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// From admission to the first step.
    pub queued: Duration,
    /// From admission to now.
    pub elapsed: Duration,
    /// What was computed for it, and not for another one that it shares with.
    pub cost: Cost,
}
