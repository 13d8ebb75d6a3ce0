//! `scotoma experiment`: a benchmark under the variants of an experiment, and the report of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::image::Source;
use scotoma_client::v1::{self, BenchmarkMetric, EvaluateStarted, Image, ModelInfo};
use scotoma_client::{Client, PreviewRequest};
use serde_json::Value;

use super::eval::{Answered, Benchmark, Common, Evaluated, Forecast, LIST, read_results};
use super::intervention_args::variant;
use super::served::stop;
use super::{Failure, Usage};
use crate::benchmark::experiments::{Experiment, Planned, Plot, experiment, experiments};
use crate::benchmark::report::{Frequencies, Report};
use crate::benchmark::substitute::FOLDER;
use crate::benchmark::{Comparison, Metric, png};
use crate::telemetry;

/// Every experiment inside the program.
const ALL: &str = "all";

/// Flags of `experiment`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// An experiment, permutation for instance, a file that describes one, or `all`;
    /// `scotoma experiment list` prints them
    experiment: String,
    /// Other values for an axis of the experiment, draw=1,2 or geometry=GEOMETRY_LITERAL for
    /// instance. Repeat for several
    #[arg(long, value_name = "AXIS=VALUE,VALUE", value_parser = axis)]
    set: Vec<(String, Vec<Value>)>,
    /// A benchmark, mmvp for instance, or one tool's way of it, sqa/llava; `scotoma eval list`
    /// prints all
    rule: Option<String>,
    /// The questions: VLMEvalKit's table (.tsv) or a manifest (.jsonl). `shapes` needs none
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where the report goes: report.html, report.md, the plot, results.jsonl, provenance.json. A
    /// run that finds its results there goes on where it ended. Default: EXPERIMENT-RULE
    #[arg(long)]
    report: Option<PathBuf>,
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
    /// Print what ran as JSON in place of the report's name
    #[arg(long, conflicts_with = "estimate")]
    json: bool,
}

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let known = experiments()?;
        if self.experiment == LIST {
            for e in known {
                println!("{:<24} {:<5} {}", e.name, e.section, e.title);
            }
            return Ok(());
        }
        let rule = self
            .rule
            .clone()
            .ok_or_else(|| Usage("RULE is needed: a benchmark, `shapes` for instance".into()))?;
        let mut chosen = self.experiments(&known)?;
        set(&mut chosen, &self.set)?;
        let folder = self
            .report
            .clone()
            .unwrap_or_else(|| self.default_report(&chosen, &rule));
        let shown = |e: &Experiment| e.shows(FOLDER);
        if let Some(folder) = &self.substitutes {
            if !chosen.iter().any(shown) {
                let message = format!(
                    "--substitutes: no variant of {} shows them; blind does",
                    self.experiment
                );
                return Err(Usage(message).into());
            }
            if !folder.is_dir() {
                return Err(format!("--substitutes {}: it is no folder", folder.display()).into());
            }
        }
        let benchmark = Benchmark {
            rule,
            data: self.data.clone(),
            common: self.common.clone(),
            by: self.answered.by,
            substitutes: self.substitutes.clone(),
            estimate: self.estimate,
        };
        // Before a model is loaded.
        benchmark.check()?;
        let (local, client) = benchmark.connect().await?;
        let ran = self.all(client, &benchmark, &chosen, &folder).await;
        stop(local).await?;
        let lines = ran?;
        if self.is_all() && !self.estimate {
            let heads =
                "| experiment | answers | unchanged | lowest | highest |\n|---|---|---|---|---|";
            let index = format!(
                "# All experiments on {}\n\n{heads}\n{}\n",
                benchmark.rule,
                lines.join("\n")
            );
            write(&folder, "report.md", index.as_bytes())?;
            if !self.json {
                println!("{}", folder.join("report.md").display());
            }
        }
        Ok(())
    }

    fn is_all(&self) -> bool {
        self.experiment == ALL
    }

    /// Runs what was chosen and returns the lines of the table of all.
    async fn all(
        &self,
        client: Client,
        benchmark: &Benchmark,
        chosen: &[Experiment],
        folder: &Path,
    ) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        for experiment in chosen {
            let folder = if self.is_all() {
                folder.join(&experiment.name)
            } else {
                folder.to_owned()
            };
            let Ran { line, .. } =
                one(benchmark, client.clone(), experiment, &folder, self.json).await?;
            lines.push(format!(
                "| [{}]({}/report.md) | {} |",
                experiment.title,
                experiment.name,
                line.join(" | ")
            ));
        }
        Ok(lines)
    }

    /// Names the folder of the report: what is run, and on what.
    fn default_report(&self, chosen: &[Experiment], rule: &str) -> PathBuf {
        let name = match chosen {
            [one] if !self.is_all() => &one.name,
            _ => ALL,
        };
        format!("{name}-{}", rule.replace('/', "-")).into()
    }

    fn experiments(&self, known: &[Experiment]) -> Result<Vec<Experiment>, Failure> {
        if self.is_all() {
            Ok(known.to_vec())
        } else {
            Ok(vec![self.chosen(known)?])
        }
    }

    fn chosen(&self, known: &[Experiment]) -> Result<Experiment, Failure> {
        if let Some(found) = known.iter().find(|e| e.name == self.experiment) {
            return Ok(found.clone());
        }
        let text = std::fs::read_to_string(&self.experiment).map_err(|e| {
            let names: Vec<&str> = known.iter().map(|e| e.name.as_str()).collect();
            format!(
                "{:?} is no file ({e}) and none of {}",
                self.experiment,
                names.join(", ")
            )
        })?;
        Ok(experiment(&text).map_err(|e| format!("{}: {e}", self.experiment))?)
    }
}

