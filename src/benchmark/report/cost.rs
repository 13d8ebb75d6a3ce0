//! Reports what answers took: operations, rows, tokens and time, by variant.

use std::collections::HashMap;

use super::document::DataTable;
use crate::benchmark::stats::mean_and_half;

/// Holds what one answer took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AnswerCost {
    /// Floating-point operations by itself, nothing shared with others; 0 where results of an
    /// earlier version do not say.
    pub flops: u64,
    /// (row, layer) pairs by itself.
    pub rows: u64,
    /// Visual tokens that the language model reads.
    pub visual_tokens: u32,
    /// Tokens that were written.
    pub generated_tokens: u32,
    /// Seconds from its first step to its end, among other answers.
    pub seconds: f64,
}

/// A mean over answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// The ends of its 95 % interval, by the normal distribution.
    pub interval: (f64, f64),
}

/// Holds what an answer took under a variant, as means.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantCost {
    /// The variant.
    pub variant: String,
    /// Answers.
    pub n: usize,
    /// See [`AnswerCost::flops`]; `None` where one of them is not known.
    pub flops: Option<Mean>,
    /// See [`AnswerCost::rows`].
    pub rows: Mean,
    /// See [`AnswerCost::visual_tokens`].
    pub visual_tokens: Mean,
    /// See [`AnswerCost::generated_tokens`].
    pub generated_tokens: Mean,
    /// See [`AnswerCost::seconds`].
    pub seconds: Mean,
}

impl Mean {
    /// Returns the mean of `values`, of which there is one at least.
    pub fn of(values: &[f64]) -> Self {
        let (value, half) = mean_and_half(values);
        Self {
            value,
            interval: (value - half, value + half),
        }
    }
}

/// Returns costs by the names of their variants.
pub fn by_variant(costs: &[VariantCost]) -> HashMap<&str, &VariantCost> {
    let named = costs.iter().map(|cost| (cost.variant.as_str(), cost));
    named.collect()
}

/// Returns the means of `answers`, which are named by their variants, in the order of `variants`.
pub fn variant_costs<'a>(
    answers: &[(String, AnswerCost)],
    variants: impl Iterator<Item = &'a str>,
) -> Vec<VariantCost> {
    let mut all: HashMap<&str, Vec<&AnswerCost>> = HashMap::new();
    for (variant, cost) in answers {
        all.entry(variant).or_default().push(cost);
    }
    variants
        .filter_map(|variant| Some(variant_cost(variant, all.get(variant)?)))
        .collect()
}

fn variant_cost(variant: &str, answers: &[&AnswerCost]) -> VariantCost {
    let values = |value: fn(&AnswerCost) -> f64| answers.iter().map(move |cost| value(cost));
    let mean = |value| Mean::of(&values(value).collect::<Vec<_>>());
    // 0 says that it is not known; a mean over the rest would be of other answers.
    let is_known = answers.iter().all(|cost| cost.flops > 0);
    VariantCost {
        variant: variant.to_owned(),
        n: answers.len(),
        flops: is_known.then(|| mean(|c| c.flops as f64)),
        rows: mean(|c| c.rows as f64),
        visual_tokens: mean(|c| f64::from(c.visual_tokens)),
        generated_tokens: mean(|c| f64::from(c.generated_tokens)),
        seconds: mean(|c| c.seconds),
    }
}

/// Returns the unit in which numbers up to `most` are read best, and its size.
pub(super) fn scaled(most: f64, unit: &str) -> (f64, String) {
    const PREFIXES: [(f64, &str); 5] =
        [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let fitting = PREFIXES.iter().find(|(size, _)| most >= *size);
    let (size, prefix) = fitting.map_or((1.0, ""), |(size, prefix)| (*size, *prefix));
    (size, format!("{prefix}{unit}"))
}

/// Returns the table of what answers took; `with_time` where it may differ from run to run.
pub(super) fn cost_table(costs: &[VariantCost], with_time: bool) -> DataTable {
    let flops = |cost: &VariantCost| cost.flops.map(|m| m.value);
    let most = costs.iter().filter_map(flops).fold(0.0, f64::max);
    let (size, unit) = scaled(most, "FLOP");
    let mut heads = vec![
        "variant".to_owned(),
        "n".into(),
        format!("{unit} [95 %]"),
        "of the first, %".into(),
        "rows through layers".into(),
        "visual tokens".into(),
        "tokens written [95 %]".into(),
    ];
    let mut caption =
        "Means over n answers. Operations and rows are counted: those of an answer by \
         itself, nothing shared with others."
            .to_owned();
    if with_time {
        heads.push("ms [95 %]".into());
        caption += " Time is measured, from an answer's first step to its end, among the others \
                    of the run, with which it shares work.";
    }
    let first = costs.first().and_then(flops);
    let rows = costs.iter().map(|cost| {
        let share = flops(cost).zip(first).map(|(own, first)| 1e2 * own / first);
        let mut row = vec![
            cost.variant.clone(),
            cost.n.to_string(),
            cost.flops.map_or("not known".into(), |m| shown(m, size)),
            share.map_or(String::new(), |share| format!("{share:.1}")),
            format!("{:.0}", cost.rows.value),
            format!("{:.1}", cost.visual_tokens.value),
            shown(cost.generated_tokens, 1.0),
        ];
        row.extend(with_time.then(|| shown(cost.seconds, 1e-3)));
        row
    });
    DataTable {
        caption,
        heads,
        rows: rows.collect(),
        places: Vec::new(),
    }
}

fn shown(mean: Mean, size: f64) -> String {
    let [value, low, high] = [mean.value, mean.interval.0, mean.interval.1].map(|v| v / size);
    format!("{value:.2} [{low:.2}, {high:.2}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_by_hand() {
        let mean = Mean::of(&[1.0, 3.0]);
        // The deviation is sqrt(2), that of the mean 1.
        assert_eq!(mean.value, 2.0);
        assert!((mean.interval.1 - 3.96).abs() < 1e-12, "{mean:?}");
        assert_eq!(Mean::of(&[5.0]).interval, (5.0, 5.0));
        let cost = |flops| AnswerCost {
            flops,
            ..AnswerCost::default()
        };
        let answers = [("a", 2), ("b", 0), ("a", 4)];
        let answers = answers.map(|(name, flops)| (name.to_owned(), cost(flops)));
        let found = variant_costs(&answers, ["b", "a", "c"].into_iter());
        assert_eq!((found.len(), found[0].flops, found[1].n), (2, None, 2));
        assert_eq!(found[1].flops.unwrap().value, 3.0);
        assert_eq!(scaled(2.5e9, "FLOP"), (1e9, "GFLOP".to_owned()));
    }
}
