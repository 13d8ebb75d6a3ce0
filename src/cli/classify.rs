//! `scotoma classify`: zero-shot classification by a LLaVA, beside the CLIP or SigLIP whose tower
//! it has.

use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::{EvaluateHeader, EvaluateStarted, ModelInfo, Sample, SampleResult};
use scotoma_client::{Client, v1};

use super::benchmark_args::{BenchmarkArgs, Scoring};
use super::benchmark_run::{BenchmarkRun, read_results};
use super::clip_baseline::{CLASSIFICATION, CLIP, ClipArgs, ClipRun, classification_rule};
use super::error::Failure;
use super::experiment::{ExperimentDone, costs};
use super::experiment_report::{Findings, Written, write_report};
use super::files;
use super::forecast::Forecast;
use crate::api::verdict_of;
use crate::benchmark::experiments::{Experiment, experiment};
use crate::benchmark::pruning::Layers;
use crate::benchmark::report::AnswerCost;
use crate::benchmark::{ItemLabel, Outcome, compare};

const EXPERIMENT: &str = include_str!("../benchmark/experiments/classification.json");

/// A way to ask the model for a class: a variant of the experiment.
struct Approach {
    /// The variant's name.
    name: &'static str,
    rule: &'static str,
    scoring: Scoring,
    /// True if a judge gives the verdicts.
    judged: bool,
}

const APPROACHES: [Approach; 3] = [
    Approach {
        name: "classes scored",
        rule: CLASSIFICATION,
        scoring: Scoring::Texts,
        judged: false,
    },
    Approach {
        name: "classes named",
        rule: CLASSIFICATION,
        scoring: Scoring::Generation,
        judged: false,
    },
    Approach {
        name: "answers judged",
        rule: "classification/judged",
        scoring: Scoring::Generation,
        judged: true,
    },
];

impl Approach {
    /// Returns the run, its header and the name of its results.
    fn plan(&self, benchmark: &BenchmarkRun) -> (BenchmarkRun, EvaluateHeader, String) {
        let own = BenchmarkRun {
            rule: self.rule.into(),
            scoring: self.scoring,
            ..benchmark.clone()
        };
        let mut header = own.header();
        // `header` makes exactly one variant.
        header.variants[0].name = self.name.into();
        let file = format!("{}.jsonl", self.name.replace(' ', "-"));
        (own, header, file)
    }
}

/// Returns the headers of all ways to ask, with the names of their results; those that need a judge
/// only `judged`.
pub(super) fn plan(benchmark: &BenchmarkRun, judged: bool) -> Vec<(EvaluateHeader, String)> {
    let asked = APPROACHES.iter().filter(|a| judged || !a.judged);
    let planned = asked.map(|approach| approach.plan(benchmark));
    planned.map(|(_, header, file)| (header, file)).collect()
}

/// Flags of `classify`.
#[derive(Debug, Args)]
pub(super) struct Classify {
    /// File of pictures: a table or a manifest whose options are the classes and whose answer is
    /// one of them
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    clip: ClipArgs,
    /// Folder to write report.html, report.md, the plot and all results to. A run that finds its
    /// results there continues where it ended
    #[arg(long, default_value = "classification")]
    report: PathBuf,
    #[command(flatten)]
    args: BenchmarkArgs,
    /// Ask the first items only, and print what all would cost and take; the next run continues
    /// from there
    #[arg(long)]
    estimate: bool,
    /// Print what ran as JSON in place of the report's name
    #[arg(long, conflicts_with = "estimate")]
    json: bool,
}

impl Classify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let benchmark = BenchmarkRun {
            rule: CLASSIFICATION.into(),
            data: Some(self.data),
            args: self.args,
            scoring: Scoring::Generation,
            substitutes: None,
            estimate: self.estimate,
            shard: None,
        };
        self.clip.check()?;
        benchmark.check()?;
        let (clip, folder) = (&self.clip, &self.report);
        benchmark
            .with_client(async |client| {
                Box::pin(classify(&benchmark, clip, client, folder, self.json)).await
            })
            .await?;
        Ok(())
    }
}

/// Asks in every way, and writes the report to `folder`; of an estimate there is no report.
pub(super) async fn classify(
    benchmark: &BenchmarkRun,
    clip: &ClipArgs,
    mut client: Client,
    folder: &Path,
    json: bool,
) -> Result<ExperimentDone, Failure> {
    files::create_folder(folder)?;
    let model = client.get_model(&benchmark.args.model.name()).await?;
    let mut run = ClassifyRun {
        benchmark,
        model,
        folder,
        clip: CLIP,
        outcomes: Vec::new(),
        answers: Vec::new(),
        costs: Vec::new(),
        forecast: Forecast::default(),
        last: None,
    };
    for approach in &APPROACHES {
        run.ask(approach, client.clone()).await?;
    }
    let forecast = Some(run.forecast);
    if !benchmark.is_whole() {
        return Ok(ExperimentDone::without_report(forecast));
    }
    let clip_digest = run.ask_clip(clip).await?;
    let written = run.write_report(clip, clip_digest, json)?;
    Ok(ExperimentDone {
        summary: written.summary,
        parts: written.parts,
        forecast,
    })
}

/// A classification, as far as it was asked.
struct ClassifyRun<'a> {
    benchmark: &'a BenchmarkRun,
    model: ModelInfo,
    folder: &'a Path,
    /// Says which kind of model is compared with.
    clip: &'static str,
    /// Outcomes by variant; that model's come first.
    outcomes: Vec<(String, Vec<Outcome>)>,
    /// Variants and answers.
    answers: Vec<(String, String)>,
    /// Variants and what answers took; that model's have none.
    costs: Vec<(String, AnswerCost)>,
    forecast: Forecast,
    /// The header's echo of the last run, and the rows that it skipped.
    last: Option<(EvaluateStarted, usize)>,
}

