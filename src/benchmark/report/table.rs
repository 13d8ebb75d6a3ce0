//! The numbers of a report: metrics by variant, and the points of its series.

use std::collections::HashMap;

use super::cost::VariantCost;
use crate::benchmark::experiments::{Experiment, PlannedVariant};
use crate::benchmark::{Comparison, Metric};

/// An experiment that was run.
#[derive(Debug)]
pub struct Report<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The benchmark. The paper's numbers stand beside ours if they are of it.
    pub benchmark: &'a str,
    /// The variants; the first is the one that all are compared with.
    pub planned: &'a [PlannedVariant],
    /// Metrics by variant; the first of each variant is drawn.
    pub metrics: &'a [(String, Metric)],
    /// Each variant against the first.
    pub comparisons: &'a [(String, Comparison)],
    /// Holds what answers took, in the order of the variants.
    pub costs: &'a [VariantCost],
    /// Counts the layers of the language model; 0 where that is not known.
    pub layers: usize,
    /// The answers of each variant.
    pub answers: &'a [AnswerCounts],
    /// Names and values of what ran, in the order of the page.
    pub facts: &'a [(String, String)],
    /// A picture (PNG) under which a grid is laid.
    pub picture: Option<&'a [u8]>,
}

/// The answers of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerCounts {
    /// The variant's name.
    pub variant: String,
    /// The most frequent answers with their counts, the most frequent first.
    pub most: Vec<(String, usize)>,
    /// The number of all answers.
    pub all: usize,
}

/// Variants of one series at one place of the x axis, which differ in their draws.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoint<'a> {
    /// The drawing that it is in.
    pub panel: &'a str,
    /// The line that it is on.
    pub series: &'a str,
    /// The place on the x axis.
    pub at: Option<f64>,
    /// Values of the drawn metric, one a draw.
    pub values: Vec<f64>,
    /// The 95 % intervals of these.
    pub intervals: Vec<(f64, f64)>,
    /// The variants, one a draw.
    pub variants: Vec<&'a str>,
    /// The items of a draw.
    pub n: usize,
}

impl SeriesPoint<'_> {
    /// Returns the mean over all draws.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len().max(1) as f64
    }

    /// Returns the least and the largest value.
    pub fn range(&self) -> (f64, f64) {
        let mut range = (f64::INFINITY, f64::NEG_INFINITY);
        for &value in &self.values {
            range = (range.0.min(value), range.1.max(value));
        }
        range
    }

    /// Returns the 95 % interval of the mean: the mean of those of the draws. Draws are of the same
    /// items, so that more of them make it no narrower.
    pub fn interval(&self) -> (f64, f64) {
        let n = self.intervals.len().max(1) as f64;
        let sum = |end: fn(&(f64, f64)) -> f64| self.intervals.iter().map(end).sum::<f64>();
        (sum(|i| i.0) / n, sum(|i| i.1) / n)
    }

    /// Returns the largest value with its 95 % interval.
    pub(super) fn best(&self) -> (f64, (f64, f64)) {
        let all = self
            .values
            .iter()
            .copied()
            .zip(self.intervals.iter().copied());
        all.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
    }

    /// Returns the ends of the bar around the mean: the range, or a single draw's 95 % interval.
    pub(super) fn ends(&self) -> (f64, f64) {
        if self.values.len() > 1 {
            self.range()
        } else {
            self.interval()
        }
    }
}

/// Returns `value` as readers see it: shares in %, points as they are.
pub(super) fn shown(metric: &Metric, value: f64) -> f64 {
    if metric.most <= 1.0 {
        100.0 * value
    } else {
        value
    }
}

/// Returns the unit that follows a metric's name.
pub(super) fn unit(metric: &Metric) -> &'static str {
    if metric.most <= 1.0 {
        ", %"
    } else {
        ", points"
    }
}

impl Report<'_> {
    /// Returns the drawn metric of the first variant.
    pub(super) fn main_metric(&self) -> Option<&Metric> {
        self.metrics.first().map(|(_, metric)| metric)
    }

    /// Returns that metric where it is over anything: what the other variants are compared with.
    pub(super) fn compared_with(&self) -> Option<&Metric> {
        self.main_metric().filter(|metric| metric.has_items())
    }

    /// Returns what stands above a drawing of that metric: its name, its unit, and the items of
    /// each variant.
    pub(super) fn drawn_title(&self) -> String {
        let Some(main) = self.main_metric() else {
            return String::new();
        };
        let drawn = self.metrics.iter().map(|(_, metric)| metric);
        let drawn = drawn.filter(|m| m.name == main.name && m.has_items());
        let (least, most) = drawn.fold((main.n, main.n), |(least, most), m| {
            (least.min(m.n), most.max(m.n))
        });
        let n = if least == most {
            format!("{most}")
        } else {
            format!("{least} to {most}")
        };
        format!("{}{}, n = {n}", main.name, unit(main))
    }

    /// Returns the drawn metric of a variant.
    pub(super) fn metric_of(&self, variant: &str) -> Option<&Metric> {
        let name = &self.main_metric()?.name;
        self.metrics
            .iter()
            .find(|(of, m)| of == variant && m.name == *name)
            .map(|(_, m)| m)
    }

    /// Groups all variants but the first into points: variants that differ in their draws alone are
    /// one.
    pub fn series_points(&self) -> Vec<SeriesPoint<'_>> {
        let mut points: Vec<SeriesPoint<'_>> = Vec::new();
        let Some(main) = self.main_metric() else {
            return points;
        };
        let drawn: HashMap<&str, &Metric> = self
            .metrics
            .iter()
            .filter(|(_, m)| m.name == main.name && m.has_items())
            .map(|(variant, m)| (variant.as_str(), m))
            .collect();
        let mut places = HashMap::new();
        // The first is what all are compared with, and no point.
        for planned in self.planned.iter().skip(1) {
            let Some(metric) = drawn.get(planned.name.as_str()) else {
                continue;
            };
            let (panel, series) = (planned.panel.as_str(), planned.series.as_str());
            // An f64 is no key, its bits are; places are written, not computed.
            let key = (panel, series, planned.at.map(f64::to_bits));
            let place = *places.entry(key).or_insert_with(|| {
                points.push(SeriesPoint {
                    panel,
                    series,
                    at: planned.at,
                    values: Vec::new(),
                    intervals: Vec::new(),
                    variants: Vec::new(),
                    n: metric.n,
                });
                points.len() - 1
            });
            let point = &mut points[place];
            point.values.push(metric.value);
            point.intervals.push(metric.interval);
            point.variants.push(&planned.name);
        }
        points
    }

    /// Returns the loss against the first variant, in % of it: definition 3.1 of the paper where the
    /// variants add noise, its PIL (3.1) where they keep one part. Of nothing nothing can be lost:
    /// `None`.
    pub(super) fn loss(&self, value: f64) -> Option<f64> {
        let first = self.main_metric()?.value;
        (first > 0.0).then(|| 100.0 * (first - value) / first)
    }
}
