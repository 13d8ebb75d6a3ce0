//! The table of a metric against what answers take: what each way of saving costs in accuracy.

use super::cost::{Mean, VariantCost, by_variant, scaled};
use super::document::DataTable;
use super::table::{Report, shown, unit};
use crate::benchmark::experiments::VariantTemplate;

/// A variant, or the draws of one, with its metric and what its answers took.
#[derive(Debug, Clone, PartialEq)]
pub struct Tradeoff {
    /// The variant, or the series with its place and the number of draws.
    pub name: String,
    /// Items of each draw.
    pub n: usize,
    /// The drawn metric, mean over draws.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// Floating-point operations of an answer by itself; `None` where they are not known.
    pub flops: Option<f64>,
    /// The same as a share of those of the first variant.
    pub flops_share: Option<f64>,
    /// Visual tokens in a layer of the language model, mean over layers and answers; `None` where
    /// variants do more than prune.
    pub kept: Option<f64>,
    /// Seconds of an answer.
    pub seconds: Mean,
}

impl Report<'_> {
    /// Returns the drawn metric of each variant with what its answers took, draws of one thing
    /// together; nothing where the experiment is not about what that is worth.
    pub fn tradeoffs(&self) -> Vec<Tradeoff> {
        let (Some(first), Some(main)) = (self.planned.first(), self.compared_with()) else {
            return Vec::new();
        };
        if !self.experiment.cost {
            return Vec::new();
        }
        let costs = by_variant(self.costs);
        let Some(whole) = costs.get(first.name.as_str()) else {
            return Vec::new();
        };
        let mut rows = vec![self.tradeoff(&first.name, main.n, whole, &[*whole])];
        // It is no point of a series, so that its metric is set here.
        rows[0].value = main.value;
        rows[0].interval = main.interval;
        for point in self.series_points() {
            let own = point.variants.iter().filter_map(|name| costs.get(*name));
            let own: Vec<&VariantCost> = own.copied().collect();
            if own.is_empty() {
                continue;
            }
            let name = match (point.variants.as_slice(), point.at) {
                ([one], _) => (*one).to_owned(),
                (draws, Some(at)) => format!("{} {at}, {} draws", point.series, draws.len()),
                (draws, None) => format!("{}, {} draws", point.series, draws.len()),
            };
            let mut row = self.tradeoff(&name, point.n, whole, &own);
            row.value = point.mean();
            row.interval = point.interval();
            rows.push(row);
        }
        rows
    }

    /// Returns what the answers of some draws took, without their metric.
    fn tradeoff(
        &self,
        name: &str,
        n: usize,
        whole: &VariantCost,
        draws: &[&VariantCost],
    ) -> Tradeoff {
        // Of all draws or of none, as their mean is one number.
        let known: Option<Vec<Mean>> = draws.iter().map(|cost| cost.flops).collect();
        let flops = known.map(|flops| mean(&flops, |flops| flops.value));
        let share = flops.zip(whole.flops).map(|(own, all)| own / all.value);
        Tradeoff {
            name: name.to_owned(),
            n,
            value: 0.0,
            interval: (0.0, 0.0),
            flops,
            flops_share: share,
            kept: self
                .prunes_alone()
                .then(|| mean(draws, |cost| kept(cost, whole, self.layers))),
            seconds: Mean {
                value: mean(draws, |cost| cost.seconds.value),
                interval: (
                    mean(draws, |cost| cost.seconds.interval.0),
                    mean(draws, |cost| cost.seconds.interval.1),
                ),
            },
        }
    }

    /// Returns whether all variants but the first are ways of pruning and nothing else, so that rows
    /// that are not computed are those of visual tokens.
    fn prunes_alone(&self) -> bool {
        let variants = self.experiment.variants.iter().skip(1);
        self.layers > 0 && variants.clone().count() > 0 && variants.clone().all(prunes)
    }

    /// Returns the table; `with_time` where it may differ from run to run.
    pub fn tradeoff_table(&self, with_time: bool) -> Option<DataTable> {
        let (rows, metric) = (self.tradeoffs(), self.main_metric()?);
        let first = rows.first()?;
        let most = rows.iter().filter_map(|row| row.flops).fold(0.0, f64::max);
        let (size, flop) = scaled(most, "FLOP");
        let has_kept = first.kept.is_some();
        let mut heads = vec![
            "variant".to_owned(),
            "n".into(),
            format!("{}{} [95 %]", metric.name, unit(metric)),
            "against the first".into(),
            flop,
            "of the first, %".into(),
        ];
        heads.extend(has_kept.then(|| "visual tokens".to_owned()));
        heads.extend(with_time.then(|| "ms [95 %]".to_owned()));
        let cells = rows.iter().map(|row| {
            let number = |value: f64| shown(metric, value);
            let [value, low, high] = [row.value, row.interval.0, row.interval.1].map(number);
            let mut cells = vec![
                row.name.clone(),
                row.n.to_string(),
                format!("{value:.1} [{low:.1}, {high:.1}]"),
                format!("{:+.1}", value - number(first.value)),
                row.flops
                    .map_or("not known".into(), |v| format!("{:.2}", v / size)),
                row.flops_share
                    .map_or(String::new(), |share| format!("{:.1}", 1e2 * share)),
            ];
            cells.extend(row.kept.map(|kept| format!("{kept:.1}")));
            let ms = [
                row.seconds.value,
                row.seconds.interval.0,
                row.seconds.interval.1,
            ]
            .map(|s| 1e3 * s);
            cells.extend(with_time.then(|| format!("{:.1} [{:.1}, {:.1}]", ms[0], ms[1], ms[2])));
            cells
        });
        let mut caption =
            "Operations are counted, those of an answer by itself; draws of one thing \
                           are one row."
                .to_owned();
        if has_kept {
            caption +=
                " Visual tokens are those of a layer of the language model, mean over layers.";
        }
        if with_time {
            caption += " Time is measured, among the other answers of the run.";
        }
        Some(DataTable {
            caption,
            rows: cells.collect(),
            heads,
            places: Vec::new(),
        })
    }
}

