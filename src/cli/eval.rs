//! `scotoma eval`: a benchmark, with or without interventions, and its metrics.

use std::path::PathBuf;

use clap::Args;
use scotoma_client::Client;
use scotoma_client::v1::{
    BenchmarkMetric, Comparison, EvaluateFinished, EvaluateHeader, EvaluateVariant,
};
use serde_json::{Value, json};

use super::benchmark_args::{BenchmarkArgs, LIST, PRUNING, ScoringArgs};
use super::benchmark_run::{BenchmarkRun, Evaluated, ORIGINAL, value_with_interval};
use super::error::{Failure, Usage};
use super::experiment::layers;
use super::intervention_args::{self, InterventionArgs};
use super::json_output::print_line;
use super::shard_file::ShardArgs;
use crate::benchmark;
use crate::benchmark::pruning::{Layers, POLICIES, pruning};

/// Flags of `eval`.
#[derive(Debug, Args)]
pub(super) struct Eval {
    /// A benchmark, such as mmvp, or one tool's way of it, such as sqa/llava; `scotoma eval list`
    /// prints all
    rule: String,
    /// File of questions: a table (.tsv, .csv, .parquet) or a manifest (.jsonl)
    ///
    /// With the columns of Hugging Face or VLMEvalKit. `shapes` needs none.
    #[arg(long)]
    data: Option<PathBuf>,
    /// One more variant, NAME=INTERVENTIONS, the latter a JSON list
    ///
    /// Such as 'black=[{"blankImage":{"colour":"COLOUR_BLACK"}}]'. Repeat for several; the first
    /// variant has the interventions of the flags below, or none.
    #[arg(long, value_name = "NAME=JSON", value_parser = named_variant)]
    variant: Vec<EvaluateVariant>,
    /// One more variant: a published way of pruning visual tokens, POLICY[:KEPT[:SEED]]
    ///
    /// Such as fastv:0.5; `scotoma eval pruning` prints all. Repeat for several.
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    pruning: Vec<String>,
    /// File to write results to as they come, and to continue from
    ///
    /// One JSON object a line; the run's header goes to OUT.run.json. A run that finds both
    /// continues where it ended, with the same seeds. OUT is locked while a run writes it.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    args: BenchmarkArgs,
    #[command(flatten)]
    scoring: ScoringArgs,
    /// Ask the first items only, and print what all would cost and take
    ///
    /// The next run continues from there.
    #[arg(long)]
    estimate: bool,
    /// Print JSON: `metrics` and `comparisons`; of `list`, one benchmark a line
    #[arg(long, conflicts_with = "estimate")]
    json: bool,
    #[command(flatten)]
    interventions: InterventionArgs,
}

/// Parses `NAME=INTERVENTIONS`.
pub(super) fn named_variant(text: &str) -> Result<EvaluateVariant, String> {
    let (name, json) = text.split_once('=').ok_or("NAME=JSON is needed")?;
    let list: Vec<Value> = serde_json::from_str(json).map_err(|e| e.to_string())?;
    intervention_args::variant(name, "", &list)
}

/// Checks the text of a way of pruning.
fn policy(text: &str) -> Result<String, String> {
    // Those of LLaVA-1.5: how many layers the model has is known once it is loaded.
    pruning(text, Layers::of(32, 23)).map(|_| text.to_owned())
}

