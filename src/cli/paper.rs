//! `scotoma paper`: every experiment of Lee et al. 2024 on the data that is there.

use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::Client;
use serde_json::json;

use super::alignment::AlignmentArgs;
use super::benchmark_args::{BenchmarkArgs, ScoringArgs};
use super::benchmark_run::BenchmarkRun;
use super::classify::{self, classify};
use super::clip_baseline::{CLASSIFICATION, ClipArgs};
use super::error::{Failure, Usage};
use super::experiment::{self, ExperimentDone, RESULTS, run_experiment};
use super::forecast::Forecast;
use super::overview::Overview;
use super::shard_file::ShardArgs;
use super::table_one::write_table_one;
use crate::benchmark::experiments::{Experiment, experiments};
use crate::benchmark::pruning::Layers;
use crate::benchmark::rule;
use crate::benchmark::substitute::FOLDER;
use crate::model::SHAPES;

/// Benchmarks by the beginning of their files' names, in lower case without `-` and `_`.
const FILES: [(&str, &str); 19] = [
    ("mmvp", "mmvp"),
    ("qbench", "qbench"),
    ("mmstar", "mmstar"),
    ("mmvet", "mmvet"),
    ("mme", "mme"),
    // VLMEvalKit's name of the file.
    ("llavabench", "llavaw"),
    ("llavaw", "llavaw"),
    ("mathvista", "mathvista"),
    ("scienceqa", "sqa"),
    ("sqa", "sqa"),
    ("chartqa", "chartqa"),
    ("ai2d", "ai2d"),
    ("caltech", CLASSIFICATION),
    ("cifar", CLASSIFICATION),
    ("food", CLASSIFICATION),
    ("pets", CLASSIFICATION),
    ("eurosat", CLASSIFICATION),
    ("aircraft", CLASSIFICATION),
    ("country211", CLASSIFICATION),
];
/// The data of the alignment.
const TEXTS: &str = "docci";
/// Endings of files that are read.
const ENDINGS: [&str; 4] = ["tsv", "csv", "jsonl", "parquet"];
/// Pictures and texts that the alignment compares unless --limit says otherwise.
const ALIGNED_ITEMS: usize = 1024;

/// Flags of `paper`.
#[derive(Debug, Args)]
pub(super) struct Paper {
    /// Folder of tables (.tsv, .csv, .parquet) and manifests (.jsonl), which are recognised by the
    /// beginning of their names, as in VLMEvalKit: MMVP, Q-Bench, MME, MMStar, MMVet, LLaVABench,
    /// MathVista, ScienceQA, ChartQA, AI2D; Caltech, CIFAR, Food, Pets, Country211, EuroSAT,
    /// Aircraft (classes); DOCCI (texts). Without it everything runs on the items of `shapes`
    #[arg(long)]
    data: Option<PathBuf>,
    /// Folder to write report.html (everything on one page), report.md, Table 1 (table1.html, .md,
    /// .tex, .csv), and a folder for each experiment and benchmark, to. A run that finds its results
    /// there continues where it ended
    #[arg(long, default_value = "paper")]
    report: PathBuf,
    #[command(flatten)]
    clip: ClipArgs,
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
    /// Print what ran as JSON, an object for each experiment, in place of the reports' names
    #[arg(long, conflicts_with = "estimate")]
    json: bool,
    /// Ask nothing, and print what would be asked of a model with this many layers in its language
    /// model and vision tower, a JSON object a line; for programs that ask it themselves. With
    /// their results in the --report folder this command only writes the reports
    #[arg(long, value_name = "LAYERS,LAYERS", value_parser = layers, conflicts_with = "shard")]
    plan: Option<Layers>,
}

fn layers(text: &str) -> Result<Layers, String> {
    let parts = text.split_once(',').map(|(a, b)| (a.parse(), b.parse()));
    match parts {
        Some((Ok(decoder), Ok(tower))) => Ok(Layers::of(decoder, tower)),
        _ => Err("two numbers are needed, such as 32,24".into()),
    }
}

/// One step of the paper.
enum Step {
    Experiment {
        experiment: Box<Experiment>,
        rule: String,
        data: Option<PathBuf>,
    },
    Classification(PathBuf),
    Alignment(Option<PathBuf>),
}

