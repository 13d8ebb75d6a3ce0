//! Chooses a token by its logits.

use std::sync::Arc;

use super::processors::{Sofar, process};
use crate::intervention::Draws;
use crate::model::{Cutoffs, Model, Processors};

/// The result of one row.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    /// All logits.
    Logits(Vec<f32>),
    /// The likeliest token, the lowest id among equals, and its log-probability; found on the
    /// device.
    Likeliest(u32, f32),
}

impl Reading {
    /// Returns all logits, if they were read.
    pub(super) fn into_logits(self) -> Option<Vec<f32>> {
        match self {
            Self::Logits(logits) => Some(logits),
            Self::Likeliest(..) => None,
        }
    }
}

/// Chooses tokens.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// 0: the likeliest, the lowest id among equals.
    pub temperature: f64,
    /// Keep the k likeliest; 0: all.
    pub top_k: usize,
    /// Keep the likeliest that together reach this probability.
    pub top_p: f64,
    /// Further truncation.
    pub cutoffs: Cutoffs,
    /// Change the logits before.
    pub processors: Arc<Processors>,
    /// The random choices of this request.
    pub draws: Draws,
}

impl Sampling {
    /// Chooses the likeliest token always.
    pub fn greedy() -> Self {
        let (cutoffs, processors) = (Cutoffs::default(), Arc::default());
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            cutoffs,
            processors,
            draws: Draws::new(0, "", 0, 0),
        }
    }

    /// Chooses the likeliest token by what the model's generation_config.json makes of its logits.
    pub fn greedy_as(model: &Model) -> Self {
        Self {
            processors: model.generation.processors.clone().into(),
            ..Self::greedy()
        }
    }

    /// Returns whether it chooses the likeliest token of each step, unprocessed.
    pub(super) fn is_plain(&self) -> bool {
        // Truncation does not matter: whatever it drops, the likeliest token stays.
        self.temperature <= 0.0 && self.processors.is_empty()
    }

    /// Chooses the next token: from the log-probabilities of the vocabulary, or, where processors
    /// act, from what they make of `logits`. `None` where they leave no token.
    pub(super) fn next(
        &mut self,
        logits: &[f32],
        logprobs: &[f64],
        sofar: Sofar<'_>,
    ) -> Option<u32> {
        if self.processors.is_empty() {
            return Some(self.choose(logprobs));
        }
        let mut changed = logits.to_vec();
        process(&self.processors, sofar, &mut changed);
        log_softmax(&changed).map(|logprobs| self.choose(&logprobs))
    }

    /// Returns the tokens that may be drawn from `logits (V)`, without processors, and the probability of
    /// each; likeliest first.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<(u32, f64)> {
        let Some(logprobs) = log_softmax(logits) else {
            return Vec::new();
        };
        let (candidates, weights) = self.kept(&logprobs);
        let total: f64 = weights.iter().sum();
        candidates
            .iter()
            .zip(weights)
            .map(|(candidate, weight)| (candidate.0, weight / total))
            .collect()
    }

    /// Chooses from the log-probabilities of the vocabulary.
    pub(super) fn choose(&mut self, logprobs: &[f64]) -> u32 {
        if self.temperature <= 0.0 {
            return likeliest(logprobs, 1).first().map_or(0, |t| t.0);
        }
        let (candidates, weights) = self.kept(logprobs);
        // One draw a token, however many candidates there are: a record replays draw by draw.
        let mut point = self.draws.unit() * weights.iter().sum::<f64>();
        for (candidate, weight) in candidates.iter().zip(&weights) {
            point -= weight;
            if point < 0.0 {
                return candidate.0;
            }
        }
        // Rounding may leave a rest beyond the last weight.
        candidates
            .get(weights.len().saturating_sub(1))
            .map_or(0, |c| c.0)
    }

    /// Returns the tokens that may be drawn, likeliest first, and their weights, by the steps of
    /// transformers in its order:
    /// temperature, `top_h`, `top_k`, `top_p`, `min_p`, `typical_p`, `epsilon_cutoff`,
    /// `eta_cutoff`.
    fn kept(&self, logprobs: &[f64]) -> (Vec<(u32, f64)>, Vec<f64>) {
        let keep = if self.top_k == 0 {
            logprobs.len()
        } else {
            self.top_k
        };
        // Log-probabilities in place of logits: they differ by a constant, which no weight shows.
        let scaled: Vec<f64> = logprobs.iter().map(|l| l / self.temperature).collect();
        let keep = self
            .cutoffs
            .top_h
            .map_or(keep, |share| keep.min(entropic(&scaled, share)));
        let mut candidates = likeliest(&scaled, keep);
        // Weights relative to the likeliest token: temperatures near 0 do not overflow.
        let highest = candidates.first().map_or(0.0, |c| c.1);
        let mut weights: Vec<f64> = candidates.iter().map(|c| (c.1 - highest).exp()).collect();
        // A share of 1 keeps all, even those too small to change the sum.
        let wanted = if self.top_p < 1.0 {
            self.top_p * weights.iter().sum::<f64>()
        } else {
            f64::INFINITY
        };
        let mut held = 0.0;
        // The token that reaches the share is kept, as by TopPLogitsWarper.
        weights.retain(|w| {
            held < wanted && {
                held += w;
                true
            }
        });
        candidates.truncate(weights.len());
        for keep in self.cutoffs.all().into_iter().flatten() {
            let chosen = keep.choose(&weights);
            let mut kept = chosen.iter();
            candidates.retain(|_| kept.next() == Some(&true));
            let mut kept = chosen.iter();
            weights.retain(|_| kept.next() == Some(&true));
        }
        (candidates, weights)
    }
}

