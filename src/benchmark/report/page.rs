//! The document of an experiment.

use super::cost::cost_table;
use super::cost_plot;
use super::document::{DataTable, Drawing, Part};
use super::html::html;
use super::latex::latex;
use super::markdown::markdown;
use super::names::plain;
use super::plot;
use super::table::{AnswerCounts, Report, SeriesPoint, shown};
use crate::benchmark::experiments::{Experiment, PaperTable};
use crate::benchmark::{Comparison, Metric, wilson};

/// Variants of which a page has every metric.
const FEW: usize = 64;

const PAPER: &str =
    "\"Intriguing Properties of Large Language and Vision Models\" (Lee et al. 2024)";

impl Report<'_> {
    /// Returns the drawing.
    pub fn svg(&self) -> String {
        plain(&plot::svg(self))
    }

    /// Returns the drawing of the metric against what answers take, where that differs.
    pub fn cost_svg(&self) -> Option<String> {
        cost_plot::svg(self).map(|svg| plain(&svg))
    }

    /// Returns the document in Markdown, with the drawings as files beside it. It is the same in
    /// every run: measured time stands on the page alone.
    pub fn markdown(&self) -> String {
        plain(&markdown(&self.experiment.title, &self.parts(false)))
    }

    /// Returns the page in HTML, which needs no other file.
    pub fn html(&self) -> String {
        plain(&html(&self.experiment.title, &self.parts(true)))
    }

    /// Returns the tables of metrics and comparisons in LaTeX.
    pub fn latex(&self) -> String {
        let tables = [self.metric_table(), self.comparison_table()];
        plain(&tables.map(|table| latex(&table)).join("\n"))
    }

    /// Returns what a page about several experiments has of this one.
    pub fn brief(&self) -> Vec<Part> {
        let mut parts = self.opening();
        self.add_findings(true, &mut parts);
        let mut more = Vec::new();
        self.add_numbers(true, &mut more);
        parts.push(Part::Folded("Variant by variant".into(), more));
        parts
    }

    fn parts(&self, with_time: bool) -> Vec<Part> {
        let mut parts = self.opening();
        self.add_findings(with_time, &mut parts);
        self.add_numbers(with_time, &mut parts);
        parts.push(Part::Heading("What ran".into()));
        let facts = self.facts.iter();
        let lines = facts.map(|(name, value)| format!("{name}: {value}"));
        parts.push(Part::List(lines.collect()));
        parts
    }

    /// Returns what was asked, and the drawings.
    fn opening(&self) -> Vec<Part> {
        let Experiment {
            section,
            about,
            title,
            name,
            ..
        } = self.experiment;
        let source = if section.is_empty() {
            String::new()
        } else {
            format!("Section {section} of {PAPER}. ")
        };
        let mut parts = vec![
            Part::Text(format!("{source}{about}")),
            Part::Drawing(Drawing {
                name: name.clone(),
                about: title.clone(),
                svg: self.svg(),
            }),
        ];
        if let Some(about) = plot::about_intervals(self) {
            parts.push(Part::Text(about.into()));
        }
        if let Some(svg) = self.cost_svg() {
            parts.push(Part::Drawing(Drawing {
                name: format!("{name}-cost"),
                about: format!("{title}, against what answers take"),
                svg,
            }));
        }
        parts
    }

    /// Adds what the experiment found: the paper's numbers, series, ratios and answers.
    fn add_findings(&self, with_time: bool, parts: &mut Vec<Part>) {
        let points = self.series_points();
        if let Some(table) = self.tradeoff_table(with_time) {
            let heading = format!("{} against what answers take", self.metric_name());
            parts.push(Part::Heading(heading));
            parts.push(Part::Table(table));
        }
        if let Some(printed) = &self.experiment.paper {
            self.add_paper_table(printed, &points, parts);
        }
        // One point of one draw says no more than its variant's own row.
        if points.len() > 1 || points.iter().any(|p| p.values.len() > 1) {
            self.add_series(&points, parts);
        }
        if let Some([first, second]) = &self.experiment.ratio {
            self.add_ratios(&points, first, second, parts);
        }
        if !self.answers.is_empty() {
            parts.push(Part::Heading("The most frequent answers".into()));
            let rows = self.answers.iter().map(answers_row).collect();
            let heads = ["variant", "answers", "of these [95 % interval]"];
            let caption = "Shares of all answers under a variant.";
            parts.push(Part::Table(DataTable::new(caption, &heads, rows)));
        }
    }

    /// Adds the numbers of each variant.
    fn add_numbers(&self, with_time: bool, parts: &mut Vec<Part>) {
        let heading = "Against the first variant, on the same items";
        parts.push(Part::Heading(heading.into()));
        parts.push(Part::Table(self.comparison_table()));
        let few = self.has_few();
        parts.push(Part::Heading(if few {
            "All numbers".into()
        } else {
            format!("All variants: {}", self.metric_name())
        }));
        parts.push(Part::Table(self.metric_table()));
        if !few {
            let text = "Every metric of every variant is in metrics.csv.";
            parts.push(Part::Text(text.into()));
        }
        if few && !self.costs.is_empty() {
            parts.push(Part::Heading("What an answer took".into()));
            parts.push(Part::Table(cost_table(self.costs, with_time)));
        }
    }

    fn has_few(&self) -> bool {
        self.planned.len() <= FEW
    }

    fn metric_name(&self) -> &str {
        self.main_metric().map_or("", |m| &m.name)
    }

    /// Adds the paper's numbers with ours below them.
    fn add_paper_table(
        &self,
        printed: &PaperTable,
        points: &[SeriesPoint<'_>],
        parts: &mut Vec<Part>,
    ) {
        let Some(rows) = printed.rows.get(self.benchmark) else {
            return;
        };
        let heading = format!("What the paper prints ({})", printed.source);
        parts.push(Part::Heading(heading));
        let mut rows = rows.clone();
        let own: Vec<&SeriesPoint<'_>> = points
            .iter()
            .filter(|p| Some(p.series) == printed.series.as_deref())
            .collect();
        // Only a series of one point is one number, as the paper's is.
        if let ([own], Some(first)) = (own.as_slice(), self.compared_with()) {
            let (value, mean) = (shown(first, first.value), shown(first, own.mean()));
            let draws = own.values.len();
            rows.push(vec![
                "this run".into(),
                format!("{value:.2} {}, n = {}", self.ends(first.interval), first.n),
                format!("{mean:.2} {} (mean of {draws})", self.ends(own.interval())),
                format!("{:+.2}", mean - value),
            ]);
        }
        let caption = format!("{}: the paper prints no n and no interval.", printed.source);
        parts.push(Part::Table(DataTable {
            caption,
            heads: printed.heads.clone(),
            rows,
            places: Vec::new(),
        }));
        parts.push(Part::List(printed.notes.clone()));
    }

    /// Writes the ends of an interval of the drawn metric.
    fn ends(&self, (low, high): (f64, f64)) -> String {
        let number = |v: f64| self.main_metric().map_or(v, |m| shown(m, v));
        format!("[{:.1}, {:.1}]", number(low), number(high))
    }

    fn add_series(&self, points: &[SeriesPoint<'_>], parts: &mut Vec<Part>) {
        parts.push(Part::Heading("By series, over draws".into()));
        let heads = [
            "panel",
            "series",
            "at",
            "draws",
            "n",
            "least",
            "mean [95 % interval]",
            "most",
            "lost, of the best draw",
            "of the mean",
        ];
        let rows = points.iter().map(|p| self.series_row(p)).collect();
        let caption = "n is the items of a draw. The interval of a mean is the mean of those of \
                       its draws, which are of the same items.";
        let table = DataTable::new(caption, &heads, rows).without_empty_columns();
        parts.push(Part::Table(table));
        parts.push(Part::Text(
            "Lost: against the first variant, in % of it, with the interval of the variant's own \
             value. The paper takes the best of its draws, which is the least harmful; every draw \
             is in the table of all numbers."
                .into(),
        ));
    }

    fn series_row(&self, point: &SeriesPoint<'_>) -> Vec<String> {
        let number = |v: f64| format!("{:.1}", self.main_metric().map_or(v, |m| shown(m, v)));
        let (least, most) = point.range();
        let (best, best_interval) = point.best();
        vec![
            point.panel.to_owned(),
            point.series.to_owned(),
            place(point),
            point.values.len().to_string(),
            point.n.to_string(),
            number(least),
            format!("{} {}", number(point.mean()), self.ends(point.interval())),
            number(most),
            self.loss_with_interval(best, best_interval),
            self.loss_with_interval(point.mean(), point.interval()),
        ]
    }

    fn loss_with_interval(&self, value: f64, (low, high): (f64, f64)) -> String {
        // What rises in the metric falls in the loss: its least is that of the upper end.
        match [value, high, low].map(|v| self.loss(v)) {
            [Some(value), Some(least), Some(most)] => {
                format!("{value:.1} % [{least:.1}, {most:.1}]")
            }
            _ => "none".into(),
        }
    }

    /// Adds what `first` loses over what `second` does, place by place.
    fn add_ratios(
        &self,
        points: &[SeriesPoint<'_>],
        first: &str,
        second: &str,
        parts: &mut Vec<Part>,
    ) {
        let mut rows = Vec::new();
        for above in points.iter().filter(|p| p.series == first) {
            let below = points
                .iter()
                .find(|p| (p.series, p.panel, p.at) == (second, above.panel, above.at));
            let Some(below) = below else {
                continue;
            };
            let ((low, high), (low_below, high_below)) = (above.range(), below.range());
            rows.push(vec![
                above.panel.to_owned(),
                place(above),
                // The draw with the highest metric is the best one, and loses least.
                self.loss_ratio(high, high_below),
                self.loss_ratio(above.mean(), below.mean()),
                self.loss_ratio(low, low_below),
            ]);
        }
        if rows.is_empty() {
            return;
        }
        let heading = format!("Lost by {first} over lost by {second}");
        parts.push(Part::Heading(heading.clone()));
        let heads = [
            "panel",
            "at",
            "of the best draws",
            "of the means",
            "of the worst draws",
        ];
        let table = DataTable::new(heading, &heads, rows).without_empty_columns();
        parts.push(Part::Table(table));
    }

    fn loss_ratio(&self, above: f64, below: f64) -> String {
        match (self.loss(above), self.loss(below)) {
            // A ratio to a loss of nothing says nothing.
            (Some(_), Some(below)) if below.abs() < 1e-9 => "no loss below".into(),
            (Some(above), Some(below)) => format!("{:.2}", above / below),
            _ => "none".into(),
        }
    }

    fn comparison_table(&self) -> DataTable {
        let heads = [
            "variant",
            "n",
            "better",
            "worse",
            "difference in points of 100 [95 % interval]",
            "McNemar's p",
        ];
        let rows = self.comparisons.iter().map(comparison_row).collect();
        let caption = "Each variant against the first, item by item: how many answers are better \
                       and worse, and the mean difference by a bootstrap over groups of items.";
        DataTable::new(caption, &heads, rows)
    }

    /// Returns every metric of a few variants, or the main one of many.
    fn metric_table(&self) -> DataTable {
        let (few, name) = (self.has_few(), self.metric_name());
        let heads = [
            "variant",
            "metric",
            "value [95 % interval]",
            "unit",
            "n",
            "unparsed",
        ];
        let own = self.metrics.iter().filter(|(_, m)| few || m.name == name);
        let caption = "Intervals are Wilson's for shares, else of a bootstrap over groups of \
                       items. Unparsed: answers that could not be read, and count as wrong.";
        DataTable::new(caption, &heads, own.map(metric_row).collect())
    }
}

/// Returns a point's place on the x axis; nothing without an axis.
fn place(point: &SeriesPoint<'_>) -> String {
    point.at.map_or(String::new(), |at| at.to_string())
}

fn answers_row(answers: &AnswerCounts) -> Vec<String> {
    let shares = answers.most.iter().map(|(answer, count)| {
        let answer = if answer.is_empty() { "(none)" } else { answer };
        let i = wilson(*count, answers.all);
        let [share, low, high] = [i.share, i.low, i.high].map(|v| 1e2 * v);
        format!("{answer}: {share:.1} % [{low:.1}, {high:.1}]")
    });
    vec![
        answers.variant.clone(),
        answers.all.to_string(),
        shares.collect::<Vec<_>>().join(", "),
    ]
}

fn metric_row((variant, metric): &(String, Metric)) -> Vec<String> {
    let (low, high) = metric.interval;
    let [value, low, high] = [metric.value, low, high].map(|v| shown(metric, v));
    let unit = if metric.most <= 1.0 {
        "%".into()
    } else {
        format!("of {:.0}", metric.most)
    };
    vec![
        variant.clone(),
        metric.name.clone(),
        if metric.has_items() {
            format!("{value:.1} [{low:.1}, {high:.1}]")
        } else {
            "none".into()
        },
        unit,
        metric.n.to_string(),
        metric.unparsed.to_string(),
    ]
}

fn comparison_row((variant, c): &(String, Comparison)) -> Vec<String> {
    // No item was answered under both.
    if c.n == 0 {
        let none = ["0", "0", "0", "none", ""].map(str::to_owned);
        return std::iter::once(variant.clone()).chain(none).collect();
    }
    let [difference, low, high] = [c.difference, c.interval.0, c.interval.1].map(|v| 100.0 * v);
    vec![
        variant.clone(),
        c.n.to_string(),
        c.better.to_string(),
        c.worse.to_string(),
        format!("{difference:+.1} [{low:+.1}, {high:+.1}]"),
        p_value(c.p),
    ]
}

/// Writes a p value: small ones by their powers of ten.
fn p_value(p: f64) -> String {
    if p < 1e-3 {
        format!("{p:.1e}")
    } else {
        format!("{p:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::experiments::experiment;
    use crate::benchmark::pruning::Layers;

    fn metric(variant: &str, value: f64) -> (String, Metric) {
        let interval = (value - 0.1, value + 0.1);
        let metric = Metric {
            name: "accuracy".into(),
            value,
            interval,
            most: 1.0,
            n: 10,
            unparsed: 0,
        };
        (variant.into(), metric)
    }

    #[test]
    fn draws_come_together_and_losses_are_of_the_first_variant() {
        let drawn = |name: &str, geometry: &str| {
            serde_json::json!({
                "name": format!("{name} {{draw}}"), "series": name, "panel": geometry, "at": 0,
                "each": {"draw": [1, 2]},
                "interventions": [{"addNoise": {"geometry": geometry, "seed": "{draw}"}}],
            })
        };
        let json = serde_json::json!({
            "name": "n", "title": "N", "about": "", "plot": "curve", "x": "layer",
            "ratio": ["a", "b"],
            "paper": {"source": "T", "heads": ["model", "x", "y", "d"],
                "rows": {"mmvp": [["them", "1", "2", "+1"]]}, "notes": ["odd"]},
            "variants": [
                {"name": "original"},
                drawn("a", "GEOMETRY_ABS_SCALED"),
                drawn("b", "GEOMETRY_ABS_SCALED"),
            ],
        });
        let experiment = experiment(&json.to_string()).unwrap();
        let planned = experiment.plan(Layers::of(1, 1), false).unwrap();
        let metrics = [
            ("original", 0.8),
            ("a 1", 0.4),
            ("a 2", 0.6),
            ("b 1", 0.72),
            ("b 2", 0.72),
        ];
        let metrics: Vec<_> = metrics.map(|(name, value)| metric(name, value)).into();
        let answers = [AnswerCounts {
            variant: "original".into(),
            most: vec![("A|".to_owned(), 3)],
            all: 10,
        }];
        let report = Report {
            experiment: &experiment,
            benchmark: "mmvp",
            planned: &planned,
            metrics: &metrics,
            comparisons: &[],
            costs: &[],
            layers: 0,
            answers: &answers,
            facts: &[],
            picture: None,
        };
        let repeats = report.series_points();
        assert_eq!(
            (repeats.len(), repeats[0].mean(), repeats[0].range()),
            (2, 0.5, (0.4, 0.6))
        );
        let page = report.markdown();
        // (0.8 - 0.6) / 0.8 and (0.8 - 0.5) / 0.8; over 0.1 each.
        let row = "| scaled by x | a | 0 | 2 | 10 | 40.0 | 50.0 [40.0, 60.0] | 60.0 | \
                   25.0 % [12.5, 37.5] | 37.5 % [25.0, 50.0] |";
        assert!(page.contains(row), "{page}");
        assert!(
            page.contains("| scaled by x | 0 | 2.50 | 3.75 | 5.00 |"),
            "{page}"
        );
        assert!(
            page.contains("| them | 1 | 2 | +1 |")
                && page.contains("- odd")
                && page.contains("A\\|: 30.0 % [10.8, 60.3]"),
            "{page}"
        );
        let mut metrics = metrics.clone();
        metrics[3].1.n = 0;
        metrics[4].1.n = 0;
        let without = Report {
            metrics: &metrics,
            ..report
        };
        // Errors alone are no point of a series at 0 %.
        assert_eq!(without.series_points().len(), 1);
        let page = without.markdown();
        assert!(
            page.contains("| b 1 | accuracy | none | % | 0 | 0 |"),
            "{page}"
        );
        assert!(without.svg().contains(">accuracy, %, n = 10</text>"));
        assert_eq!([p_value(1.0), p_value(2e-4)], ["1.000", "2.0e-4"]);
        let png = plot::png(&report.svg()).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 1000);
        assert!(report.html().contains("<svg") && !report.html().contains("GEOMETRY"));
    }

    #[test]
    fn what_is_nothing_is_no_bar_and_no_loss() {
        let variant = |name: &str, panel: &str, seed: &str| {
            serde_json::json!({"name": name, "panel": panel,
                "interventions": [{"permuteTokens": {"seed": seed}}]})
        };
        let json = serde_json::json!({
            "name": "n", "title": "N", "about": "", "plot": "bars", "ratio": ["a", "b"],
            "variants": [
                {"name": "original"},
                variant("a", "left", "1"),
                variant("b", "left", "2"),
                variant("c", "right", "3"),
            ],
        });
        let experiment = experiment(&json.to_string()).unwrap();
        let planned = experiment.plan(Layers::of(1, 1), false).unwrap();
        let metrics = [("original", 0.0), ("a", 0.4), ("b", 0.2), ("c", 0.0)];
        let mut metrics = metrics.map(|(name, value)| metric(name, value));
        // All its answers are errors.
        metrics[3].1.n = 0;
        let report = Report {
            experiment: &experiment,
            benchmark: "mmvp",
            planned: &planned,
            metrics: &metrics,
            comparisons: &[],
            costs: &[],
            layers: 0,
            answers: &[],
            facts: &[],
            picture: None,
        };
        let svg = report.svg();
        let drawn = |name: &str| svg.matches(&format!(">{name}</text>")).count();
        // The first beside those of either panel, every other one once.
        assert_eq!(["original", "a", "b", "c"].map(drawn), [2, 1, 1, 0]);
        let page = report.markdown();
        assert!(!page.contains("NaN"), "{page}");
        let lost = "| left | a | 1 | 10 | 40.0 | 40.0 [30.0, 50.0] | 40.0 | none | none |";
        assert!(page.contains(lost), "{page}");
        assert!(page.contains("| left | none | none | none |"), "{page}");
    }
}
