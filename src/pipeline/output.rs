//! Results in the server's own terms.

use super::error::Error;
use super::record::{Provenance, ResolvedIntervention};

/// Said of a request that was admitted.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    /// Tokens of the prompt, visual ones among them.
    pub prompt_tokens: usize,
    /// Visual tokens of it.
    pub image_tokens: usize,
    /// (row, layer) pairs that the prompt takes.
    pub cost: u64,
}

/// A token with its logarithm of probability.
#[derive(Debug, Clone)]
pub struct TokenLogprob {
    /// Number in the vocabulary.
    pub id: u32,
    /// Its text, by itself.
    pub text: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// One generated token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Number in the vocabulary.
    pub id: u32,
    /// The text that it adds; what might begin a stop string is held back.
    pub text: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The likeliest tokens, likeliest first.
    pub top: Vec<TokenLogprob>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model wrote its end token.
    Eos,
    /// The limit of tokens was reached.
    Length,
    /// A stop string was written.
    Stop,
}

/// What a request took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Tokens of the prompt, visual ones among them.
    pub prompt_tokens: usize,
    /// Visual tokens of it.
    pub image_tokens: usize,
    /// Tokens that were generated.
    pub generation_tokens: usize,
    /// From admission to the first step.
    pub queue_seconds: f64,
    /// From admission to the first token.
    pub time_to_first_token_seconds: f64,
    /// From admission to the end.
    pub total_seconds: f64,
    /// (row, layer) pairs that were computed.
    pub rows_computed: u64,
    /// (row, layer) pairs that were shared with others.
    pub rows_reused: u64,
    /// Floating-point operations.
    pub flops: u64,
    /// The same without interventions and sharing.
    pub baseline_flops: u64,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Why it ended.
    pub reason: FinishReason,
    /// Its text.
    pub text: String,
    /// What it took.
    pub usage: Usage,
    /// What it can be repeated from.
    pub provenance: Provenance,
}

/// What happens to an answer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum GenerateEvent {
    /// A token was generated.
    Token(Token),
    /// The answer is whole; the last event.
    Finished(Finished),
}

/// The likelihood of a continuation.
#[derive(Debug, Clone)]
pub struct ContinuationScore {
    /// Its tokens.
    pub tokens: Vec<TokenLogprob>,
    /// The sum over tokens.
    pub logprob: f64,
    /// The same for each token.
    pub mean_logprob: f64,
    /// The same for each byte of the text.
    pub logprob_per_byte: f64,
}

/// The likelihoods of all continuations.
#[derive(Debug, Clone)]
pub struct Scored {
    /// In the order of the request.
    pub scores: Vec<ContinuationScore>,
    /// The one with the highest mean; the first of several.
    pub best: usize,
    /// What it took.
    pub usage: Usage,
    /// What it can be repeated from.
    pub provenance: Provenance,
}

/// Captured rows.
#[derive(Debug, Clone, Default)]
pub struct Activation {
    /// The number of the target.
    pub target: usize,
    /// The hook point.
    pub point: String,
    /// The step: 0 is the prompt.
    pub step: u32,
    /// The picture, at points of the tower.
    pub image: usize,
    /// Its view.
    pub view: usize,
    /// The rows' numbers in the sequence.
    pub tokens: Vec<u32>,
    /// The shape of the values.
    pub shape: Vec<u32>,
    /// The values, little-endian.
    pub data: Vec<u8>,
    /// The likeliest tokens of each row, in place of values.
    pub top: Vec<Vec<TokenLogprob>>,
}

/// Activations that the server keeps.
#[derive(Debug, Clone)]
pub struct KeptActivation {
    /// The number of the target.
    pub target: usize,
    /// The hook point.
    pub point: String,
    /// What later requests name them by.
    pub handle: String,
    /// Their shape.
    pub shape: Vec<u32>,
}

/// The end of a capture.
#[derive(Debug, Clone)]
pub struct CaptureFinished {
    /// The text that was generated.
    pub text: String,
    /// What it took.
    pub usage: Usage,
    /// What it can be repeated from.
    pub provenance: Provenance,
    /// What the server keeps.
    pub kept: Vec<KeptActivation>,
}

/// What happens to a capture.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum CaptureEvent {
    /// Rows were captured.
    Activation(Activation),
    /// All are captured; the last event.
    Finished(CaptureFinished),
}

/// A picture as interventions leave it.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The picture as a PNG file.
    pub png: Vec<u8>,
    /// Its size in pixels.
    pub width: usize,
    /// Its size in pixels.
    pub height: usize,
    /// Rows and columns of patches.
    pub grid: (usize, usize),
    /// What each intervention did.
    pub plan: Vec<ResolvedIntervention>,
}

/// What a variant came to.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum Outcome {
    /// An answer.
    Generated(Finished),
    /// Likelihoods.
    Scored(Scored),
}

/// The result of one variant.
#[derive(Debug)]
pub struct SweepResult {
    /// Its number.
    pub variant: usize,
    /// The number of its value along each axis of a grid.
    pub places: Vec<u32>,
    /// What it came to; an error ends this variant alone.
    pub outcome: Result<Outcome, Error>,
}

/// What a sweep took.
#[derive(Debug, Clone, Copy, Default)]
pub struct SweepTotals {
    /// Variants that have a result.
    pub variants: u32,
    /// Those whose result is an error.
    pub failed: u32,
    /// (row, layer) pairs that were computed.
    pub computed: u64,
    /// (row, layer) pairs that all variants would take by themselves.
    pub naive: u64,
}

/// A stage of a run that came out otherwise than its record says.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The stage.
    pub stage: String,
    /// What the record says.
    pub recorded: String,
    /// What came out.
    pub found: String,
}

/// What running a record again came to.
#[derive(Debug, Default)]
pub struct Verified {
    /// In data-path order.
    pub differences: Vec<Difference>,
    /// The record of the repetition; `None`: the model is another.
    pub provenance: Option<Provenance>,
}
