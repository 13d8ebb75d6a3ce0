//! Metrics: one number that a run comes to, read off the distributions that predict an answer.

use super::compile::CompiledRequest;
use super::error::Error;
use super::runtime::Runtime;
use crate::engine::{Distributions, Measure, Measured};
use crate::field_path::FieldPath;

/// A metric as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerMetric {
    /// The logarithm of the probability of an answer.
    Logprob(String),
    /// The logarithm of one answer less that of another one.
    LogprobDifference {
        /// The answer that counts for.
        answer: String,
        /// The answer that counts against.
        other: String,
    },
    /// The probability of an answer.
    Probability(String),
    /// The divergence from the clean run, at the rows that predict an answer; empty: at the last row
    /// of the prompt.
    Divergence(String),
}

impl AnswerMetric {
    /// Returns the answers, each with the path of its field.
    fn answers(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Logprob(answer) => vec![("metric.logprob", answer)],
            Self::LogprobDifference { answer, other } => vec![
                ("metric.logprob_difference.answer", answer),
                ("metric.logprob_difference.other", other),
            ],
            Self::Probability(answer) => vec![("metric.probability", answer)],
            Self::Divergence(answer) if answer.is_empty() => Vec::new(),
            Self::Divergence(answer) => vec![("metric.divergence.answer", answer)],
        }
    }

    /// Fails where an answer that it needs is empty.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.answers().iter().find(|(_, answer)| answer.is_empty()) {
            Some((field, _)) => Err(Error::invalid(*field, "empty; an answer is needed")),
            None => Ok(()),
        }
    }

    /// Returns whether it compares with the distributions of the clean run.
    pub(super) fn compares(&self) -> bool {
        matches!(self, Self::Divergence(_))
    }

    /// Returns what the engine is to read of a run; `answers` are those of [`Runtime::answers`].
    pub(super) fn measure(
        &self,
        answers: &[Vec<u32>],
        clean: Option<Distributions>,
        keeps: bool,
    ) -> Measure {
        Measure {
            answers: answers.to_vec(),
            reference: clean.filter(|_| self.compares()),
            keeps,
        }
    }

    /// Returns the number; that of the clean run itself, which has no reference, is 0 where it
    /// compares.
    pub(super) fn value(&self, measured: &Measured) -> f64 {
        let answer = |number: usize| measured.answers.get(number);
        let sum = |number| answer(number).map_or(0.0, |logprobs| logprobs.iter().sum::<f64>());
        match self {
            Self::Logprob(_) => sum(0),
            Self::LogprobDifference { .. } => sum(0) - sum(1),
            Self::Probability(_) => sum(0).exp(),
            Self::Divergence(_) => measured.divergence.unwrap_or(0.0),
        }
    }
}

impl Runtime {
    /// Returns the tokens of a metric's answers behind a prompt.
    pub(super) async fn answers(
        &self,
        compiled: CompiledRequest,
        metric: &AnswerMetric,
    ) -> Result<(CompiledRequest, Vec<Vec<u32>>), Error> {
        let answers = metric.answers();
        if answers.is_empty() {
            return Ok((compiled, Vec::new()));
        }
        let texts: Vec<String> = answers.iter().map(|(_, text)| (*text).to_owned()).collect();
        let tokenized = self.tokenize(compiled, &texts).await;
        // Tokenized as continuations are; errors name the fields that the client has sent.
        tokenized.map_err(|mut error| {
            if let Some(field) = error.field_mut() {
                for (i, (own, _)) in answers.iter().enumerate() {
                    field.rebase(&FieldPath::from("continuations").index(i), &(*own).into());
                }
            }
            error
        })
    }
}
