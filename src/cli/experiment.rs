//! `scotoma experiment`: a benchmark under the variants of an experiment, and the report of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::image::Source;
use scotoma_client::v1::{self, BenchmarkMetric, Image};
use scotoma_client::{Client, PreviewRequest};
use serde_json::Value;

use super::Failure;
use super::eval::{Eval, Evaluated, read_results};
use super::flags::variant;
use crate::benchmark::experiment::{Experiment, Planned, Plot, experiment, experiments};
use crate::benchmark::report::Report;
use crate::benchmark::{Comparison, Metric, png};
use crate::telemetry;

/// Every experiment inside the program.
const ALL: &str = "all";

/// Flags of `experiment`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// An experiment, permutation for instance, a file that describes one, or `all`; `scotoma experiment list shapes` prints them
    experiment: String,
    /// Other values for an axis of the experiment, draw=1,2 or geometry=GEOMETRY_LITERAL for instance. Repeat for several
    #[arg(long, value_name = "AXIS=VALUE,VALUE", value_parser = axis)]
    set: Vec<(String, Vec<Value>)>,
    #[command(flatten)]
    eval: Eval,
    /// Where the report goes: report.html, report.md, the plot, results.jsonl, provenance.json. A run that finds its results there goes
    /// on where it ended. Default: EXPERIMENT-RULE
    #[arg(long)]
    report: Option<PathBuf>,
}

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let known = experiments()?;
        if self.experiment == "list" {
            for e in known {
                println!("{:<24} {:<5} {}", e.name, e.section, e.title);
            }
            return Ok(());
        }
        let rule = self.eval.rule().replace('/', "-");
        let folder = self.report.clone().unwrap_or_else(|| format!("{}-{rule}", self.experiment).into());
        let mut chosen: Vec<(Experiment, PathBuf)> = if self.experiment == ALL {
            known.into_iter().map(|e| (e.clone(), folder.join(&e.name))).collect()
        } else {
            vec![(self.chosen(&known)?, folder.clone())]
        };
        for (name, values) in &self.set {
            let set: Vec<Result<(), String>> = chosen.iter_mut().map(|(e, _)| e.set(name, values)).collect();
            if set.iter().all(Result::is_err) {
                set.into_iter().collect::<Result<(), String>>()?;
            }
        }
        let (local, client) = self.eval.connect().await?;
        let ran = self.all(client, &chosen).await;
        if let Some(local) = local {
            local.stop().await?;
        }
        let lines = ran?;
        if self.experiment == ALL && !self.eval.is_estimate() {
            let heads = "| experiment | answers | unchanged | lowest | highest |\n|---|---|---|---|---|";
            let index = format!("# All experiments on {}\n\n{heads}\n{}\n", self.eval.rule(), lines.join("\n"));
            write(&folder, "report.md", index.as_bytes())?;
            println!("{}", folder.join("report.md").display());
        }
        Ok(())
    }

    /// Lines of the table of all.
    async fn all(&self, client: Client, chosen: &[(Experiment, PathBuf)]) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        for (experiment, folder) in chosen {
            let line = one(&self.eval, client.clone(), experiment, folder).await?;
            lines.push(format!("| [{}]({}/report.md) | {} |", experiment.title, experiment.name, line.join(" | ")));
        }
        Ok(lines)
    }

    fn chosen(&self, known: &[Experiment]) -> Result<Experiment, Failure> {
        if let Some(found) = known.iter().find(|e| e.name == self.experiment) {
            return Ok(found.clone());
        }
        let text = std::fs::read_to_string(&self.experiment).map_err(|e| {
            let names: Vec<&str> = known.iter().map(|e| e.name.as_str()).collect();
            format!("{:?} is no file ({e}) and none of {}", self.experiment, names.join(", "))
        })?;
        Ok(experiment(&text)?)
    }
}

fn axis(text: &str) -> Result<(String, Vec<Value>), String> {
    let (name, values) = text.split_once('=').ok_or("AXIS=VALUE,VALUE is needed")?;
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    Ok((name.into(), values.split(',').map(value).collect()))
}

