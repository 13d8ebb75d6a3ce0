//! Holds what a run reports: results as they come, metrics, and the end.

use std::sync::Arc;

use crate::benchmark::{Comparison, ItemLabel, Metric, Verdict};
use crate::pipeline::{Error, Usage};

/// Reports what happens in a run.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum EvaluationEvent {
    /// Reports one item under one variant.
    Result(ItemResult),
    /// Says how many questions, from the first on, have all of their results, or were known.
    Settled(u64),
    /// Reports metrics so far.
    Progress {
        /// Counts results so far, known ones included.
        results: u64,
        /// Lists metrics, variant by variant.
        metrics: Vec<VariantMetric>,
    },
    /// Ends the run.
    Finished(EvaluationFinished),
}

/// Reports what became of an item under a variant.
#[derive(Debug)]
pub struct ItemResult {
    /// Names the item.
    pub label: Arc<ItemLabel>,
    /// Numbers the variant; `None` where the item could not be asked under any.
    pub variant: Option<usize>,
    /// Holds the answer, or why there is none.
    pub outcome: Result<Answer, Arc<Error>>,
}

/// Holds an answer and what it is worth.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Holds what the model wrote; of option scoring the option chosen.
    pub text: String,
    /// Holds what was read from it.
    pub answer: String,
    /// Marks it.
    pub verdict: Verdict,
    /// Sums the log-probabilities of the tokens, of a generated answer.
    pub logprob: Option<f64>,
    /// Lists the likelihoods of the options where they were scored, in their order.
    pub options: Vec<OptionScore>,
    /// Holds what the judge wrote, or why it did not.
    pub review: String,
    /// Names the record of what ran: its digest (hex).
    pub record_digest: String,
    /// Holds the digest (hex) of the output.
    pub output_digest: String,
    /// Says what it cost.
    pub usage: Option<Usage>,
}

/// Holds the likelihood of an option.
#[derive(Debug, Clone)]
pub struct OptionScore {
    /// Holds its letter, or its words.
    pub option: String,
    /// Sums the log-probabilities of its tokens.
    pub logprob: f64,
    /// Divides that by the number of tokens.
    pub mean_logprob: f64,
}

/// Holds a metric of a variant.
#[derive(Debug)]
pub struct VariantMetric {
    /// Numbers the variant.
    pub variant: usize,
    /// Holds the metric.
    pub metric: Metric,
}

/// Compares a variant with the first.
#[derive(Debug)]
pub struct VariantComparison {
    /// Numbers the variant.
    pub variant: usize,
    /// Holds the comparison.
    pub comparison: Comparison,
}

/// Sums up a run.
#[derive(Debug)]
pub struct EvaluationFinished {
    /// Counts all results, known ones included.
    pub results: u64,
    /// Counts those among them that are errors, and count nowhere.
    pub failed: u64,
    /// Lists metrics, variant by variant.
    pub metrics: Vec<VariantMetric>,
    /// Compares each variant with the first, on the same items.
    pub comparisons: Vec<VariantComparison>,
    /// Counts the (row, layer) pairs computed.
    pub rows_computed: u64,
    /// Measures the seconds since the run began.
    pub total_seconds: f64,
}

impl Answer {
    /// Returns about how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let options = self.options.iter().map(|o| size_of_val(o) + o.option.len());
        size_of::<Self>()
            + self.text.len()
            + self.answer.len()
            + self.review.len()
            + self.record_digest.len()
            + self.output_digest.len()
            + options.sum::<usize>()
    }
}
