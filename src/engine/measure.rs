//! Measures: what is read of the distributions that predict given answers.
//!
//! Answers that differ in their last token alone are predicted by the same rows, so that one pass
//! serves all of them; no row is computed whose distribution nobody reads.

use super::event::{Distributions, Measured, Timing};
use crate::intervention::Effect;

/// Says what to read of a run.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    /// Answers whose likelihoods are read, each of at least one token.
    pub answers: Vec<Vec<u32>>,
    /// The distributions of another run at the rows that predict the first answer (without answers,
    /// at the last row of the prompt), whose divergence is read.
    pub reference: Option<Distributions>,
    /// Reports the distributions at those rows, and digests of what came out on the way.
    pub keeps: bool,
}

/// One pass: answers that are alike but for their last tokens.
#[derive(Debug, Clone)]
pub(super) struct MeasurePass {
    /// The tokens that are read after the prompt.
    pub(super) prefix: Vec<u32>,
    /// The number of each answer, and its last token.
    ends: Vec<(usize, u32)>,
    reference: Option<Distributions>,
    pub(super) keeps: bool,
}

/// Holds what one pass has read.
#[derive(Debug, Clone)]
pub(super) struct PassRead {
    answers: Vec<(usize, Vec<f64>)>,
    divergence: Option<f64>,
    distributions: Option<Distributions>,
}

impl Measure {
    /// Returns the passes that it takes; the first one predicts the first answer.
    pub(super) fn passes(&self) -> Vec<MeasurePass> {
        let mut passes: Vec<MeasurePass> = Vec::new();
        for (i, answer) in self.answers.iter().enumerate() {
            let Some((&last, prefix)) = answer.split_last() else {
                continue;
            };
            match passes.iter_mut().find(|pass| pass.prefix == prefix) {
                Some(pass) => pass.ends.push((i, last)),
                None => passes.push(MeasurePass::of(prefix, vec![(i, last)])),
            }
        }
        if passes.is_empty() {
            passes.push(MeasurePass::of(&[], Vec::new()));
        }
        // The first pass alone: it predicts the first answer, by which runs are compared.
        passes[0].reference.clone_from(&self.reference);
        passes[0].keeps = self.keeps;
        passes
    }
}

impl MeasurePass {
    fn of(prefix: &[u32], ends: Vec<(usize, u32)>) -> Self {
        Self {
            prefix: prefix.to_vec(),
            ends,
            reference: None,
            keeps: false,
        }
    }

    /// Describes all that its results depend on beside the rows.
    pub(super) fn identity(&self) -> String {
        // By address: variants of a request that compare with one run hold the same `Arc`.
        let reference = self.reference.as_ref().map(|rows| rows.as_ptr());
        format!(
            "measure {:?} {:?} {reference:?} {}",
            self.prefix.len(),
            self.ends,
            self.keeps
        )
    }

    /// Reads the distributions of its rows: the last one of the prompt, then those of the prefix.
    pub(super) fn read(&self, logprobs: Vec<Vec<f64>>) -> PassRead {
        let likelihood = |row: &Vec<f64>, id: u32| row.get(id as usize).copied();
        let of_prefix = self.prefix.iter().zip(&logprobs);
        // The zip ends with the prefix: the last row predicts the answers' last tokens.
        let of_prefix: Vec<f64> = of_prefix
            .filter_map(|(&id, row)| likelihood(row, id))
            .collect();
        let mut answers = Vec::with_capacity(self.ends.len());
        for &(answer, last) in &self.ends {
            let mut all = of_prefix.clone();
            all.extend(logprobs.last().and_then(|row| likelihood(row, last)));
            answers.push((answer, all));
        }
        PassRead {
            answers,
            divergence: self.reference.as_deref().map(|r| divergence(r, &logprobs)),
            distributions: self.keeps.then(|| logprobs.into()),
        }
    }
}

/// Returns the Kullback-Leibler divergence of `rows` from `reference`, summed over rows.
pub(super) fn divergence(reference: &[Vec<f64>], rows: &[Vec<f64>]) -> f64 {
    let mut sum = 0.0;
    for (reference, row) in reference.iter().zip(rows) {
        for (&p, &q) in reference.iter().zip(row) {
            // Nothing times minus infinity is no number, and counts as nothing.
            if p > f64::NEG_INFINITY {
                sum += p.exp() * (p - q);
            }
        }
    }
    sum
}

/// Gathers the passes of one variant.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    passes: usize,
    measured: Measured,
}

impl Gathered {
    /// Adds what a pass has read, with the effects that it reports.
    pub(super) fn add(&mut self, read: PassRead, effects: &[Effect]) {
        self.passes += 1;
        let measured = &mut self.measured;
        for (answer, logprobs) in read.answers {
            if measured.answers.len() <= answer {
                measured.answers.resize(answer + 1, Vec::new());
            }
            measured.answers[answer] = logprobs;
        }
        // One pass has it, and passes may end in any order.
        measured.divergence = measured.divergence.or(read.divergence);
        let distributions = read.distributions;
        measured.distributions = measured.distributions.take().or(distributions);
        measured.effects.resize(effects.len(), Effect::default());
        for (all, one) in measured.effects.iter_mut().zip(effects) {
            all.add(one);
        }
    }

    /// Returns how many passes it has.
    pub(super) fn passes(&self) -> usize {
        self.passes
    }

    /// Returns all of it.
    pub(super) fn finish(&mut self, timing: Timing) -> Measured {
        Measured {
            timing,
            ..std::mem::take(&mut self.measured)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(probabilities: &[f64]) -> Vec<f64> {
        probabilities.iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn answers_that_begin_alike_share_a_pass() {
        let measure = Measure {
            answers: vec![vec![1], vec![2], vec![1, 0], vec![1, 2]],
            ..Measure::default()
        };
        let passes = measure.passes();
        assert_eq!(passes.len(), 2);
        let (first, second) = (row(&[0.5, 0.3, 0.2]), row(&[0.1, 0.2, 0.7]));
        let mut gathered = Gathered::default();
        gathered.add(passes[0].read(vec![first.clone()]), &[]);
        gathered.add(passes[1].read(vec![first, second]), &[]);
        assert_eq!(gathered.passes(), 2);
        let measured = gathered.finish(Timing::default());
        let ln = |p: f64| p.ln();
        assert_eq!(
            measured.answers,
            [
                vec![ln(0.3)],
                vec![ln(0.2)],
                vec![ln(0.3), ln(0.1)],
                vec![ln(0.3), ln(0.7)]
            ]
        );
        assert!(measured.distributions.is_none() && measured.divergence.is_none());
    }

    #[test]
    fn a_run_does_not_diverge_from_itself() {
        let own: Distributions = vec![row(&[0.5, 0.5, 0.0])].into();
        let other = vec![row(&[0.25, 0.5, 0.25])];
        let measure = Measure {
            reference: Some(own.clone()),
            keeps: true,
            ..Measure::default()
        };
        let pass = &measure.passes()[0];
        let same = pass.read(own.to_vec());
        assert_eq!(same.divergence, Some(0.0));
        assert_eq!(same.distributions.as_deref(), Some(&*own));
        let apart = pass.read(other).divergence.unwrap();
        assert!((apart - 0.5 * 2f64.ln()).abs() < 1e-12, "{apart}");
    }
}
