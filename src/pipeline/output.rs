//! Results in the server's own terms.

use super::error::Error;
use super::record::{Provenance, ResolvedIntervention};
use crate::intervention::GridToken;
use crate::model::Feature;

/// Says of an admitted request what is known before its first event.
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
    /// The text of this token alone.
    pub text: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// One generated token.
#[derive(Debug, Clone)]
pub struct GeneratedToken {
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

/// Says what a request took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Tokens of the prompt, visual ones among them.
    pub prompt_tokens: usize,
    /// Visual tokens of it.
    pub image_tokens: usize,
    /// Tokens that were generated.
    pub generation_tokens: usize,
    /// Seconds from admission to the first step.
    pub queue_seconds: f64,
    /// Seconds from admission to the first token.
    pub time_to_first_token_seconds: f64,
    /// Seconds from admission to the end.
    pub total_seconds: f64,
    /// (row, layer) pairs that were computed.
    pub rows_computed: u64,
    /// (row, layer) pairs that were shared with others.
    pub rows_reused: u64,
    /// Floating-point operations.
    pub flops: u64,
    /// The same without interventions and sharing.
    pub baseline_flops: u64,
    /// The same with interventions, but without sharing.
    pub standalone_flops: u64,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Why it ended.
    pub reason: FinishReason,
    /// The text.
    pub text: String,
    /// Sums the log-probabilities of all tokens, that of the end among them.
    pub logprob: f64,
    /// The cost.
    pub usage: Usage,
    /// The record that it can be repeated from.
    pub provenance: Provenance,
}

/// Reports what happens to an answer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum GenerateEvent {
    /// A token was generated.
    Token(GeneratedToken),
    /// The answer is whole; the last event.
    Finished(Finished),
}

/// The likelihood of a continuation.
#[derive(Debug, Clone)]
pub struct ContinuationScore {
    /// The tokens.
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
    /// The likelihoods, in the order of the request.
    pub scores: Vec<ContinuationScore>,
    /// The one with the highest mean; the first of several.
    pub best: usize,
    /// The cost.
    pub usage: Usage,
    /// The record that it can be repeated from.
    pub provenance: Provenance,
}

/// Captured rows.
#[derive(Debug, Clone, Default)]
pub struct CapturedActivation {
    /// The number of the target.
    pub target: usize,
    /// The hook point.
    pub point: String,
    /// The step: 0 is the prompt.
    pub step: u32,
    /// The picture, at points of the tower.
    pub image: usize,
    /// The view of that picture.
    pub view: usize,
    /// The rows' numbers in the sequence.
    pub tokens: Vec<u32>,
    /// The shape of the values.
    pub shape: Vec<u32>,
    /// The values, little-endian.
    pub data: Vec<u8>,
    /// The likeliest tokens of each row, in place of values.
    pub top: Vec<Vec<TokenLogprob>>,
    /// The strongest features of each row, in place of values.
    pub features: Vec<Vec<Feature>>,
    /// What each row is of, and what it is called; of captures of features alone.
    pub positions: Vec<(String, GridToken)>,
}

/// Activations that the server keeps.
#[derive(Debug, Clone)]
pub struct KeptActivation {
    /// The number of the target.
    pub target: usize,
    /// The hook point.
    pub point: String,
    /// The name that later requests use.
    pub handle: String,
    /// Their shape.
    pub shape: Vec<u32>,
}

/// The end of a capture.
#[derive(Debug, Clone)]
pub struct CaptureFinished {
    /// The text that was generated.
    pub text: String,
    /// The cost.
    pub usage: Usage,
    /// The record that it can be repeated from.
    pub provenance: Provenance,
    /// The activations that the server keeps.
    pub kept: Vec<KeptActivation>,
}

/// Reports what happens to a capture.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum CaptureEvent {
    /// Rows were captured.
    Activation(CapturedActivation),
    /// All are captured; the last event.
    Finished(CaptureFinished),
}

/// A picture as interventions leave it.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The picture as a PNG file.
    pub png: Vec<u8>,
    /// Pixels of a side.
    pub width: usize,
    /// Pixels of a side.
    pub height: usize,
    /// Rows and columns of patches.
    pub grid: (usize, usize),
    /// The interventions with what each did.
    pub plan: Vec<ResolvedIntervention>,
}

/// Holds what a variant came to.
#[derive(Debug, Clone)]
pub enum VariantOutcome {
    /// An answer.
    Generated(Finished),
    /// Likelihoods.
    Scored(Scored),
}

/// The result of one variant.
#[derive(Debug)]
pub struct SweepResult {
    /// The number of the variant.
    pub variant: usize,
    /// The number of its value along each axis of a grid.
    pub places: Vec<u32>,
    /// The outcome; an error ends this variant alone.
    pub outcome: Result<VariantOutcome, Error>,
}

/// Counts what a sweep took.
#[derive(Debug, Clone, Copy, Default)]
pub struct SweepTotals {
    /// Variants that have a result.
    pub variants: u32,
    /// Variants whose result is an error.
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
    /// The digest or text of the record.
    pub recorded: String,
    /// The digest or text that came out.
    pub found: String,
}

/// Reports what running a record again came to.
#[derive(Debug, Default)]
pub struct Verified {
    /// The differences, in data-path order.
    pub differences: Vec<Difference>,
    /// The record of the repetition; `None`: the model is another.
    pub provenance: Option<Provenance>,
}
