//! `scotoma experiment`: a benchmark under the variants of an experiment, and its report.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::image::Source;
use scotoma_client::v1::{
    self, BenchmarkMetric, EvaluateFinished, EvaluateHeader, EvaluateVariant, Image, ModelInfo,
    SampleResult,
};
use scotoma_client::{Client, PreviewRequest};
use serde_json::{Value, json};

use super::benchmark_args::{BenchmarkArgs, LIST, ScoringArgs};
use super::benchmark_run::{BenchmarkRun, Evaluated, read_results};
use super::error::{Failure, Usage};
use super::experiment_report::{Findings, answer_cost, write_report};
use super::files;
use super::forecast::Forecast;
use super::intervention_args::variant;
use super::json_output::print_line;
use super::overview::{Overview, Summary};
use super::shard_file::ShardArgs;
use crate::benchmark::experiments::{
    Experiment, PlannedVariant, PlotKind, experiment, experiments,
};
use crate::benchmark::pruning::Layers;
use crate::benchmark::report::{AnswerCost, Part};
use crate::benchmark::substitute::FOLDER;
use crate::benchmark::{Comparison, Metric};

/// The name of results in the folder of a report.
pub(super) const RESULTS: &str = "results.jsonl";
/// Every experiment inside the program.
const ALL: &str = "all";

/// Flags of `experiment`.
#[derive(Debug, Args)]
pub(super) struct RunExperiment {
    /// An experiment, such as permutation, a file that describes one, or `all`;
    /// `scotoma experiment list` prints them
    experiment: String,
    /// Other values for an axis of the experiment, such as draw=1,2 or geometry=literal. Repeat for
    /// several axes
    #[arg(long, value_name = "AXIS=VALUE,VALUE", value_parser = axis)]
    set: Vec<(String, Vec<Value>)>,
    /// A benchmark, such as mmvp, or one tool's way of it, such as sqa/llava; `scotoma eval list`
    /// prints all
    rule: Option<String>,
    /// File of questions: a table (.tsv, .csv, .parquet) or a manifest (.jsonl) with the columns of
    /// Hugging Face or VLMEvalKit. `shapes` needs none
    #[arg(long)]
    data: Option<PathBuf>,
    /// Folder to write report.html, report.md, the plot, results.jsonl and provenance.json to. A
    /// run that finds its results there continues where it ended. Default: EXPERIMENT-RULE
    #[arg(long)]
    report: Option<PathBuf>,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    args: BenchmarkArgs,
    #[command(flatten)]
    scoring: ScoringArgs,
    /// A folder of other pictures, INDEX.png, .jpg or .webp, for variants that show them in place
    /// of an item's own
    #[arg(long, value_name = "FOLDER")]
    substitutes: Option<PathBuf>,
    /// Ask the first items only, and print what all would cost and take; the next run continues
    /// from there
    #[arg(long)]
    estimate: bool,
    /// Print what ran as JSON in place of the report's name
    #[arg(long, conflicts_with = "estimate")]
    json: bool,
}