impl Eval {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // `usage::check` has refused all other flags of these two.
        if self.rule == PRUNING {
            return self.list_policies();
        }
        if self.rule == LIST {
            for rule in benchmark::RULES {
                if self.json {
                    print_line(&json!({"name": rule.name(), "about": rule.about}))?;
                    continue;
                }
                println!("{:<24} {}", rule.name(), rule.about);
            }
            return Ok(());
        }
        let run = self.benchmark();
        if run.shard.is_some() && self.out.is_none() {
            let message = "--shard: --out FILE is needed, for `scotoma merge`";
            return Err(Usage(message.into()).into());
        }
        run.check()?;
        let (items, count) = (run.items()?, run.count()?);
        let mut header = self.header(&run);
        let out = self.out.as_deref();
        let evaluated = run
            .with_client(async |mut client| {
                header
                    .variants
                    .extend(self.pruned(&mut client, &header.model).await?);
                // Boxed: the future of a run is large, and would be part of this one.
                Box::pin(run.evaluate(client, header, items, Some(count), out)).await
            })
            .await?;
        let Evaluated {
            finished, skipped, ..
        } = evaluated;
        if self.estimate {
            return Ok(());
        }
        report(&finished, skipped, self.json)
    }

    /// Makes the variants of the ways of pruning, for the model that is asked.
    async fn pruned(
        &self,
        client: &mut Client,
        model: &str,
    ) -> Result<Vec<EvaluateVariant>, Failure> {
        if self.pruning.is_empty() {
            return Ok(Vec::new());
        }
        // Policies prune at layers, of which only the model tells how many there are.
        let layers = layers(&client.get_model(model).await?);
        let mut variants = Vec::with_capacity(self.pruning.len());
        for policy in &self.pruning {
            let list = pruning(policy, layers).map_err(|e| Usage(format!("--pruning {e}")))?;
            variants.push(intervention_args::variant(policy, "", &list)?);
        }
        Ok(variants)
    }

    fn list_policies(&self) -> Result<(), Failure> {
        for policy in POLICIES {
            if self.json {
                let kept = policy.kept;
                print_line(&json!({"name": policy.name, "about": policy.about, "kept": kept}))?;
                continue;
            }
            println!("{:<26} {}", policy.name, policy.about);
        }
        Ok(())
    }

    fn benchmark(&self) -> BenchmarkRun {
        BenchmarkRun {
            rule: self.rule.clone(),
            data: self.data.clone(),
            args: self.args.clone(),
            scoring: self.scoring.scoring,
            substitutes: None,
            estimate: self.estimate,
            shard: self.shard.shard,
        }
    }

    fn header(&self, run: &BenchmarkRun) -> EvaluateHeader {
        let interventions = self.interventions.interventions();
        let name = if interventions.is_empty() {
            ORIGINAL
        } else {
            // A name of its own: results of a changed first variant must not pass for the
            // original's.
            "changed"
        };
        let first = EvaluateVariant {
            name: name.into(),
            interventions,
            ..Default::default()
        };
        let mut header = run.header();
        header.variants = std::iter::once(first)
            .chain(self.variant.iter().cloned())
            .collect();
        header
    }
}

/// Prints the metrics of a run whose data had `skipped` rows that could not be read.
pub(super) fn report(
    finished: &EvaluateFinished,
    skipped: usize,
    json: bool,
) -> Result<(), Failure> {
    if json {
        let summary = summary(finished, skipped);
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print(finished, skipped);
    }
    Ok(())
}

fn print(finished: &EvaluateFinished, skipped: usize) {
    println!("Shares in %, points as they are; with 95 % intervals.\n");
    println!(
        "{:<16} {:<32} {:>7} {:>28}  unparsed",
        "variant", "", "n", ""
    );
    for metric in &finished.metrics {
        println!(
            "{:<16} {:<32} {:>7} {:>28}  {}",
            metric.variant,
            metric.name,
            metric.n,
            value_with_interval(metric),
            metric.unparsed
        );
    }
    if !finished.comparisons.is_empty() {
        println!(
            "\nAgainst the first variant, on the same items: better, worse, mean difference in \
             points of 100, McNemar's p.\n"
        );
        finished.comparisons.iter().for_each(print_comparison);
    }
    println!(
        "\n{} answers, {} of them errors, {skipped} rows left out",
        finished.results, finished.failed
    );
}

fn print_comparison(c: &Comparison) {
    if c.n == 0 {
        println!("{:<16} n {:>6}  no item in common", c.variant, c.n);
        return;
    }
    let [difference, low, high] = [c.difference, c.low, c.high].map(|v| 100.0 * v);
    println!(
        "{:<16} n {:>6} {:>6} {:>6}  {difference:+.1} [{low:+.1}, {high:+.1}]  p = {:.2e}",
        c.variant, c.n, c.better, c.worse, c.p
    );
}

fn summary(finished: &EvaluateFinished, skipped: usize) -> Value {
    json!({
        "results": finished.results, "failed": finished.failed, "skipped": skipped,
        "metrics": finished.metrics.iter().map(metric_json).collect::<Vec<_>>(),
        "comparisons": finished.comparisons.iter().map(comparison_json).collect::<Vec<_>>(),
    })
}

/// Writes a metric; its value is null where it is over nothing.
fn metric_json(m: &BenchmarkMetric) -> Value {
    // Errors alone: n is 0, and a value would be made up.
    let [value, low, high] = [m.value, m.low, m.high].map(|v| (m.n > 0).then_some(v));
    json!({
        "variant": m.variant, "name": m.name, "value": value, "low": low, "high": high,
        "most": m.most, "n": m.n, "unparsed": m.unparsed,
    })
}

fn comparison_json(c: &Comparison) -> Value {
    json!({
        "variant": c.variant, "n": c.n, "better": c.better, "worse": c.worse,
        "difference": c.difference, "low": c.low, "high": c.high, "p": c.p,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_no_items_there_is_no_value() {
        let errors_alone = BenchmarkMetric {
            high: 1.0,
            ..Default::default()
        };
        assert_eq!(metric_json(&errors_alone)["value"], Value::Null);
        assert_eq!(value_with_interval(&errors_alone), "none");
        let one = BenchmarkMetric {
            n: 1,
            ..errors_alone
        };
        assert_eq!(metric_json(&one)["value"], 0.0);
        assert_eq!(value_with_interval(&one), "0.0 [0.0, 100.0]");
    }
}