impl Step {
    fn experiment(&self) -> Option<&Experiment> {
        match self {
            Self::Experiment { experiment, .. } => Some(experiment),
            Self::Classification(_) | Self::Alignment(_) => None,
        }
    }

    fn title(&self) -> &str {
        match self {
            Self::Experiment { experiment, .. } => &experiment.title,
            Self::Classification(_) => "Zero-shot classification",
            Self::Alignment(_) => "Alignment of pictures and texts",
        }
    }

    /// Returns the data's name, and the folder of the step's report.
    fn names(&self) -> (String, PathBuf) {
        let (what, on) = match self {
            Self::Experiment {
                experiment,
                rule,
                data,
            } => (
                experiment.name.as_str(),
                data.as_deref().map_or(rule.clone(), stem),
            ),
            Self::Classification(path) => (CLASSIFICATION, stem(path)),
            Self::Alignment(path) => ("alignment", path.as_deref().map_or(SHAPES.into(), stem)),
        };
        let folder = Path::new(what).join(&on);
        (on, folder)
    }

    /// Tells whether a judge could give verdicts.
    fn can_be_judged(&self) -> bool {
        match self {
            Self::Experiment { rule: name, .. } => {
                rule(name).is_some_and(|rule| rule.judge_prompt.is_some())
            }
            Self::Classification(_) => true,
            Self::Alignment(_) => false,
        }
    }
}

/// Returns a file's name without its ending.
fn stem(path: &Path) -> String {
    path.file_stem()
        .map_or_else(String::new, |s| s.to_string_lossy().into_owned())
}

