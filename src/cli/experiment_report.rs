//! The files of an experiment's report: pages, drawings, metrics and provenance.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use scotoma_client::v1::{EvaluateStarted, ModelInfo, SampleResult};
use serde_json::{Value, json};

use super::csv_file::write_csv;
use super::error::Failure;
use super::files;
use super::overview::Summary;
use crate::benchmark::experiments::{Experiment, PlannedVariant};
use crate::benchmark::report::{
    AnswerCost, AnswerCounts, Part, Report, Tradeoff, VariantCost, by_variant, text_table,
    variant_costs,
};
use crate::benchmark::{Comparison, Metric, png};

/// Characters of an answer that a report shows.
const ANSWER_CHARS: usize = 40;
/// Answers of one variant that a report shows.
const ANSWERS: usize = 8;

/// The outcome of an experiment.
pub(super) struct Findings {
    /// The benchmark's name, by which the paper's numbers are found.
    pub(super) benchmark: String,
    pub(super) planned: Vec<PlannedVariant>,
    /// Metrics by variant.
    pub(super) metrics: Vec<(String, Metric)>,
    /// Each variant against the first.
    pub(super) comparisons: Vec<(String, Comparison)>,
    /// Results that came, errors among them.
    pub(super) answered: usize,
    /// Variants and their answers, where the report counts these.
    pub(super) answers: Vec<(String, String)>,
    /// Variants and what each of their answers took.
    pub(super) costs: Vec<(String, AnswerCost)>,
    /// More lines of the page's list of what ran.
    pub(super) facts: Vec<(String, String)>,
    /// A picture under a grid, PNG.
    pub(super) picture: Option<Vec<u8>>,
}

/// A report that was written.
pub(super) struct Written {
    /// The row in the table of all experiments.
    pub(super) summary: Summary,
    /// Returns what a page about all experiments has of it.
    pub(super) parts: Vec<Part>,
}

/// Returns what an answer took.
pub(super) fn answer_cost(result: &SampleResult) -> AnswerCost {
    let Some(usage) = &result.usage else {
        return AnswerCost::default();
    };
    AnswerCost {
        // Of the answer by itself: what batches and caches save is no property of its variant.
        flops: usage.standalone_flops,
        rows: usage.rows_computed + usage.rows_reused,
        visual_tokens: usage.image_tokens,
        generated_tokens: usage.generation_tokens,
        // Without the time in the queue, which is that of other requests.
        seconds: usage.total_seconds - usage.queue_seconds,
    }
}

/// Writes the report of `findings` to `folder`, and prints what was found, or what ran as JSON.
pub(super) fn write_report(
    experiment: &Experiment,
    findings: Findings,
    model: &ModelInfo,
    started: &EvaluateStarted,
    folder: &Path,
    json: bool,
) -> Result<Written, Failure> {
    let Findings {
        benchmark,
        planned,
        metrics,
        comparisons,
        answered,
        answers,
        costs,
        facts,
        picture,
    } = findings;
    let costs = variant_costs(&costs, planned.iter().map(|p| p.name.as_str()));
    let mut all_facts = run_facts(model, started, planned.len());
    all_facts.extend(facts);
    let report = Report {
        experiment,
        benchmark: &benchmark,
        planned: &planned,
        metrics: &metrics,
        comparisons: &comparisons,
        costs: &costs,
        layers: model
            .language_model
            .as_ref()
            .map_or(0, |stack| stack.layers as usize),
        answers: &frequencies(&answers, &planned),
        facts: &all_facts,
        picture: picture.as_deref(),
    };
    let provenance = provenance(experiment, &all_facts, &planned, started);
    let provenance = serde_json::to_string_pretty(&provenance)?;
    write_files(&report, folder)?;
    write_tables(&report, folder)?;
    files::write(&folder.join("provenance.json"), provenance.as_bytes())?;
    let summary = Summary::new(&metrics, answered);
    if json {
        println!("{provenance}");
    } else {
        print(&report, &summary);
        println!("{}", folder.join("report.html").display());
    }
    Ok(Written {
        summary,
        parts: report.brief(),
    })
}