/// Gives axes the values of `--set`; each has to be an axis of an experiment.
fn set(chosen: &mut [Experiment], values: &[(String, Vec<Value>)]) -> Result<(), Failure> {
    for (i, (name, values_of)) in values.iter().enumerate() {
        if values[..i].iter().any(|(other, _)| other == name) {
            return Err(Usage(format!("--set {name}: it is set twice")).into());
        }
        let own = chosen.iter_mut().filter(|e| e.has_axis(name));
        let mut count = 0;
        for experiment in own {
            experiment
                .set(name, values_of)
                .map_err(|e| Usage(format!("--set {name}: {e}")))?;
            count += 1;
        }
        if count == 0 {
            let axes: BTreeSet<&str> = chosen.iter().flat_map(Experiment::axes).collect();
            let axes: Vec<&str> = axes.into_iter().collect();
            let there = if axes.is_empty() {
                "there is none".into()
            } else {
                format!("the axes are {}", axes.join(", "))
            };
            return Err(Usage(format!("--set {name}: no such axis; {there}")).into());
        }
    }
    Ok(())
}

fn axis(text: &str) -> Result<(String, Vec<Value>), String> {
    let (name, values) = text.split_once('=').ok_or("AXIS=VALUE,VALUE is needed")?;
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    Ok((name.into(), values.split(',').map(value).collect()))
}

/// An experiment that was run, or whose first items were.
pub(super) struct Ran {
    /// For the table of all: answers, and the first, lowest and highest values.
    pub(super) line: Vec<String>,
    pub(super) forecast: Option<Forecast>,
}

