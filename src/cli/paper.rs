//! `scotoma paper`: every experiment on whatever data there is.

use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::Client;

use super::alignment::Compared;
use super::classify::{Baseline, classify};
use super::eval::{Answered, Benchmark, Common, Forecast};
use super::experiment::{Ran, one, write};
use super::served::stop;
use super::{Failure, Usage};
use crate::benchmark::experiments::{Experiment, experiments};
use crate::benchmark::rule;
use crate::benchmark::substitute::FOLDER;
use crate::model::SHAPES;

/// What files are called, by the beginning of their name in small letters without `-` and `_`, and
/// what they are.
const FILES: [(&str, &str); 19] = [
    ("mmvp", "mmvp"),
    ("qbench", "qbench"),
    ("mmstar", "mmstar"),
    ("mmvet", "mmvet"),
    ("mme", "mme"),
    ("llavabench", "llavaw"),
    ("llavaw", "llavaw"),
    ("mathvista", "mathvista"),
    ("scienceqa", "sqa"),
    ("sqa", "sqa"),
    ("chartqa", "chartqa"),
    ("ai2d", "ai2d"),
    ("caltech", CLASSES),
    ("cifar", CLASSES),
    ("food", CLASSES),
    ("pets", CLASSES),
    ("eurosat", CLASSES),
    ("aircraft", CLASSES),
    ("country211", CLASSES),
];
const CLASSES: &str = "classification";
const TEXTS: &str = "docci";

/// Flags of `paper`.
#[derive(Debug, Args)]
pub(super) struct Paper {
    /// A folder of tables (.tsv, .csv, .parquet) and manifests (.jsonl), which are known by the
    /// beginning of their names, as VLMEvalKit calls them: MMVP, Q-Bench, MME, MMStar, MMVet,
    /// LLaVABench, MathVista, ScienceQA, ChartQA, AI2D; Caltech, CIFAR, Food, Pets, Country211,
    /// EuroSAT, Aircraft (classes); DOCCI (texts). Without it everything runs on the items of
    /// `shapes`
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where report.md, and a folder for each experiment and benchmark, go. A run that finds its
    /// results there goes on where it ended
    #[arg(long, default_value = "paper")]
    report: PathBuf,
    #[command(flatten)]
    baseline: Baseline,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    answered: Answered,
    /// A folder of other pictures, INDEX.png, .jpg or .webp, for variants that show them in place
    /// of an item's own
    #[arg(long, value_name = "FOLDER")]
    substitutes: Option<PathBuf>,
    /// Ask the first items only, and say what all of them would cost and take; the run that follows
    /// goes on from there
    #[arg(long)]
    estimate: bool,
    /// Print what ran as JSON, an object for each experiment, in place of the reports' names
    #[arg(long, conflicts_with = "estimate")]
    json: bool,
}

/// One thing to run.
enum Task {
    Experiment {
        experiment: Box<Experiment>,
        rule: String,
        data: Option<PathBuf>,
    },
    Classes(PathBuf),
    Texts(Option<PathBuf>),
}

impl Task {
    fn experiment(&self) -> Option<&Experiment> {
        match self {
            Self::Experiment { experiment, .. } => Some(experiment),
            Self::Classes(_) | Self::Texts(_) => None,
        }
    }

    fn title(&self) -> &str {
        match self {
            Self::Experiment { experiment, .. } => &experiment.title,
            Self::Classes(_) => "Zero-shot classification",
            Self::Texts(_) => "Alignment of pictures and texts",
        }
    }

    /// What it is on, and the folder of its report.
    fn names(&self) -> (String, PathBuf) {
        let stem = |path: &Path| {
            path.file_stem()
                .map_or_else(String::new, |s| s.to_string_lossy().into_owned())
        };
        let (what, on) = match self {
            Self::Experiment {
                experiment,
                rule,
                data,
            } => (
                experiment.name.as_str(),
                data.as_deref().map_or(rule.clone(), stem),
            ),
            Self::Classes(path) => (CLASSES, stem(path)),
            Self::Texts(path) => ("alignment", path.as_deref().map_or(SHAPES.into(), stem)),
        };
        let folder = Path::new(what).join(&on);
        (on, folder)
    }
}