/// Writes the pages and drawings.
fn write_files(report: &Report<'_>, folder: &Path) -> Result<(), Failure> {
    let name = &report.experiment.name;
    files::write(&folder.join("report.html"), report.html().as_bytes())?;
    files::write(&folder.join("report.md"), report.markdown().as_bytes())?;
    files::write(&folder.join("tables.tex"), report.latex().as_bytes())?;
    let drawings = [(name.clone(), Some(report.svg()))];
    let against_cost = (format!("{name}-cost"), report.cost_svg());
    for (name, svg) in drawings.into_iter().chain([against_cost]) {
        let Some(svg) = svg else {
            continue;
        };
        files::write(&folder.join(format!("{name}.png")), &png(&svg)?)?;
        files::write(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
    }
    Ok(())
}

/// Writes the tables for other programs.
fn write_tables(report: &Report<'_>, folder: &Path) -> Result<(), Failure> {
    let metrics = metric_rows(report.metrics, report.costs);
    write_csv(&folder.join("metrics.csv"), &METRIC_HEADS, &metrics)?;
    let tradeoffs = report.tradeoffs();
    if tradeoffs.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = tradeoffs.iter().map(tradeoff_row).collect();
    write_csv(&folder.join("tradeoff.csv"), &TRADEOFF_HEADS, &rows)
}

fn print(report: &Report<'_>, summary: &Summary) {
    let table = report.tradeoff_table(true);
    for line in table.iter().flat_map(text_table) {
        println!("{line}");
    }
    for line in summary.lines() {
        println!("{line}");
    }
}

/// Lists what ran: the model, the rule, the judge, the server.
fn run_facts(
    model: &ModelInfo,
    started: &EvaluateStarted,
    variants: usize,
) -> Vec<(String, String)> {
    let judge = match &started.judge {
        Some(judge) if !judge.model.is_empty() => judge.model.clone(),
        _ => "none".into(),
    };
    let facts = [
        ("model", model_line(model)),
        ("model digest", started.model_digest.clone()),
        ("rule", started.rule.clone()),
        ("judge", judge),
        // Not this program's, which may have asked another.
        ("server", format!("scotoma {}", started.server_version)),
        ("variants", variants.to_string()),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Describes a model in one line.
pub(super) fn model_line(model: &ModelInfo) -> String {
    format!(
        "{} ({}, {} on {})",
        model.name, model.family, model.dtype, model.device
    )
}

fn provenance(
    experiment: &Experiment,
    facts: &[(String, String)],
    planned: &[PlannedVariant],
    started: &EvaluateStarted,
) -> Value {
    let facts: BTreeMap<_, _> = facts.iter().cloned().collect();
    let variants: BTreeMap<_, _> = planned
        .iter()
        .map(|p| (p.name.clone(), &p.interventions))
        .collect();
    let judge = started.judge.clone().unwrap_or_default();
    json!({
        "experiment": experiment,
        "facts": facts,
        "variants": variants,
        "max_tokens": started.header.as_ref().map_or(0, |header| header.max_tokens),
        "judge": {"model": judge.model, "prompt": judge.prompt},
    })
}

/// Columns of metrics.csv; new ones come last.
const METRIC_HEADS: [&str; 13] = [
    "variant",
    "metric",
    "value",
    "low",
    "high",
    "most",
    "n",
    "unparsed",
    "flops",
    "rows",
    "visual_tokens",
    "generated_tokens",
    "seconds",
];

/// Returns all metrics as rows for other programs, with the means of what answers took.
fn metric_rows(metrics: &[(String, Metric)], costs: &[VariantCost]) -> Vec<Vec<String>> {
    let costs = by_variant(costs);
    let rows = metrics.iter().map(|(variant, m)| {
        let mut row = vec![variant.clone(), m.name.clone()];
        let values =
            [m.value, m.interval.0, m.interval.1].map(|v| Some(v).filter(|_| m.has_items()));
        row.extend(values.map(cell));
        row.push(m.most.to_string());
        row.extend([m.n, m.unparsed].map(|v| v.to_string()));
        let means = costs.get(variant.as_str()).map(|c| {
            let [rows, visual, generated, seconds] =
                [c.rows, c.visual_tokens, c.generated_tokens, c.seconds].map(|m| Some(m.value));
            [c.flops.map(|m| m.value), rows, visual, generated, seconds]
        });
        let means = means.unwrap_or_default();
        row.extend(means.map(cell));
        row
    });
    rows.collect()
}

/// Returns a number for other programs; what is not known is empty.
fn cell(number: Option<f64>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

/// Columns of tradeoff.csv; new ones come last.
const TRADEOFF_HEADS: [&str; 11] = [
    "variant",
    "n",
    "value",
    "low",
    "high",
    "flops",
    "flops_share",
    "visual_tokens",
    "seconds",
    "seconds_low",
    "seconds_high",
];

/// Returns a row for other programs; what is not known is empty.
fn tradeoff_row(row: &Tradeoff) -> Vec<String> {
    let mut cells = vec![row.name.clone(), row.n.to_string()];
    cells.extend([row.value, row.interval.0, row.interval.1].map(|v| v.to_string()));
    let known = [row.flops, row.flops_share, row.kept];
    cells.extend(known.map(cell));
    let (low, high) = row.seconds.interval;
    cells.extend([row.seconds.value, low, high].map(|v| v.to_string()));
    cells
}

/// Counts the answers of each variant, and keeps the most frequent ones.
fn frequencies(answers: &[(String, String)], planned: &[PlannedVariant]) -> Vec<AnswerCounts> {
    let mut counts: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for (variant, answer) in answers {
        // Cut before counting: long answers that begin alike are one line of the table.
        let answer: String = answer.chars().take(ANSWER_CHARS).collect();
        *counts
            .entry(variant)
            .or_default()
            .entry(answer)
            .or_default() += 1;
    }
    let own = planned
        .iter()
        .filter_map(|p| Some((p.name.clone(), counts.remove(p.name.as_str())?)));
    own.map(|(variant, counts)| most_frequent(variant, counts))
        .collect()
}

fn most_frequent(variant: String, counts: BTreeMap<String, usize>) -> AnswerCounts {
    let all = counts.values().sum();
    let mut most: Vec<(String, usize)> = counts.into_iter().collect();
    // Stable over a sorted map: of equal counts the first in the alphabet comes first in every run.
    most.sort_by_key(|(_, n)| Reverse(*n));
    most.truncate(ANSWERS);
    AnswerCounts { variant, most, all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_no_items_there_is_no_value() {
        let metric = |n| Metric {
            name: "accuracy".into(),
            value: 0.0,
            interval: (0.0, 1.0),
            most: 1.0,
            n,
            unparsed: 0,
        };
        let rows = metric_rows(&[("a".into(), metric(0)), ("b".into(), metric(1))], &[]);
        assert_eq!(rows[0][..7], ["a", "accuracy", "", "", "", "1", "0"]);
        assert_eq!(rows[1][..7], ["b", "accuracy", "0", "0", "1", "1", "1"]);
    }

    /// The first metric of MMVP is over pairs of items.
    #[test]
    fn answers_are_counted_as_they_came() {
        let experiments = crate::benchmark::experiments::experiments().unwrap();
        let pairs = Metric {
            name: "pair accuracy".into(),
            value: 0.5,
            interval: (0.0, 1.0),
            most: 1.0,
            n: 2,
            unparsed: 0,
        };
        let original = PlannedVariant {
            name: "original".into(),
            series: String::new(),
            panel: String::new(),
            at: None,
            pictures: String::new(),
            interventions: Vec::new(),
        };
        let findings = Findings {
            benchmark: "mmvp".into(),
            planned: vec![original],
            metrics: vec![("original".into(), pairs)],
            comparisons: Vec::new(),
            answered: 4,
            answers: Vec::new(),
            costs: Vec::new(),
            facts: Vec::new(),
            picture: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let (model, started) = (ModelInfo::default(), EvaluateStarted::default());
        let written = write_report(
            &experiments[0],
            findings,
            &model,
            &started,
            folder.path(),
            true,
        );
        let mut overview = super::super::overview::Overview::new("All");
        let summary = written.unwrap().summary;
        overview.add(("Noise", "mmvp"), Path::new("x"), &summary, Vec::new());
        overview.write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
        assert!(text.contains("| mmvp | 2 | 4 | 50.0 %"), "{text}");
    }
}