/// Runs one experiment and writes its report to `folder`, unless only its cost is asked for.
pub(super) async fn one(
    benchmark: &Benchmark,
    mut client: Client,
    experiment: &Experiment,
    folder: &Path,
    json: bool,
) -> Result<Ran, Failure> {
    let mut header = benchmark.header();
    let info = client.get_model(&header.model).await?;
    let language = info
        .language_model
        .as_ref()
        .map_or(0, |l| l.layers as usize);
    let tower = info.vision_tower.as_ref().map_or(0, |t| t.layers as usize);
    let planned = experiment.plan((language, tower), benchmark.substitutes.is_some())?;
    let left_out = left_out(experiment, benchmark);
    if !left_out.is_empty() {
        eprintln!("{}: left out: {left_out}", experiment.title);
    }
    header.variants = planned
        .iter()
        .map(|p| variant(&p.name, &p.pictures, &p.interventions))
        .collect::<Result<_, _>>()?;
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    eprintln!(
        "{}: every item {} times, by {}",
        experiment.title,
        planned.len(),
        info.name
    );
    let results = folder.join("results.jsonl");
    let picture = match experiment.plot {
        Plot::Grid => first_picture(benchmark, &mut client, &header.model).await?,
        _ => None,
    };
    let Evaluated {
        started,
        finished,
        skipped,
        forecast,
    } = benchmark
        .ask(
            client,
            header,
            benchmark.rows()?,
            benchmark.count()?,
            Some(&results),
        )
        .await?;
    if benchmark.estimate {
        return Ok(Ran {
            line: Vec::new(),
            forecast,
        });
    }
    let answered = format!(
        "{}, {} of them errors; {skipped} rows left out",
        finished.results, finished.failed
    );
    let mut facts = vec![("answers".to_owned(), answered)];
    if !left_out.is_empty() {
        facts.push(("left out".into(), left_out));
    }
    // How often each answer is given is the question where nothing is seen.
    let answers = match experiment.plot {
        Plot::Bars => read_results(&results)?
            .into_iter()
            .map(|r| (r.variant, r.answer))
            .collect(),
        _ => Vec::new(),
    };
    let found = Found {
        benchmark: started
            .rule
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
        planned,
        metrics: finished.metrics.into_iter().map(metric).collect(),
        comparisons: finished.comparisons.into_iter().map(comparison).collect(),
        answers,
        facts,
        picture,
    };
    let line = report(experiment, found, &info, &started, folder, json)?;
    Ok(Ran { line, forecast })
}

/// Says which variants do not run because nothing was given that they show.
fn left_out(experiment: &Experiment, benchmark: &Benchmark) -> String {
    if benchmark.substitutes.is_some() || !experiment.shows(FOLDER) {
        return String::new();
    }
    let names = experiment
        .variants
        .iter()
        .filter(|t| t.pictures == FOLDER)
        .map(|t| t.name.as_str());
    format!(
        "{} (needs --substitutes FOLDER)",
        names.collect::<Vec<_>>().join(", ")
    )
}

/// What an experiment came to.
pub(super) struct Found {
    pub(super) benchmark: String,
    pub(super) planned: Vec<Planned>,
    pub(super) metrics: Vec<(String, Metric)>,
    pub(super) comparisons: Vec<(String, Comparison)>,
    /// Variants and answers.
    pub(super) answers: Vec<(String, String)>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) picture: Option<Vec<u8>>,
}

/// Writes the report of `found` to `folder`; what it says in the table of all.
pub(super) fn report(
    experiment: &Experiment,
    found: Found,
    info: &ModelInfo,
    started: &EvaluateStarted,
    folder: &Path,
    json: bool,
) -> Result<Vec<String>, Failure> {
    let Found {
        benchmark,
        planned,
        metrics,
        comparisons,
        answers,
        facts,
        picture,
    } = found;
    let judge = started.judge.clone().unwrap_or_default();
    let ran = [
        (
            "model",
            format!(
                "{} ({}, {} on {})",
                info.name, info.family, info.dtype, info.device
            ),
        ),
        ("model digest", started.model_digest.clone()),
        ("rule", started.rule.clone()),
        (
            "judge",
            if judge.model.is_empty() {
                "none".into()
            } else {
                judge.model.clone()
            },
        ),
        ("server", format!("scotoma {}", telemetry::VERSION)),
        ("variants", planned.len().to_string()),
    ];
    let ran = ran.map(|(name, value)| (name.to_owned(), value));
    let facts: Vec<(String, String)> = ran.into_iter().chain(facts).collect();
    let report = Report {
        experiment,
        benchmark: &benchmark,
        planned: &planned,
        metrics: &metrics,
        comparisons: &comparisons,
        answers: &frequencies(&answers, &planned),
        facts: &facts,
        picture: picture.as_deref(),
    };
    let header = started.header.clone().unwrap_or_default();
    let provenance = serde_json::json!({
        "experiment": experiment,
        "facts": facts.iter().cloned().collect::<BTreeMap<_, _>>(),
        "variants": planned.iter().map(|p| (p.name.clone(), &p.interventions)).collect::<BTreeMap<_, _>>(),
        "max_tokens": header.max_tokens,
        "judge": {"model": judge.model, "prompt": judge.prompt},
    });
    let svg = report.svg();
    write(folder, "report.html", report.html().as_bytes())?;
    write(folder, "report.md", report.markdown().as_bytes())?;
    write(folder, &format!("{}.png", experiment.name), &png(&svg)?)?;
    write(folder, &format!("{}.svg", experiment.name), svg.as_bytes())?;
    write(folder, "metrics.csv", table(&metrics).as_bytes())?;
    write(
        folder,
        "provenance.json",
        serde_json::to_string_pretty(&provenance)?.as_bytes(),
    )?;
    if json {
        println!("{}", serde_json::to_string_pretty(&provenance)?);
    } else {
        println!("{}", folder.join("report.html").display());
    }
    let answers = metrics.first().map_or(0, |(_, m)| m.n) * planned.len();
    Ok(line(&metrics, answers))
}

