//! `scotoma experiment`: a benchmark under the variants of an experiment, and the report of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::{BenchmarkMetric, Comparison, EvaluateVariant};
use scotoma_client::{Client, Intervention};

use super::Failure;
use super::eval::{Eval, Evaluated};
use super::flags::from_json;
use crate::api::v1;
use crate::benchmark::experiment::{Experiment, Planned, experiment, experiments};
use crate::benchmark::report::{Cell, Paired, Report};
use crate::telemetry;

/// Every experiment inside the program.
const ALL: &str = "all";

/// Flags of `experiment`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// An experiment, permutation for instance, a file that describes one, or `all`; `scotoma experiment list shapes` prints them
    experiment: String,
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
        let chosen: Vec<(Experiment, PathBuf)> = if self.experiment == ALL {
            known.into_iter().map(|e| (e.clone(), folder.join(&e.name))).collect()
        } else {
            vec![(self.chosen(&known)?, folder.clone())]
        };
        let (local, client) = self.eval.connect().await?;
        let mut found = Vec::new();
        for (experiment, own) in &chosen {
            match self.one(client.clone(), experiment, own).await {
                Ok(line) => found.push(format!("| [{}]({}/report.md) | {line} |", experiment.title, experiment.name)),
                Err(error) => {
                    if let Some(local) = local {
                        local.stop().await?;
                    }
                    return Err(error);
                }
            }
        }
        if let Some(local) = local {
            local.stop().await?;
        }
        if self.experiment == ALL {
            let heads = "| experiment | answers | unchanged | lowest | highest |\n|---|---|---|---|---|";
            let index = format!("# All experiments on {}\n\n{heads}\n{}\n", self.eval.rule(), found.join("\n"));
            write(&folder, "report.md", &index)?;
            println!("{}", folder.join("report.md").display());
        }
        Ok(())
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

    /// Runs one experiment and writes its report to `folder`; a line about it for the table of all.
    async fn one(&self, mut client: Client, experiment: &Experiment, folder: &Path) -> Result<String, Failure> {
        let mut header = self.eval.header();
        let info = client.get_model(&header.model).await?;
        let language = info.language_model.as_ref().map_or(0, |l| l.layers as usize);
        let tower = info.vision_tower.as_ref().map_or(0, |t| t.layers as usize);
        let planned = experiment.plan((language, tower))?;
        header.variants = planned.iter().map(variant).collect::<Result<_, _>>()?;
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        eprintln!("{}: every item {} times, by {}", experiment.title, planned.len(), info.name);
        let results = folder.join("results.jsonl");
        let Evaluated { started, finished, skipped } =
            self.eval.ask(client, header, self.eval.rows()?, Some(&results)).await?;
        let cells: Vec<Cell> = finished.metrics.iter().map(cell).collect();
        let paired: Vec<Paired> = finished.comparisons.iter().map(pair).collect();
        let facts = [
            ("model", format!("{} ({}, {} on {})", info.name, info.family, info.dtype, info.device)),
            ("model digest", started.model_digest.clone()),
            ("rule", started.rule.clone()),
            ("server", format!("scotoma {}", telemetry::VERSION)),
            ("answers", format!("{}, {} of them errors; {skipped} rows left out", finished.results, finished.failed)),
            ("variants", planned.len().to_string()),
        ];
        let facts: Vec<(String, String)> = facts.map(|(name, value)| (name.to_owned(), value)).into();
        let report = Report { experiment, planned: &planned, cells: &cells, paired: &paired, facts: &facts };
        let provenance = serde_json::json!({
            "experiment": experiment,
            "facts": facts.iter().cloned().collect::<BTreeMap<_, _>>(),
            "variants": planned.iter().map(|p| (p.name.clone(), &p.interventions)).collect::<BTreeMap<_, _>>(),
            "max_tokens": started.header.unwrap_or_default().max_tokens,
        });
        write(folder, "report.html", &report.html())?;
        write(folder, "report.md", &report.markdown())?;
        write(folder, &format!("{}.svg", experiment.name), &report.svg())?;
        write(folder, "provenance.json", &serde_json::to_string_pretty(&provenance)?)?;
        if self.eval.json() {
            println!("{}", serde_json::to_string_pretty(&provenance)?);
        } else {
            println!("{}", folder.join("report.html").display());
        }
        let main = cells.first().map(|c| c.name.clone()).unwrap_or_default();
        let own: Vec<&Cell> = cells.iter().filter(|c| c.name == main).collect();
        let shown = |c: &&Cell| {
            format!(
                "{} ({})",
                if c.most <= 1.0 { format!("{:.1} %", 1e2 * c.value) } else { format!("{:.1}", c.value) },
                c.variant
            )
        };
        let others = || own.iter().skip(1);
        let lowest = others().min_by(|a, b| a.value.total_cmp(&b.value)).map(shown).unwrap_or_default();
        let highest = others().max_by(|a, b| a.value.total_cmp(&b.value)).map(shown).unwrap_or_default();
        let first = own.first().map(shown).unwrap_or_default();
        Ok(format!("{} | {first} | {lowest} | {highest}", finished.results))
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()).into())
}

fn variant(planned: &Planned) -> Result<EvaluateVariant, Failure> {
    let one = |value: &serde_json::Value| {
        from_json::<v1::Intervention, Intervention>(&value.to_string()).map_err(|e| format!("{}: {e}", planned.name))
    };
    let interventions = planned.interventions.iter().map(one).collect::<Result<_, _>>()?;
    Ok(EvaluateVariant { name: planned.name.clone(), interventions })
}

fn cell(metric: &BenchmarkMetric) -> Cell {
    Cell {
        variant: metric.variant.clone(),
        name: metric.name.clone(),
        value: metric.value,
        interval: (metric.low, metric.high),
        most: metric.most,
        n: metric.n,
        unparsed: metric.unparsed,
    }
}

fn pair(comparison: &Comparison) -> Paired {
    Paired {
        variant: comparison.variant.clone(),
        n: comparison.n,
        better: comparison.better,
        worse: comparison.worse,
        difference: comparison.difference,
        interval: (comparison.low, comparison.high),
        p: comparison.p,
    }
}