/// Runs one experiment and writes its report to `folder`; a line about it for the table of all.
pub(super) async fn one(
    eval: &Eval,
    mut client: Client,
    experiment: &Experiment,
    folder: &Path,
) -> Result<Vec<String>, Failure> {
    let mut header = eval.header();
    let info = client.get_model(&header.model).await?;
    let language = info.language_model.as_ref().map_or(0, |l| l.layers as usize);
    let tower = info.vision_tower.as_ref().map_or(0, |t| t.layers as usize);
    let planned = experiment.plan((language, tower), eval.has_substitutes())?;
    header.variants =
        planned.iter().map(|p| variant(&p.name, &p.pictures, &p.interventions)).collect::<Result<_, _>>()?;
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    eprintln!("{}: every item {} times, by {}", experiment.title, planned.len(), info.name);
    let results = folder.join("results.jsonl");
    let picture = match experiment.plot {
        Plot::Grid => first_picture(eval, &mut client, &header.model).await?,
        _ => None,
    };
    let Evaluated { started, finished, skipped } =
        eval.ask(client, header, eval.rows()?, eval.count()?, Some(&results)).await?;
    if eval.is_estimate() {
        return Ok(Vec::new());
    }
    let metrics: Vec<(String, Metric)> = finished.metrics.into_iter().map(metric).collect();
    let comparisons: Vec<(String, Comparison)> = finished.comparisons.into_iter().map(comparison).collect();
    let judge = started.judge.clone().unwrap_or_default();
    let facts = [
        ("model", format!("{} ({}, {} on {})", info.name, info.family, info.dtype, info.device)),
        ("model digest", started.model_digest.clone()),
        ("rule", started.rule.clone()),
        ("judge", if judge.model.is_empty() { "none".into() } else { judge.model.clone() }),
        ("server", format!("scotoma {}", telemetry::VERSION)),
        ("answers", format!("{}, {} of them errors; {skipped} rows left out", finished.results, finished.failed)),
        ("variants", planned.len().to_string()),
    ];
    let facts: Vec<(String, String)> = facts.map(|(name, value)| (name.to_owned(), value)).into();
    // How often each answer is given is the question where nothing is seen.
    let answers = if experiment.plot == Plot::Bars { answers(&results, &planned)? } else { Vec::new() };
    let report = Report {
        experiment,
        benchmark: started.rule.split('/').next().unwrap_or_default(),
        planned: &planned,
        metrics: &metrics,
        comparisons: &comparisons,
        answers: &answers,
        facts: &facts,
        picture: picture.as_deref(),
    };
    let provenance = serde_json::json!({
        "experiment": experiment,
        "facts": facts.iter().cloned().collect::<BTreeMap<_, _>>(),
        "variants": planned.iter().map(|p| (p.name.clone(), &p.interventions)).collect::<BTreeMap<_, _>>(),
        "max_tokens": started.header.unwrap_or_default().max_tokens,
        "judge": {"model": judge.model, "prompt": judge.prompt},
    });
    let svg = report.svg();
    write(folder, "report.html", report.html().as_bytes())?;
    write(folder, "report.md", report.markdown().as_bytes())?;
    write(folder, &format!("{}.png", experiment.name), &png(&svg)?)?;
    write(folder, &format!("{}.svg", experiment.name), svg.as_bytes())?;
    write(folder, "provenance.json", serde_json::to_string_pretty(&provenance)?.as_bytes())?;
    if eval.json() {
        println!("{}", serde_json::to_string_pretty(&provenance)?);
    } else {
        println!("{}", folder.join("report.html").display());
    }
    Ok(line(&metrics, finished.results))
}

/// Of the table of all experiments: answers, and the first, lowest and highest values.
fn line(metrics: &[(String, Metric)], answers: u64) -> Vec<String> {
    let main = metrics.first().map(|(_, m)| m.name.clone()).unwrap_or_default();
    let own: Vec<&(String, Metric)> = metrics.iter().filter(|(_, m)| m.name == main).collect();
    let shown = |(variant, m): &&(String, Metric)| {
        let value = if m.most <= 1.0 { format!("{:.1} %", 1e2 * m.value) } else { format!("{:.1}", m.value) };
        format!("{value} ({variant})")
    };
    let others = || own.iter().skip(1);
    let lowest = others().min_by(|a, b| a.1.value.total_cmp(&b.1.value)).map(shown);
    let highest = others().max_by(|a, b| a.1.value.total_cmp(&b.1.value)).map(shown);
    let values = [own.first().map(shown), lowest, highest].map(Option::unwrap_or_default);
    std::iter::once(answers.to_string()).chain(values).collect()
}

/// The picture of the first item that has one, as the model sees it.
async fn first_picture(eval: &Eval, client: &mut Client, model: &str) -> Result<Option<Vec<u8>>, Failure> {
    let Some(data) = eval.rows()?.flatten().find_map(|item| item.images.into_iter().next()) else { return Ok(None) };
    let image = Some(Image { source: Some(Source::Data(data)) });
    let request = PreviewRequest { model: model.into(), image, ..Default::default() };
    Ok(Some(client.preview(request).await?.png))
}

/// Of each variant the eight most frequent answers, and how many there are.
fn answers(results: &Path, planned: &[Planned]) -> Result<Vec<(String, Vec<(String, usize)>, usize)>, Failure> {
    let mut counts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for result in read_results(results)? {
        let answer: String = result.answer.chars().take(40).collect();
        *counts.entry(result.variant).or_default().entry(answer).or_default() += 1;
    }
    let of = |planned: &Planned| {
        let mut own: Vec<(String, usize)> = counts.remove(&planned.name)?.into_iter().collect();
        let all = own.iter().map(|(_, n)| n).sum();
        own.sort_by(|a, b| b.1.cmp(&a.1));
        own.truncate(8);
        Some((planned.name.clone(), own, all))
    };
    Ok(planned.iter().filter_map(of).collect())
}

pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|e| format!("{}: {e}", path.display()).into())
}

fn metric(m: BenchmarkMetric) -> (String, Metric) {
    let (interval, n, unparsed) = ((m.low, m.high), m.n as usize, m.unparsed as usize);
    (m.variant, Metric { name: m.name, value: m.value, interval, most: m.most, n, unparsed })
}

fn comparison(c: v1::Comparison) -> (String, Comparison) {
    let (n, better, worse) = (c.n as usize, c.better as usize, c.worse as usize);
    (c.variant, Comparison { n, better, worse, difference: c.difference, interval: (c.low, c.high), p: c.p })
}