/// All metrics, for other programs.
fn table(metrics: &[(String, Metric)]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let row = |(variant, m): &(String, Metric)| {
        let (low, high) = m.interval;
        let Metric {
            name,
            value,
            most,
            n,
            unparsed,
            ..
        } = m;
        format!(
            "{},{},{value},{low},{high},{most},{n},{unparsed}\n",
            quoted(variant),
            quoted(name)
        )
    };
    std::iter::once("variant,metric,value,low,high,most,n,unparsed\n".to_owned())
        .chain(metrics.iter().map(row))
        .collect()
}

/// Of the table of all experiments: answers, and the first, lowest and highest values.
fn line(metrics: &[(String, Metric)], answers: usize) -> Vec<String> {
    let main = metrics
        .first()
        .map(|(_, m)| m.name.clone())
        .unwrap_or_default();
    let own: Vec<&(String, Metric)> = metrics.iter().filter(|(_, m)| m.name == main).collect();
    let shown = |(variant, m): &&(String, Metric)| {
        let value = if m.most <= 1.0 {
            format!("{:.1} %", 1e2 * m.value)
        } else {
            format!("{:.1}", m.value)
        };
        format!("{value} ({variant})")
    };
    let others = || own.iter().skip(1);
    let lowest = others()
        .min_by(|a, b| a.1.value.total_cmp(&b.1.value))
        .map(shown);
    let highest = others()
        .max_by(|a, b| a.1.value.total_cmp(&b.1.value))
        .map(shown);
    let values = [own.first().map(shown), lowest, highest].map(Option::unwrap_or_default);
    std::iter::once(answers.to_string()).chain(values).collect()
}

/// The picture of the first item that has one, as the model sees it.
async fn first_picture(
    benchmark: &Benchmark,
    client: &mut Client,
    model: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(data) = benchmark
        .rows()?
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

/// Of each variant the eight most frequent answers, and how many there are.
fn frequencies(answers: &[(String, String)], planned: &[Planned]) -> Vec<Frequencies> {
    let mut counts: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for (variant, answer) in answers {
        let answer: String = answer.chars().take(40).collect();
        *counts
            .entry(variant)
            .or_default()
            .entry(answer)
            .or_default() += 1;
    }
    let of = |planned: &Planned| {
        let mut most: Vec<(String, usize)> =
            counts.remove(planned.name.as_str())?.into_iter().collect();
        let all = most.iter().map(|(_, n)| n).sum();
        most.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        most.truncate(8);
        Some(Frequencies {
            variant: planned.name.clone(),
            most,
            all,
        })
    };
    planned.iter().filter_map(of).collect()
}

pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|e| format!("{}: {e}", path.display()).into())
}

fn metric(m: BenchmarkMetric) -> (String, Metric) {
    let (interval, n, unparsed) = ((m.low, m.high), m.n as usize, m.unparsed as usize);
    (
        m.variant,
        Metric {
            name: m.name,
            value: m.value,
            interval,
            most: m.most,
            n,
            unparsed,
        },
    )
}

fn comparison(c: v1::Comparison) -> (String, Comparison) {
    let (n, better, worse) = (c.n as usize, c.better as usize, c.worse as usize);
    (
        c.variant,
        Comparison {
            n,
            better,
            worse,
            difference: c.difference,
            interval: (c.low, c.high),
            p: c.p,
        },
    )
}