impl Paper {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.baseline.check()?;
        let tasks = self.tasks()?;
        self.check(&tasks)?;
        let (local, client) = self.common.served.connect_with(&self.common.judge).await?;
        let done = self.all(&client, &tasks).await;
        stop(local).await?;
        done
    }

    /// Everything that the data allows, in the order of the paper.
    fn tasks(&self) -> Result<Vec<Task>, Failure> {
        let known = experiments()?;
        let experiment = |e: &Experiment, rule: &str, data: Option<&PathBuf>| Task::Experiment {
            experiment: Box::new(e.clone()),
            rule: rule.into(),
            data: data.cloned(),
        };
        let Some(folder) = &self.data else {
            let mut tasks: Vec<Task> = known.iter().map(|e| experiment(e, SHAPES, None)).collect();
            tasks.push(Task::Texts(None));
            return Ok(tasks);
        };
        let entries =
            std::fs::read_dir(folder).map_err(|e| format!("--data {}: {e}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        files.retain(|p| {
            p.extension().is_some_and(|e| {
                ["tsv", "csv", "jsonl", "parquet"]
                    .iter()
                    .any(|known| e == *known)
            })
        });
        files.sort();
        let mut found: Vec<(&str, &PathBuf)> = Vec::new();
        for path in &files {
            let name = path
                .file_stem()
                .map_or_else(String::new, |s| s.to_string_lossy().to_lowercase());
            let name = name.replace(['-', '_'], "");
            match FILES
                .iter()
                .chain([&(TEXTS, TEXTS)])
                .find(|(start, _)| name.starts_with(start))
            {
                Some((_, what)) => found.push((what, path)),
                None => eprintln!("{}: left out; its name says no benchmark", path.display()),
            }
        }
        let mut tasks = Vec::new();
        for e in &known {
            let wanted =
                |rule: &str| e.benchmarks.is_empty() || e.benchmarks.iter().any(|b| b == rule);
            let own = found
                .iter()
                .filter(|(what, _)| *what != CLASSES && *what != TEXTS && wanted(what));
            tasks.extend(own.map(|(rule, path)| experiment(e, rule, Some(path))));
        }
        tasks.extend(
            found
                .iter()
                .filter(|(what, _)| *what == CLASSES)
                .map(|(_, path)| Task::Classes((*path).clone())),
        );
        tasks.extend(
            found
                .iter()
                .filter(|(what, _)| *what == TEXTS)
                .map(|(_, p)| Task::Texts(Some((*p).clone()))),
        );
        if tasks.is_empty() {
            return Err(format!(
                "--data {}: no file whose name says a benchmark",
                folder.display()
            )
            .into());
        }
        Ok(tasks)
    }

    /// Refuses flags that nothing of the data would use.
    fn check(&self, tasks: &[Task]) -> Result<(), Failure> {
        let experiments = || tasks.iter().filter_map(Task::experiment);
        if let Some(folder) = &self.substitutes {
            if !experiments().any(|e| e.shows(FOLDER)) {
                let message =
                    "--substitutes: nothing here shows them; `blind` does, on MMVP and MathVista";
                return Err(Usage(message.into()).into());
            }
            if !folder.is_dir() {
                return Err(format!("--substitutes {}: it is no folder", folder.display()).into());
            }
        }
        let judged = |task: &Task| match task {
            Task::Experiment { rule: name, .. } => {
                rule(name).is_some_and(|rule| rule.task.is_some())
            }
            Task::Classes(_) => true,
            Task::Texts(_) => false,
        };
        // The environment's judge is for whatever needs one.
        let from_environment = std::env::var_os("SCOTOMA_JUDGE").is_some();
        if self.common.judge.is_there() && !from_environment && !tasks.iter().any(judged) {
            return Err(Usage("--judge: nothing of the data asks a judge".into()).into());
        }
        let has_classes = tasks.iter().any(|t| matches!(t, Task::Classes(_)));
        if self.baseline.is_asked() && !has_classes {
            return Err(Usage(
                "--clip: the data has no classes; Caltech, CIFAR, Food, ... have".into(),
            )
            .into());
        }
        Ok(())
    }

    /// A benchmark of the data as the flags have it asked.
    fn benchmark(&self, rule: &str, data: Option<PathBuf>, estimate: bool) -> Benchmark {
        let (by, common, substitutes) = (
            self.answered.by,
            self.common.clone(),
            self.substitutes.clone(),
        );
        Benchmark {
            rule: rule.into(),
            data,
            common,
            by,
            substitutes,
            estimate,
        }
    }

    async fn all(&self, client: &Client, tasks: &[Task]) -> Result<(), Failure> {
        let mut sum = Forecast::default();
        for (i, task) in tasks.iter().enumerate() {
            let (on, _) = task.names();
            eprintln!(
                "estimate {} of {}: {} on {on}",
                i + 1,
                tasks.len(),
                task.title()
            );
            let part = self
                .one(client, task, true)
                .await?
                .forecast
                .unwrap_or_default();
            sum.answers += part.answers;
            sum.flops += part.flops;
            sum.seconds += part.seconds;
        }
        let line = if sum.answers > 0 {
            format!("{} experiments: {sum}", tasks.len())
        } else {
            format!(
                "{} experiments: nothing is left to ask, all answers are in {}",
                tasks.len(),
                self.report.display()
            )
        };
        // Standard output is JSON's alone.
        if self.json {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
        if self.estimate {
            return Ok(());
        }
        let heads = "| experiment | on | answers | unchanged | lowest | highest |\n|---|---|---|---|---|---|\n";
        let mut page = format!("# The experiments of Lee et al. 2024\n\n{heads}");
        for (i, task) in tasks.iter().enumerate() {
            let (on, folder) = task.names();
            eprintln!("{} of {}: {} on {on}", i + 1, tasks.len(), task.title());
            let line = self.one(client, task, false).await?.line.join(" | ");
            let row = format!(
                "| [{}]({}/report.md) | {on} | {line} |\n",
                task.title(),
                folder.display()
            );
            page.push_str(&row);
            write(&self.report, "report.md", page.as_bytes())?;
        }
        if !self.json {
            println!("{}", self.report.join("report.md").display());
        }
        Ok(())
    }

    async fn one(&self, client: &Client, task: &Task, estimate: bool) -> Result<Ran, Failure> {
        let folder = self.report.join(task.names().1);
        match task {
            Task::Experiment {
                experiment,
                rule,
                data,
            } => {
                let benchmark = self.benchmark(rule, data.clone(), estimate);
                one(&benchmark, client.clone(), experiment, &folder, self.json).await
            }
            Task::Classes(data) => {
                let benchmark = self.benchmark("classification", Some(data.clone()), estimate);
                classify(
                    &benchmark,
                    &self.baseline,
                    client.clone(),
                    &folder,
                    self.json,
                )
                .await
            }
            // A pass over at most 1,024 pictures and texts, whose cost is that of as many
            // questions.
            Task::Texts(_) if estimate => Ok(Ran {
                line: Vec::new(),
                forecast: None,
            }),
            Task::Texts(data) => {
                let limit = if self.common.limit > 0 {
                    self.common.limit
                } else {
                    1024
                };
                let model = self.common.served.name();
                let best = Compared::default()
                    .run(data.as_deref(), limit, client.clone(), &model, &folder)
                    .await?;
                let line = [String::new(), best, String::new(), String::new()].to_vec();
                Ok(Ran {
                    line,
                    forecast: None,
                })
            }
        }
    }
}