/// Returns whether a variant prunes, and does nothing else.
fn prunes(variant: &VariantTemplate) -> bool {
    !variant.pruning.is_empty() && variant.interventions.is_empty() && variant.pictures.is_empty()
}

fn mean<T>(draws: &[T], value: impl Fn(&T) -> f64) -> f64 {
    draws.iter().map(value).sum::<f64>() / draws.len() as f64
}

/// Returns the visual tokens of a layer, mean over `layers`: the rows through layers that are fewer
/// than those of the whole are theirs, but for those of other answers.
fn kept(cost: &VariantCost, whole: &VariantCost, layers: usize) -> f64 {
    // Pairs of row and layer, over layers: rows of a layer.
    let rows = (cost.rows.value - whole.rows.value) / layers as f64;
    // Answers of another length have other rows, which are no visual tokens.
    let written = cost.generated_tokens.value - whole.generated_tokens.value;
    whole.visual_tokens.value + rows - written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_stay_are_what_rows_say() {
        let mean = |value| Mean {
            value,
            interval: (value, value),
        };
        let cost = |rows, visual, written| VariantCost {
            variant: String::new(),
            n: 1,
            flops: None,
            rows: mean(rows),
            visual_tokens: mean(visual),
            generated_tokens: mean(written),
            seconds: mean(0.0),
        };
        // A tower of 10 rows; 4 layers over 6 words, 8 visual tokens and 2 more steps.
        let whole = cost(10.0 + 4.0 * 16.0, 8.0, 3.0);
        // Half of them leave after the first layer, and the answer is one token longer.
        let pruned = cost(10.0 + 17.0 + 3.0 * 13.0, 8.0, 4.0);
        assert_eq!(kept(&whole, &whole, 4), 8.0);
        assert_eq!(kept(&pruned, &whole, 4), (8.0 + 3.0 * 4.0) / 4.0);
    }
}
