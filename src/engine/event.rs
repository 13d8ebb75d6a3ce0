//! The events that the engine reports of a request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::cost::Cost;
use super::error::Error;
use crate::intervention::{Captured, Effect};

/// The events of a request, in order for each of its variants.
pub type Events = mpsc::UnboundedReceiver<VariantEvent>;

/// An event of a variant. The last one is a token that finishes, the scores, what was measured, or an
/// error.
#[derive(Debug)]
pub struct VariantEvent {
    /// The number of the variant in the request.
    pub variant: usize,
    /// The event.
    pub event: Result<Event, Error>,
}

/// Something that happened to a variant.
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
        /// The cost of the request.
        timing: Timing,
        /// The effects of each intervention.
        effects: Vec<Effect>,
    },
    /// Tells what was measured; the last event.
    Measured(Measured),
}

/// Natural logarithms of the probabilities of all tokens, one list a row.
pub type Distributions = Arc<[Vec<f64>]>;

/// Holds what was read of a run's distributions.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Natural logarithms of probabilities: one list per answer, one entry per token.
    pub answers: Vec<Vec<f64>>,
    /// The divergence from the reference, where there is one.
    pub divergence: Option<f64>,
    /// The distributions at the rows that predict the first answer, where they are kept.
    pub distributions: Option<Distributions>,
    /// The cost of the request.
    pub timing: Timing,
    /// The effects of each intervention.
    pub effects: Vec<Effect>,
}

/// The results of reading the prompt.
#[derive(Debug, Clone, Default)]
pub struct Prefilled {
    /// BLAKE3 (hex) of the visual tokens as the language model reads them, little-endian f32; of
    /// several pictures BLAKE3 of the digests of each, in hex; empty without any.
    pub visual_tokens: String,
    /// The same of the logits that were asked for, and of several continuations.
    pub logits: String,
    /// The visual tokens that were pruned, by intervention; ascending.
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
    /// The cost of the request up to here.
    pub timing: Timing,
    /// The effects of each intervention up to here.
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

/// The time and work that a request has taken so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Time from admission to the first step.
    pub queued: Duration,
    /// Time of that which the tower took for pictures that were not at hand; those of company in the
    /// same batch count, too.
    pub encoding: Duration,
    /// Time from admission to now.
    pub elapsed: Duration,
    /// The work done for this variant; shared work counts for one of those that share it.
    pub cost: Cost,
}
