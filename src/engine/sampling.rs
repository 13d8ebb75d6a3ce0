//! From logits to a token.

use crate::intervention::Draws;

/// What was read off one row.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    /// All logits.
    Logits(Vec<f32>),
    /// The likeliest token, the lowest id among equals, and its log-probability; found on the device.
    Likeliest(u32, f32),
}

/// How tokens are chosen.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// 0: the likeliest, the lowest id among equals.
    pub temperature: f64,
    /// Keep the k likeliest; 0: all.
    pub top_k: usize,
    /// Keep the likeliest that together reach this probability.
    pub top_p: f64,
    /// The random choices of this request.
    pub draws: Draws,
}

impl Sampling {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, draws: Draws::new(0, "", 0, 0) }
    }

    /// Chooses from the log-probabilities of the vocabulary.
    pub(super) fn choose(&mut self, logprobs: &[f64]) -> u32 {
        if self.temperature <= 0.0 {
            return likeliest(logprobs, 1).first().map_or(0, |t| t.0);
        }
        let keep = if self.top_k == 0 { logprobs.len() } else { self.top_k };
        let scaled: Vec<f64> = logprobs.iter().map(|l| l / self.temperature).collect();
        let candidates = likeliest(&scaled, keep);
        let highest = candidates.first().map_or(0.0, |c| c.1);
        let mut weights: Vec<f64> = candidates.iter().map(|c| (c.1 - highest).exp()).collect();
        let wanted = self.top_p * weights.iter().sum::<f64>();
        let mut held = 0.0;
        weights.retain(|w| {
            held < wanted && {
                held += w;
                true
            }
        });
        let mut point = self.draws.unit() * weights.iter().sum::<f64>();
        for (candidate, weight) in candidates.iter().zip(&weights) {
            point -= weight;
            if point < 0.0 {
                return candidate.0;
            }
        }
        candidates.get(weights.len().saturating_sub(1)).map_or(0, |c| c.0)
    }
}

/// `log softmax(logits)`, or `None` where a logit is not a number or none is finite.
pub(super) fn log_softmax(logits: &[f32]) -> Option<Vec<f64>> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !highest.is_finite() || logits.iter().any(|l| l.is_nan()) {
        return None;
    }
    let shifted = || logits.iter().map(|l| f64::from(*l) - f64::from(highest));
    let total = shifted().map(f64::exp).sum::<f64>().ln();
    Some(shifted().map(|s| s - total).collect())
}

/// The `count` likeliest (id, value), likeliest first, the lower id first among equals.
pub(super) fn likeliest(values: &[f64], count: usize) -> Vec<(u32, f64)> {
    let order = |a: &u32, b: &u32| values[*b as usize].total_cmp(&values[*a as usize]).then(a.cmp(b));
    let mut ids: Vec<u32> = (0..values.len() as u32).collect();
    let count = count.min(ids.len());
    if count == 0 {
        return Vec::new();
    }
    ids.select_nth_unstable_by(count - 1, order);
    ids.truncate(count);
    ids.sort_unstable_by(order);
    ids.into_iter().map(|id| (id, values[id as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64, top_k: usize, top_p: f64) -> Sampling {
        Sampling { temperature, top_k, top_p, draws: Draws::new(1, "", 0, 0) }
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
