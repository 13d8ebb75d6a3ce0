//! Intervals of shares, of means, and of whatever can be drawn again.

use crate::intervention::Draws;

/// A share with its 95 % interval, all from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The share, `right / n`.
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Number of items.
    pub n: usize,
}

/// Returns Wilson's score interval at 95 % (Wilson 1927): with z = 1.96 and p = right / n,
/// `(p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)`. Without items it is 0 to
/// 1.
pub fn wilson(right: usize, n: usize) -> Interval {
    if n == 0 {
        return Interval {
            share: 0.0,
            low: 0.0,
            high: 1.0,
            n,
        };
    }
    // The quantile of 97.5 % of a standard normal distribution.
    let (p, count, z) = (right as f64 / n as f64, n as f64, 1.959_964);
    // Unlike p +- z s it stays within 0 and 1, and has a width where all or none are right.
    let z2 = z * z;
    let centre = p + z2 / (2.0 * count);
    let spread = z * (p * (1.0 - p) / count + z2 / (4.0 * count * count)).sqrt();
    let scale = 1.0 + z2 / count;
    Interval {
        share: p,
        low: ((centre - spread) / scale).max(0.0),
        high: ((centre + spread) / scale).min(1.0),
        n,
    }
}

/// Returns the mean of `values`, of which there is one at least, and half of its 95 % interval by
/// the normal distribution.
pub(super) fn mean_and_half(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    // 1.96 standard errors of the mean, the variance over n - 1. Of one value nothing says how far
    // another would be.
    let half = 1.96 * (squares / (n - 1.0).max(1.0) / n).sqrt();
    (mean, half)
}

/// Draws groups with replacement, the same ones in every run.
pub(super) struct Bootstrap(Draws);

impl Bootstrap {
    /// Values of which an interval is made.
    pub(super) const DRAWS: usize = 1000;

    /// Begins the draws.
    pub(super) fn new() -> Self {
        // A stream of its own, of seed 0: equal outcomes have equal intervals.
        Self(Draws::new(0, "bootstrap", 0, 0))
    }

    /// Draws one of `n` groups, of which there is one at least.
    pub(super) fn place(&mut self, n: usize) -> usize {
        ((self.0.unit() * n as f64) as usize).min(n - 1)
    }

    /// Returns the 95 % interval of a value by the percentile bootstrap (Efron 1979), from what it
    /// is in each of the draws.
    pub(super) fn interval(mut values: Vec<f64>) -> (f64, f64) {
        values.sort_by(f64::total_cmp);
        // 2.5 % of the draws lie outside at each end.
        let outside = Self::DRAWS / 40;
        (values[outside], values[Self::DRAWS - 1 - outside])
    }
}

#[cfg(test)]
mod tests {
    use super::wilson;

    #[test]
    fn known_values() {
        // From the closed form by hand: 8 of 10.
        let i = wilson(8, 10);
        assert!(
            (i.low - 0.4902).abs() < 1e-4 && (i.high - 0.9433).abs() < 1e-4,
            "{i:?}"
        );
        assert_eq!(wilson(0, 0).n, 0);
        assert!(wilson(0, 50).low.abs() < 1e-12 && (wilson(50, 50).high - 1.0).abs() < 1e-12);
    }
}