impl Paper {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.clip.check()?;
        let steps = self.steps()?;
        self.check(&steps)?;
        // Without a model: what is asked depends on its layers alone, which the flag says.
        if let Some(layers) = self.plan {
            return steps
                .iter()
                .try_for_each(|step| self.print_plan(step, layers));
        }
        let BenchmarkArgs { model, judge, .. } = &self.args;
        model
            .with_judged_client(judge, async |client| {
                Box::pin(self.run_all(&client, &steps)).await
            })
            .await
    }

    /// Lists everything that the data allows, in the order of the paper.
    fn steps(&self) -> Result<Vec<Step>, Failure> {
        let mut known = experiments()?;
        // Others than the paper's are for `experiment`.
        known.retain(|experiment| !experiment.section.is_empty());
        let Some(folder) = &self.data else {
            let mut steps: Vec<Step> = known
                .into_iter()
                .map(|experiment| Step::Experiment {
                    experiment: Box::new(experiment),
                    rule: SHAPES.into(),
                    data: None,
                })
                .collect();
            steps.push(Step::Alignment(None));
            return Ok(steps);
        };
        let files = recognised_files(folder)?;
        let mut steps = Vec::new();
        for experiment in &known {
            let own = files
                .iter()
                // An experiment that lists no benchmark wants all; these two have steps of their
                // own.
                .filter(|(what, _)| *what != CLASSIFICATION && *what != TEXTS)
                .filter(|(what, _)| experiment.wants(what));
            steps.extend(own.map(|(rule, path)| Step::Experiment {
                experiment: Box::new(experiment.clone()),
                rule: (*rule).to_owned(),
                data: Some(path.clone()),
            }));
        }
        for (what, path) in &files {
            if *what == CLASSIFICATION {
                steps.push(Step::Classification(path.clone()));
            }
        }
        for (what, path) in files {
            if what == TEXTS {
                steps.push(Step::Alignment(Some(path)));
            }
        }
        if steps.is_empty() {
            return Err(format!(
                "--data {}: no file whose name begins like a benchmark's",
                folder.display()
            )
            .into());
        }
        Ok(steps)
    }

    /// Refuses flags that nothing of the data would use.
    fn check(&self, steps: &[Step]) -> Result<(), Failure> {
        if let Some(folder) = &self.substitutes {
            let mut experiments = steps.iter().filter_map(Step::experiment);
            if !experiments.any(|e| e.shows(FOLDER)) {
                let message =
                    "--substitutes: nothing here shows them; `blind` does, on MMVP and MathVista";
                return Err(Usage(message.into()).into());
            }
            if !folder.is_dir() {
                return Err(format!("--substitutes {}: not a folder", folder.display()).into());
            }
        }
        // A judge of the environment is for every command that needs one.
        let from_environment = std::env::var_os("SCOTOMA_JUDGE").is_some_and(|v| !v.is_empty());
        let judged = steps.iter().any(Step::can_be_judged);
        if self.args.judge.is_set() && !from_environment && !judged {
            return Err(Usage("--judge: nothing of the data asks a judge".into()).into());
        }
        let has_classes = steps.iter().any(|t| matches!(t, Step::Classification(_)));
        if self.clip.is_set() && !has_classes {
            let message = "--clip: the data has no classes; Caltech, CIFAR, Food, ... have";
            return Err(Usage(message.into()).into());
        }
        Ok(())
    }

    /// Returns a benchmark of the data, asked as the flags say.
    fn benchmark(&self, rule: &str, data: Option<PathBuf>, estimate: bool) -> BenchmarkRun {
        BenchmarkRun {
            rule: rule.into(),
            data,
            args: self.args.clone(),
            scoring: self.scoring.scoring,
            substitutes: self.substitutes.clone(),
            estimate,
            shard: self.shard.shard,
        }
    }

    /// Prints what a step asks, a line for each file of results.
    fn print_plan(&self, step: &Step, layers: Layers) -> Result<(), Failure> {
        let (data, runs) = match step {
            Step::Experiment {
                experiment,
                rule,
                data,
            } => {
                let benchmark = self.benchmark(rule, data.clone(), false);
                let (header, _) = experiment::plan(&benchmark, experiment, layers)?;
                (data.as_ref(), vec![(header, RESULTS.to_owned())])
            }
            Step::Classification(data) => {
                let benchmark = self.benchmark(CLASSIFICATION, Some(data.clone()), false);
                (
                    Some(data),
                    classify::plan(&benchmark, self.args.judge.is_set()),
                )
            }
            // Activations are compared, and no questions asked.
            Step::Alignment(_) => return Ok(()),
        };
        let (on, folder) = step.names();
        for (header, file) in runs {
            let line = json!({
                "title": step.title(), "on": on, "data": data, "header": header,
                // Where this command looks for results, when others have asked.
                "results": self.report.join(&folder).join(file),
            });
            println!("{line}");
        }
        Ok(())
    }

    /// Forecasts all steps, then runs them.
    async fn run_all(&self, client: &Client, steps: &[Step]) -> Result<(), Failure> {
        let mut sum = Forecast::default();
        for (i, step) in steps.iter().enumerate() {
            let (on, _) = step.names();
            let (number, all, title) = (i + 1, steps.len(), step.title());
            eprintln!("estimate {number} of {all}: {title} on {on}");
            // All forecasts before the first run: a paper takes days, and its price should be known
            // at once.
            let done = self.run_step(client, step, true).await?;
            sum += done.forecast.unwrap_or_default();
        }
        self.print_forecast(steps.len(), sum);
        if self.estimate {
            return Ok(());
        }
        let mut overview = Overview::new("The experiments of Lee et al. 2024");
        let mut page = None;
        for (i, step) in steps.iter().enumerate() {
            let (on, folder) = step.names();
            eprintln!("{} of {}: {} on {on}", i + 1, steps.len(), step.title());
            let done = self.run_step(client, step, false).await?;
            // The report is of all shards.
            if self.shard.shard.is_some() {
                continue;
            }
            overview.add(
                (step.title(), on.as_str()),
                &folder,
                &done.summary,
                done.parts,
            );
            overview.set_more(write_table_one(&self.report)?);
            // After every step, so that a run that is killed leaves the table of what it finished.
            page = Some(overview.write(&self.report)?);
        }
        if let Some(page) = page.filter(|_| !self.json) {
            println!("{}", self.report.join("report.md").display());
            println!("{}", page.display());
        }
        Ok(())
    }

    fn print_forecast(&self, steps: usize, sum: Forecast) {
        let line = if sum.answers > 0 {
            format!("{steps} experiments: {sum}")
        } else {
            format!(
                "{steps} experiments: nothing is left to ask, all answers are in {}",
                self.report.display()
            )
        };
        // Standard output is JSON's alone.
        if self.json {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }

    async fn run_step(
        &self,
        client: &Client,
        step: &Step,
        estimate: bool,
    ) -> Result<ExperimentDone, Failure> {
        let folder = self.report.join(step.names().1);
        let client = client.clone();
        match step {
            Step::Experiment {
                experiment,
                rule,
                data,
            } => {
                let benchmark = self.benchmark(rule, data.clone(), estimate);
                run_experiment(&benchmark, client, experiment, &folder, self.json).await
            }
            Step::Classification(data) => {
                let benchmark = self.benchmark(CLASSIFICATION, Some(data.clone()), estimate);
                classify(&benchmark, &self.clip, client, &folder, self.json).await
            }
            // One pass over at most 1,024 pictures and texts costs as much as as many questions; it
            // is not parted.
            Step::Alignment(_) if estimate || self.shard.shard.is_some() => {
                Ok(ExperimentDone::without_report(None))
            }
            Step::Alignment(data) => {
                let limit = match self.args.limit {
                    0 => ALIGNED_ITEMS,
                    limit => limit,
                };
                let model = self.args.model.name();
                let device = self.args.model.device()?;
                let (args, client) = (AlignmentArgs::default(), (client, model.as_str()));
                let run = args.run(data.as_deref(), limit, client, device, &folder, self.json);
                Box::pin(run).await
            }
        }
    }
}