/// A cutoff that sees what those before it have left.
#[derive(Debug, Clone, Copy)]
enum Cutoff {
    Share(f64),
    Typical(f64),
    Epsilon(f64),
    Eta(f64),
}

impl Cutoffs {
    fn all(&self) -> [Option<Cutoff>; 4] {
        [
            self.min_p.map(Cutoff::Share),
            self.typical_p.map(Cutoff::Typical),
            self.epsilon_cutoff.map(Cutoff::Epsilon),
            self.eta_cutoff.map(Cutoff::Eta),
        ]
    }
}

impl Cutoff {
    /// Says which of the tokens with these weights, largest first, are kept; the first one always
    /// is.
    fn choose(self, weights: &[f64]) -> Vec<bool> {
        let total: f64 = weights.iter().sum();
        let shares: Vec<f64> = weights.iter().map(|w| w / total).collect();
        let first = shares.first().copied().unwrap_or_default();
        let entropy = -shares
            .iter()
            .filter(|p| **p > 0.0)
            .map(|p| p * p.ln())
            .sum::<f64>();
        let least = match self {
            Self::Share(share) => share * first,
            Self::Epsilon(epsilon) => epsilon,
            // The bound of Hewitt et al. 2022, as in EtaLogitsWarper.
            Self::Eta(epsilon) => epsilon.min(epsilon.sqrt() * (-entropy).exp()),
            Self::Typical(mass) => return typical(&shares, entropy, mass),
        };
        // The likeliest is always kept, with its equals.
        shares.iter().map(|&p| p >= least || p >= first).collect()
    }
}

/// Keeps the tokens whose surprise is nearest to the entropy, until they have `mass` together.
fn typical(shares: &[f64], entropy: f64, mass: f64) -> Vec<bool> {
    let apart: Vec<f64> = shares.iter().map(|p| (-p.ln() - entropy).abs()).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&a, &b| apart[a].total_cmp(&apart[b]));
    let mut held = 0.0;
    let below = order.iter().take_while(|&&i| {
        held += shares[i];
        held < mass
    });
    // As TypicalLogitsWarper: up to the token that reaches the mass, and with it all that are as
    // near to the entropy.
    let last = below.count().min(order.len().saturating_sub(1));
    let most = order.get(last).map_or(f64::INFINITY, |&i| apart[i]);
    apart.iter().map(|&a| a <= most).collect()
}