impl ClassifyRun<'_> {
    /// Asks the model in one way; results go to a file of the folder.
    async fn ask(&mut self, approach: &Approach, client: Client) -> Result<(), Failure> {
        let (benchmark, header, file) = approach.plan(self.benchmark);
        // Without a judge there are no verdicts, and the answers are those of the approach before.
        if approach.judged && !is_judged(client.clone(), header.clone()).await? {
            return Ok(());
        }
        let out = self.folder.join(file);
        eprintln!("{}, by {}", approach.name, self.model.name);
        let (items, count) = (benchmark.items()?, benchmark.count()?);
        let done = benchmark
            .evaluate(client, header, items, Some(count), Some(&out))
            .await?;
        self.forecast += done.forecast.unwrap_or_default();
        let results = read_results(&out)?;
        let answers = results
            .iter()
            .map(|r| (approach.name.to_owned(), r.answer.clone()));
        self.answers.extend(answers);
        self.costs.extend(costs(&results));
        let outcomes = results.iter().map(outcome).collect::<Result<_, _>>()?;
        self.outcomes.push((approach.name.to_owned(), outcomes));
        self.last = Some((done.started, done.skipped));
        Ok(())
    }

    /// Asks the CLIP or SigLIP that the flags name, and returns its digest.
    async fn ask_clip(&mut self, clip: &ClipArgs) -> Result<String, Failure> {
        // The CLIP runs in this process, also where a server has the model.
        let device = self.benchmark.args.model.device()?;
        let items = self.benchmark.items()?.flatten();
        let Some(run) = clip.classify(device, items).await? else {
            return Ok("none".into());
        };
        let ClipRun {
            kind,
            digest,
            found,
        } = run;
        self.clip = kind;
        let (outcomes, answers): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let answers = answers.into_iter().map(|answer| (kind.to_owned(), answer));
        self.answers.extend(answers);
        // First: the report compares all others with it.
        self.outcomes.insert(0, (kind.to_owned(), outcomes));
        Ok(digest)
    }

    /// Writes the report.
    fn write_report(
        mut self,
        clip: &ClipArgs,
        clip_digest: String,
        json: bool,
    ) -> Result<Written, Failure> {
        let (started, skipped) = self.last.take().ok_or("nothing was asked")?;
        let experiment = self.experiment()?;
        for (_, outcomes) in &mut self.outcomes {
            // `compare` looks items up by a binary search over ids.
            outcomes.sort_by(|a, b| a.label.id.cmp(&b.label.id));
        }
        let rule = classification_rule()?;
        let mut metrics = Vec::new();
        for (name, outcomes) in &self.outcomes {
            let own = (rule.summarise)(outcomes);
            metrics.extend(own.into_iter().map(|metric| (name.clone(), metric)));
        }
        // `last` is set with the first outcomes, so that there is one.
        let (_, first) = &self.outcomes[0];
        let comparisons = self.outcomes[1..]
            .iter()
            .map(|(name, own)| (name.clone(), compare(first, own)))
            .collect();
        let asked: usize = self.outcomes.iter().map(|(_, own)| own.len()).sum();
        let stem = self.benchmark.data.as_deref().and_then(Path::file_stem);
        let findings = Findings {
            // Its variants are ways to ask, none of which counts layers.
            planned: experiment.plan(Layers::of(0, 0), false)?,
            metrics,
            comparisons,
            answered: asked,
            answers: self.answers,
            costs: self.costs,
            facts: vec![
                (format!("{}'s digest", self.clip), clip_digest),
                (format!("{} reads", self.clip), clip.templates()),
                (
                    "answers".into(),
                    format!("{asked}; {skipped} rows left out"),
                ),
            ],
            picture: None,
            benchmark: stem.map_or_else(String::new, |s| s.to_string_lossy().to_lowercase()),
        };
        write_report(
            &experiment,
            findings,
            &self.model,
            &started,
            self.folder,
            json,
        )
    }

    /// Returns the experiment with the variants that were asked.
    fn experiment(&self) -> Result<Experiment, String> {
        let mut experiment = experiment(EXPERIMENT)?;
        if self.clip != CLIP {
            let (theirs, own) = (format!("{CLIP}'s"), format!("{}'s", self.clip));
            experiment.about = experiment.about.replace(&theirs, &own);
            let mut variants = experiment.variants.iter_mut();
            if let Some(variant) = variants.find(|variant| variant.name == CLIP) {
                self.clip.clone_into(&mut variant.name);
            }
        }
        experiment
            .variants
            .retain(|t| self.outcomes.iter().any(|(name, _)| *name == t.name));
        Ok(experiment)
    }
}

/// Tells whether the server has a judge for a run. No question is asked.
async fn is_judged(mut client: Client, header: EvaluateHeader) -> Result<bool, Failure> {
    let none = tokio_stream::empty::<Result<Sample, Failure>>();
    let run = client.evaluate(header, none, None).await?;
    let is_judged = run.started.judge.is_some();
    run.finish().await?;
    Ok(is_judged)
}

/// Returns what metrics need of a result.
pub(super) fn outcome(result: &SampleResult) -> Result<Outcome, Failure> {
    let v1::SampleResult {
        id,
        category,
        group,
        ..
    } = result;
    let verdict = verdict_of(result)
        .ok_or_else(|| format!("{id}: the server sent verdict {}", result.verdict))?;
    let label = ItemLabel {
        id: id.clone(),
        category: category.clone(),
        group: group.clone(),
    };
    Ok(Outcome {
        label: label.into(),
        verdict,
    })
}
