//! The files of an experiment's report: pages, drawings, metrics and provenance.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use scotoma_client::v1::{EvaluateStarted, ModelInfo};
use serde_json::{Value, json};

use super::error::Failure;
use super::files;
use crate::benchmark::experiments::{Experiment, PlannedVariant};
use crate::benchmark::report::{AnswerCounts, Report};
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
    /// Variants and their answers, where the report counts these.
    pub(super) answers: Vec<(String, String)>,
    /// More lines of the page's list of what ran.
    pub(super) facts: Vec<(String, String)>,
    /// A picture under a grid, PNG.
    pub(super) picture: Option<Vec<u8>>,
}

/// Writes the report of `findings` to `folder`. Returns its row in the table of all experiments:
/// answers, and the first, lowest and highest value.
pub(super) fn write_report(
    experiment: &Experiment,
    findings: Findings,
    model: &ModelInfo,
    started: &EvaluateStarted,
    folder: &Path,
    json: bool,
) -> Result<Vec<String>, Failure> {
    let Findings {
        benchmark,
        planned,
        metrics,
        comparisons,
        answers,
        facts,
        picture,
    } = findings;
    let mut all_facts = run_facts(model, started, planned.len());
    all_facts.extend(facts);
    let report = Report {
        experiment,
        benchmark: &benchmark,
        planned: &planned,
        metrics: &metrics,
        comparisons: &comparisons,
        answers: &frequencies(&answers, &planned),
        facts: &all_facts,
        picture: picture.as_deref(),
    };
    let provenance = provenance(experiment, &all_facts, &planned, started);
    let provenance = serde_json::to_string_pretty(&provenance)?;
    let svg = report.svg();
    let named = |ending: &str| folder.join(format!("{}.{ending}", experiment.name));
    files::write(&folder.join("report.html"), report.html().as_bytes())?;
    files::write(&folder.join("report.md"), report.markdown().as_bytes())?;
    files::write(&named("png"), &png(&svg)?)?;
    files::write(&named("svg"), svg.as_bytes())?;
    files::write(
        &folder.join("metrics.csv"),
        metrics_csv(&metrics).as_bytes(),
    )?;
    files::write(&folder.join("provenance.json"), provenance.as_bytes())?;
    if json {
        println!("{provenance}");
    } else {
        println!("{}", folder.join("report.html").display());
    }
    let answers = metrics.first().map_or(0, |(_, m)| m.n) * planned.len();
    Ok(summary_row(&metrics, answers))
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

/// Writes all metrics as CSV, for other programs.
fn metrics_csv(metrics: &[(String, Metric)]) -> String {
    let mut csv = "variant,metric,value,low,high,most,n,unparsed\n".to_owned();
    for (variant, m) in metrics {
        let (variant, name, (low, high)) = (quoted(variant), quoted(&m.name), m.interval);
        let _ = writeln!(
            csv,
            "{variant},{name},{},{low},{high},{},{},{}",
            m.value, m.most, m.n, m.unparsed
        );
    }
    csv
}

/// Quotes a cell of a CSV file.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Returns an experiment's row in the table of all: answers, and the first, lowest and highest
/// value.
fn summary_row(metrics: &[(String, Metric)], answers: usize) -> Vec<String> {
    let main = metrics.first().map_or("", |(_, m)| &m.name);
    let own: Vec<&(String, Metric)> = metrics.iter().filter(|(_, m)| m.name == main).collect();
    // The first variant is what the others are lower or higher than.
    let changed = own.get(1..).unwrap_or_default();
    let lowest = changed
        .iter()
        .min_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let highest = changed
        .iter()
        .max_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let mut row = vec![answers.to_string()];
    row.extend(
        [own.first(), lowest, highest].map(|m| m.map_or(String::new(), |m| value_and_variant(m))),
    );
    row
}

fn value_and_variant((variant, m): &(String, Metric)) -> String {
    if m.most <= 1.0 {
        format!("{:.1} % ({variant})", 1e2 * m.value)
    } else {
        format!("{:.1} ({variant})", m.value)
    }
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