/// Lists the files of a folder with the benchmarks that their names begin with; others are
/// reported.
fn recognised_files(folder: &Path) -> Result<Vec<(&'static str, PathBuf)>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|e| format!("--data {}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|path| {
        let ending = path.extension().and_then(|e| e.to_str());
        ending.is_some_and(|e| ENDINGS.contains(&e))
    });
    // The order of a folder's files is the file system's; steps should be the same in every run.
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let name = stem(&path).to_lowercase();
        let mut known = FILES.iter().chain([&(TEXTS, TEXTS)]);
        match known.find(|(start, _)| is_of(&name, start)) {
            Some((_, what)) => found.push((*what, path)),
            None => eprintln!("{}: left out; its name says no benchmark", path.display()),
        }
    }
    Ok(found)
}

/// Words behind a benchmark's name that make another benchmark's of it.
const OTHERS: [&str; 13] = [
    "cot",
    "hard",
    "plus",
    "pro",
    "realworld",
    "reasoning",
    "sci",
    "unify",
    "v2",
    "video",
    "videoocr",
    "wilder",
    "world",
];

/// Tells whether a file's name, in lower case, begins with that of a benchmark. Spellings differ:
/// Q-Bench, QBench, MM_Vet. Splits may follow (`_VAL`), but neither further letters nor the word
/// of another benchmark: MME-RealWorld is none of MME.
fn is_of(name: &str, start: &str) -> bool {
    let is_joint = |c: char| c == '-' || c == '_';
    let mut rest = name;
    for letter in start.chars() {
        match rest.trim_start_matches(is_joint).strip_prefix(letter) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    let mut words = rest.split(|c: char| !c.is_ascii_alphanumeric());
    !rest.starts_with(|c: char| c.is_ascii_alphabetic()) && !words.any(|w| OTHERS.contains(&w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_the_beginnings_of_their_names() {
        let found = |name: &str| {
            let name = name.to_lowercase();
            let known = FILES.iter().find(|(start, _)| is_of(&name, start));
            known.map(|(_, what)| *what)
        };
        for (name, what) in [
            ("MMVP", "mmvp"),
            ("Q-Bench1_VAL", "qbench"),
            ("MME", "mme"),
            ("MM_Vet", "mmvet"),
            ("LLaVABench", "llavaw"),
            ("MathVista_MINI", "mathvista"),
            ("ScienceQA_TEST", "sqa"),
            ("ChartQA_TEST", "chartqa"),
            ("AI2D_TEST_NO_MASK", "ai2d"),
            ("cifar10-sample", CLASSIFICATION),
        ] {
            assert_eq!(found(name), Some(what), "{name}");
        }
        for other in [
            "MME-RealWorld",
            "MME-RealWorld-CN",
            "MMVet_v2",
            "ChartQAPro",
            "Q-Bench_Video",
            "foodie",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