impl RunExperiment {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let known = experiments()?;
        if self.experiment == LIST {
            for e in known {
                if self.json {
                    let line = json!({"name": e.name, "section": e.section, "title": e.title});
                    print_line(&line)?;
                    continue;
                }
                println!("{:<24} {:<5} {}", e.name, e.section, e.title);
            }
            return Ok(());
        }
        let rule = self
            .rule
            .clone()
            .ok_or_else(|| Usage("RULE is needed: a benchmark, such as `shapes`".into()))?;
        let mut chosen = self.choose(&known)?;
        set(&mut chosen, &self.set)?;
        self.check_substitutes(&chosen)?;
        let folder = self
            .report
            .clone()
            .unwrap_or_else(|| self.default_report(&chosen, &rule));
        let benchmark = BenchmarkRun {
            rule,
            data: self.data.clone(),
            args: self.args.clone(),
            scoring: self.scoring.scoring,
            substitutes: self.substitutes.clone(),
            estimate: self.estimate,
            shard: self.shard.shard,
        };
        // Before a model is loaded. A folder that nobody has named, too.
        files::check_folder(&folder).map_err(|e| format!("--report {e}"))?;
        benchmark.check()?;
        let overview = benchmark
            .with_client(async |client| {
                Box::pin(self.run_all(client, &benchmark, &chosen, &folder)).await
            })
            .await?;
        if self.is_all() && benchmark.is_whole() {
            let page = overview.write(&folder)?;
            if !self.json {
                println!("{}", page.display());
            }
        }
        Ok(())
    }

    fn is_all(&self) -> bool {
        self.experiment == ALL
    }

    /// Runs the chosen experiments and returns the document about all.
    async fn run_all(
        &self,
        client: Client,
        benchmark: &BenchmarkRun,
        chosen: &[Experiment],
        folder: &Path,
    ) -> Result<Overview, Failure> {
        let mut overview = Overview::new(format!("All experiments on {}", benchmark.rule));
        for experiment in chosen {
            // A file of results is of one run.
            let folder = if self.is_all() {
                folder.join(&experiment.name)
            } else {
                folder.to_owned()
            };
            let client = client.clone();
            let done = run_experiment(benchmark, client, experiment, &folder, self.json).await?;
            let (title, place) = (experiment.title.as_str(), Path::new(&experiment.name));
            overview.add(
                (title, benchmark.rule.as_str()),
                place,
                &done.summary,
                done.parts,
            );
        }
        Ok(overview)
    }

    /// Refuses a folder of pictures that no variant shows.
    fn check_substitutes(&self, chosen: &[Experiment]) -> Result<(), Failure> {
        let Some(folder) = &self.substitutes else {
            return Ok(());
        };
        if !chosen.iter().any(|e| e.shows(FOLDER)) {
            let message = format!(
                "--substitutes: no variant of {} shows them; blind does",
                self.experiment
            );
            return Err(Usage(message).into());
        }
        if !folder.is_dir() {
            return Err(format!("--substitutes {}: not a folder", folder.display()).into());
        }
        Ok(())
    }

    /// Names the folder of the report: what is run, and on what.
    fn default_report(&self, chosen: &[Experiment], rule: &str) -> PathBuf {
        let name = match chosen {
            [one] if !self.is_all() => &one.name,
            _ => ALL,
        };
        format!("{name}-{}", rule.replace('/', "-")).into()
    }

    /// Finds the experiments that the first argument names.
    fn choose(&self, known: &[Experiment]) -> Result<Vec<Experiment>, Failure> {
        if self.is_all() {
            return Ok(known.to_vec());
        }
        // A name inside the program wins over a file of that name, which `./NAME` still reads.
        if let Some(found) = known.iter().find(|e| e.name == self.experiment) {
            return Ok(vec![found.clone()]);
        }
        let text = std::fs::read_to_string(&self.experiment).map_err(|e| {
            let names: Vec<&str> = known.iter().map(|e| e.name.as_str()).collect();
            Usage(format!(
                "{:?} is no file ({e}) and none of {}",
                self.experiment,
                names.join(", ")
            ))
        })?;
        let read = experiment(&text).map_err(|e| format!("{}: {e}", self.experiment))?;
        Ok(vec![read])
    }
}

/// Gives axes the values of `--set`; each must be an axis of an experiment.
fn set(chosen: &mut [Experiment], values: &[(String, Vec<Value>)]) -> Result<(), Failure> {
    for (i, (name, values_of)) in values.iter().enumerate() {
        if values[..i].iter().any(|(other, _)| other == name) {
            return Err(Usage(format!("--set {name}: it is set twice")).into());
        }
        if !chosen.iter().any(|e| e.has_axis(name)) {
            let message = format!("--set {name}: no such axis; {}", known_axes(chosen));
            return Err(Usage(message).into());
        }
        // Axes of one name take the same values in all of them.
        for experiment in chosen.iter_mut().filter(|e| e.has_axis(name)) {
            experiment
                .set(name, values_of)
                .map_err(|e| Usage(format!("--set {name}: {e}")))?;
        }
    }
    Ok(())
}