/// Counts the likeliest tokens that hold `share` of the entropy of the 100 likeliest; at least one.
fn entropic(scaled: &[f64], share: f64) -> usize {
    // 100 is transformers' own bound.
    let top = likeliest(scaled, 100);
    let highest = top.first().map_or(0.0, |t| t.1);
    let weights: Vec<f64> = top.iter().map(|t| (t.1 - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let terms: Vec<f64> = weights
        .iter()
        .map(|w| w / total)
        .map(|p| if p > 0.0 { -p * p.ln() } else { 0.0 })
        .collect();
    let most = share * terms.iter().sum::<f64>();
    let mut held = 0.0;
    let within = terms.iter().take_while(|&&term| {
        held += term;
        held <= most
    });
    within.count().max(1)
}

/// Computes `log softmax(logits)`; `None` where a logit is NaN or none is finite.
pub(super) fn log_softmax(logits: &[f32]) -> Option<Vec<f64>> {
    // `f32::max` passes over NaN, so that it is looked for beside.
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !highest.is_finite() || logits.iter().any(|l| l.is_nan()) {
        return None;
    }
    // In f64: a sum over a whole vocabulary would lose digits that are reported.
    let shifted = || logits.iter().map(|l| f64::from(*l) - f64::from(highest));
    let total = shifted().map(f64::exp).sum::<f64>().ln();
    Some(shifted().map(|s| s - total).collect())
}

/// Returns the `count` likeliest (id, value), likeliest first, the lower id first among equals.
pub(super) fn likeliest(values: &[f64], count: usize) -> Vec<(u32, f64)> {
    let value = |id: &u32| &values[*id as usize];
    // A total order, with ids for ties: the selection below is unstable.
    let order = |a: &u32, b: &u32| value(b).total_cmp(value(a)).then(a.cmp(b));
    let mut ids: Vec<u32> = (0..values.len() as u32).collect();
    let count = count.min(ids.len());
    if count == 0 {
        return Vec::new();
    }
    // Sorting the whole vocabulary for a few tokens would cost more than a step of a small model.
    ids.select_nth_unstable_by(count - 1, order);
    ids.truncate(count);
    ids.sort_unstable_by(order);
    ids.into_iter()
        .map(|id| (id, values[id as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64, top_k: usize, top_p: f64) -> Sampling {
        Sampling {
            temperature,
            top_k,
            top_p,
            draws: Draws::new(1, "", 0, 0),
            ..Sampling::greedy()
        }
    }

    #[test]
    fn greedy_takes_the_lowest_of_equals() {
        assert_eq!(Sampling::greedy().choose(&[-3.0, -1.0, -1.0]), 1);
    }

    #[test]
    fn truncation_keeps_the_likeliest() {
        let logprobs = log_softmax(&[0.0, 3.0, 2.0, 1.0]).unwrap();
        let seen = |s: &mut Sampling| {
            let mut ids: Vec<u32> = (0..500).map(|_| s.choose(&logprobs)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        assert_eq!(seen(&mut sampling(1.0, 2, 1.0)), [1, 2]);
        assert_eq!(seen(&mut sampling(1.0, 0, 0.5)), [1]);
        assert_eq!(seen(&mut sampling(1.0, 0, 0.7)), [1, 2]);
        assert_eq!(seen(&mut sampling(2.0, 0, 1.0)), [0, 1, 2, 3]);
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logprobs = log_softmax(&[0.0, 1.0]).unwrap();
        let mut s = sampling(1.0, 0, 1.0);
        let ones = (0..4000).filter(|_| s.choose(&logprobs) == 1).count() as f64 / 4000.0;
        // p = 0.731; five standard deviations are 0.035.
        assert!((ones - 0.731).abs() < 0.035, "{ones}");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert!(log_softmax(&[1.0, f32::NAN]).is_none());
        assert!(log_softmax(&[f32::INFINITY, 1.0]).is_none());
        assert!(log_softmax(&[f32::NEG_INFINITY, 1.0]).is_some());
    }
}