fn known_axes(chosen: &[Experiment]) -> String {
    let axes: BTreeSet<&str> = chosen.iter().flat_map(Experiment::axes).collect();
    if axes.is_empty() {
        return "there is none".into();
    }
    let axes: Vec<&str> = axes.into_iter().collect();
    format!("the axes are {}", axes.join(", "))
}

fn axis(text: &str) -> Result<(String, Vec<Value>), String> {
    let (name, values) = text.split_once('=').ok_or("AXIS=VALUE,VALUE is needed")?;
    Ok((name.into(), values.split(',').map(axis_value).collect()))
}

/// Parses a number or another JSON value; everything else is a text.
fn axis_value(text: &str) -> Value {
    // `literal` is no JSON, and nobody should have to write quotation marks within a shell's.
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// An experiment that was run, or whose first items were.
pub(super) struct ExperimentDone {
    /// The row in the table of all.
    pub(super) summary: Summary,
    /// Holds what a page about all experiments has of it.
    pub(super) parts: Vec<Part>,
    pub(super) forecast: Option<Forecast>,
}

impl ExperimentDone {
    /// Makes that of a run without a report.
    pub(super) fn without_report(forecast: Option<Forecast>) -> Self {
        Self {
            summary: Summary::default(),
            parts: Vec::new(),
            forecast,
        }
    }
}

/// Runs one experiment and writes its report to `folder`; of an estimate there is no report.
pub(super) async fn run_experiment(
    benchmark: &BenchmarkRun,
    mut client: Client,
    experiment: &Experiment,
    folder: &Path,
    json: bool,
) -> Result<ExperimentDone, Failure> {
    // First: an experiment over layers has as many variants as the model has layers.
    let model = client.get_model(&benchmark.header().model).await?;
    let (header, planned) = plan(benchmark, experiment, layers(&model))?;
    let left_out = left_out(experiment, benchmark);
    if !left_out.is_empty() {
        // To stderr, as all that is said on the way: stdout has the report's name, or JSON, alone.
        eprintln!("{}: left out: {left_out}", experiment.title);
    }
    // Before the first answer: results go there as they come.
    files::create_folder(folder)?;
    eprintln!(
        "{}: every item {} times, by {}",
        experiment.title,
        planned.len(),
        model.name
    );
    let results = folder.join(RESULTS);
    let picture = match experiment.plot {
        // As Preview shows it: cells of a grid are of what the model sees, not of the file.
        PlotKind::Grid => first_picture(benchmark, &mut client, &header.model).await?,
        _ => None,
    };
    let (items, count) = (benchmark.items()?, benchmark.count()?);
    let Evaluated {
        started,
        finished,
        skipped,
        forecast,
    } = benchmark
        .evaluate(client, header, items, Some(count), Some(&results))
        .await?;
    if !benchmark.is_whole() {
        // Of a part of the items there is nothing to report.
        return Ok(ExperimentDone::without_report(forecast));
    }
    let facts = facts(&finished, skipped, left_out);
    // From the file, which has the answers of earlier runs as well.
    let results = read_results(&results)?;
    let findings = Findings {
        benchmark: benchmark_of(&started.rule).to_owned(),
        planned,
        answered: finished.results as usize,
        metrics: finished.metrics.into_iter().map(metric).collect(),
        comparisons: finished.comparisons.into_iter().map(comparison).collect(),
        answers: answers(experiment, &results),
        costs: costs(&results),
        facts,
        picture,
    };
    let written = write_report(experiment, findings, &model, &started, folder, json)?;
    Ok(ExperimentDone {
        summary: written.summary,
        parts: written.parts,
        forecast,
    })
}

/// Returns what a report says of its run.
fn facts(finished: &EvaluateFinished, skipped: usize, left_out: String) -> Vec<(String, String)> {
    let answered = format!(
        "{}, {} of them errors; {skipped} rows left out",
        finished.results, finished.failed
    );
    let mut facts = vec![("answers".to_owned(), answered)];
    if !left_out.is_empty() {
        facts.push(("left out".into(), left_out));
    }
    facts
}

/// Plans an experiment for a model with these layers.
pub(super) fn plan(
    benchmark: &BenchmarkRun,
    experiment: &Experiment,
    layers: Layers,
) -> Result<(EvaluateHeader, Vec<PlannedVariant>), Failure> {
    let planned = experiment.plan(layers, benchmark.substitutes.is_some())?;
    let mut header = benchmark.header();
    header.variants = variants(&planned)?;
    Ok((header, planned))
}

/// Returns the layers of a model that run.
pub(super) fn layers(model: &ModelInfo) -> Layers {
    let decoder = model.language_model.as_ref();
    let tower = model.vision_tower.as_ref();
    Layers {
        language_model: decoder.map_or(0, |l| l.layers as usize),
        // Layers above the one that a tower is read at never run.
        vision_tower: tower.map_or(0, |t| t.layers_run as usize),
    }
}

fn variants(planned: &[PlannedVariant]) -> Result<Vec<EvaluateVariant>, String> {
    planned
        .iter()
        .map(|p| variant(&p.name, &p.pictures, &p.interventions))
        .collect()
}

/// Returns the benchmark of a rule's name, `benchmark/tool`.
fn benchmark_of(rule: &str) -> &str {
    rule.split('/').next().unwrap_or_default()
}

/// Returns all answers where the report counts them: where nothing is seen, the question is how
/// often each answer is given.
fn answers(experiment: &Experiment, results: &[SampleResult]) -> Vec<(String, String)> {
    if experiment.plot != PlotKind::Bars {
        return Vec::new();
    }
    let answers = results.iter();
    answers
        .map(|r| (r.variant.clone(), r.answer.clone()))
        .collect()
}

/// Returns what answers took, by variant.
pub(super) fn costs(results: &[SampleResult]) -> Vec<(String, AnswerCost)> {
    let answered = results.iter().filter(|r| r.error.is_none());
    answered
        .map(|r| (r.variant.clone(), answer_cost(r)))
        .collect()
}

/// Lists the variants that do not run because the pictures that they show were not given.
fn left_out(experiment: &Experiment, benchmark: &BenchmarkRun) -> String {
    if benchmark.substitutes.is_some() || !experiment.shows(FOLDER) {
        return String::new();
    }
    let names: Vec<&str> = experiment
        .variants
        .iter()
        .filter(|t| t.pictures == FOLDER)
        .map(|t| t.name.as_str())
        .collect();
    format!("{} (needs --substitutes FOLDER)", names.join(", "))
}

/// Returns the picture of the first item that has one, as the model sees it.
async fn first_picture(
    benchmark: &BenchmarkRun,
    client: &mut Client,
    model: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(data) = benchmark
        .items()?
        // Rows that cannot be read are told by the run itself.
        .flatten()
        .find_map(|item| item.images.into_iter().next())
    else {
        return Ok(None);
    };
    let image = Some(Image {
        source: Some(Source::Data(data)),
    });
    let request = PreviewRequest {
        model: model.into(),
        image,
        ..Default::default()
    };
    Ok(Some(client.preview(request).await?.png))
}

fn metric(m: BenchmarkMetric) -> (String, Metric) {
    let metric = Metric {
        name: m.name,
        value: m.value,
        interval: (m.low, m.high),
        most: m.most,
        n: m.n as usize,
        unparsed: m.unparsed as usize,
    };
    (m.variant, metric)
}

fn comparison(c: v1::Comparison) -> (String, Comparison) {
    let comparison = Comparison {
        n: c.n as usize,
        better: c.better as usize,
        worse: c.worse as usize,
        difference: c.difference,
        interval: (c.low, c.high),
        p: c.p,
    };
    (c.variant, comparison)
}
