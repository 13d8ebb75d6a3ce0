//! `scotoma items`: item analysis, for those who build benchmarks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::{EvaluateVariant, SampleResult, Verdict};
use serde_json::json;

use super::Failure;
use super::eval::{Answered, Benchmark, Common, read_results};
use super::intervention_args::variant;
use super::served::stop;
use crate::benchmark::analysis::{Analysis, Response, analyse, discrimination, rotated};
use crate::benchmark::{data, substitute};

/// The variant as the item is.
const FIRST: &str = "original";
/// Those that do not show the picture.
const UNSEEN: [&str; 3] = ["black", "no visual tokens", "another item's picture"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    /// Not right without the picture
    NotBlind,
    /// Right, but not under most permutations of the visual tokens
    PermutingBreaks,
    /// Right under every order of the options
    OrderProof,
}

/// Flags of `items`.
#[derive(Debug, Args)]
pub(super) struct Items {
    /// A benchmark, mmvp for instance, or one tool's way of it, sqa/llava; `scotoma eval list`
    /// prints all
    rule: String,
    /// The questions: VLMEvalKit's table (.tsv) or a manifest (.jsonl). `shapes` needs none
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    answered: Answered,
    /// Where items.csv, items.jsonl, responses.csv (variants by items, 1 and 0, for IRT) and
    /// results.jsonl go. A run that finds its results there goes on where it ended
    #[arg(long, default_value = "items")]
    report: PathBuf,
    /// The --report folder of another model on the same items: with two or more, items.csv says how
    /// well each item tells good models from bad ones. Repeat for several
    #[arg(long, value_name = "FOLDER")]
    beside: Vec<PathBuf>,
    /// Write kept.tsv with the items that meet this. Repeat: they must meet all
    #[arg(long, value_enum)]
    keep: Vec<Keep>,
}

impl Items {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let benchmark = self.benchmark();
        benchmark.check()?;
        let rows = benchmark.rows()?;
        // Before a model is loaded: another run's folder is to be there.
        let beside = self
            .beside
            .iter()
            .map(|folder| Ok((folder.display().to_string(), rights_in(folder)?)));
        let beside: Vec<(String, BTreeMap<String, bool>)> =
            beside.collect::<Result<_, Failure>>()?;
        std::fs::create_dir_all(&self.report)
            .map_err(|e| format!("--report {}: {e}", self.report.display()))?;
        let (local, client) = benchmark.connect().await?;
        let mut header = benchmark.header();
        header.variants = variants()?;
        // The orders of the options are items of their own.
        let rows = rows.flat_map(|item| match item {
            Ok(item) => {
                let orders: Vec<_> = (1..item.options.len())
                    .filter_map(|by| rotated(&item, by))
                    .map(Ok)
                    .collect();
                std::iter::once(Ok(item)).chain(orders).collect()
            }
            Err(error) => vec![Err(error)],
        });
        let results = self.report.join("results.jsonl");
        let done = benchmark
            .ask(client, header, Box::new(rows), None, Some(&results))
            .await;
        stop(local).await?;
        done?;
        let mut found = analyse(&responses(&results)?, FIRST, &UNSEEN);
        let mut models = vec![("this".to_owned(), rights(&found))];
        models.extend(beside);
        let all: Vec<_> = models.iter().map(|(_, rights)| rights.clone()).collect();
        found
            .iter_mut()
            .for_each(|a| a.discrimination = discrimination(&all, &a.id));
        self.write(&found, &models[1..])?;
        let kept = self.kept(&found)?;
        print(&found);
        if let Some(kept) = kept {
            println!(
                "{kept} of {} items are kept: {}",
                found.len(),
                self.report.join("kept.tsv").display()
            );
        }
        println!("{}", self.report.join("items.csv").display());
        Ok(())
    }

    fn benchmark(&self) -> Benchmark {
        Benchmark {
            rule: self.rule.clone(),
            data: self.data.clone(),
            common: self.common.clone(),
            by: self.answered.by,
            substitutes: None,
            estimate: false,
        }
    }

    /// `others` are further models, with what they have right.
    fn write(
        &self,
        found: &[Analysis],
        others: &[(String, BTreeMap<String, bool>)],
    ) -> Result<(), Failure> {
        let file = |name: &str| File::create(self.report.join(name)).map(BufWriter::new);
        let (mut table, mut lines, mut matrix) = (
            file("items.csv")?,
            file("items.jsonl")?,
            file("responses.csv")?,
        );
        let variants: BTreeSet<&String> = found.iter().flat_map(|a| a.by_variant.keys()).collect();
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let names: Vec<String> = variants.iter().map(|v| quoted(v)).collect();
        writeln!(
            table,
            "id,category,right,difficulty,margin,stability,image_needed,letter_bias,discrimination,{}",
            names.join(",")
        )?;
        for a in found {
            let bit = |v: &&String| {
                a.by_variant
                    .get(*v)
                    .map_or(String::new(), |&r| u8::from(r).to_string())
            };
            let bits: Vec<String> = variants.iter().map(bit).collect();
            let margin = a.margin.map_or(String::new(), |m| format!("{m:.6}"));
            let (id, category) = (quoted(&a.id), quoted(&a.category));
            let Analysis {
                difficulty,
                stability,
                image_needed,
                letter_bias,
                ..
            } = a;
            let told = a
                .discrimination
                .map_or(String::new(), |d| format!("{d:.4}"));
            let numbers = format!(
                "{difficulty:.4},{margin},{stability:.4},{image_needed:.4},{letter_bias:.4},{told}"
            );
            writeln!(
                table,
                "{id},{category},{},{numbers},{}",
                u8::from(a.right),
                bits.join(",")
            )?;
            let line = json!({
                "id": a.id, "category": a.category, "right": a.right, "difficulty": difficulty, "margin": a.margin,
                "stability": stability, "image_needed": image_needed, "letter_bias": letter_bias,
                "discrimination": a.discrimination, "by_variant": a.by_variant,
            });
            writeln!(lines, "{line}")?;
        }
        let ids: Vec<String> = found.iter().map(|a| quoted(&a.id)).collect();
        writeln!(matrix, "variant,{}", ids.join(","))?;
        for variant in variants {
            let bit = |a: &Analysis| {
                a.by_variant
                    .get(variant)
                    .map_or(String::new(), |&r| u8::from(r).to_string())
            };
            writeln!(
                matrix,
                "{},{}",
                quoted(variant),
                found.iter().map(bit).collect::<Vec<_>>().join(",")
            )?;
        }
        for (name, rights) in others {
            let bit = |a: &Analysis| {
                rights
                    .get(&a.id)
                    .map_or(String::new(), |&r| u8::from(r).to_string())
            };
            writeln!(
                matrix,
                "{},{}",
                quoted(name),
                found.iter().map(bit).collect::<Vec<_>>().join(",")
            )?;
        }
        Ok(())
    }

    /// Writes the items that are kept, and says how many.
    fn kept(&self, found: &[Analysis]) -> Result<Option<usize>, Failure> {
        if self.keep.is_empty() {
            return Ok(None);
        }
        let meets = |a: &&Analysis| {
            self.keep.iter().all(|keep| match keep {
                Keep::NotBlind => UNSEEN.iter().all(|v| a.by_variant.get(*v) != Some(&true)),
                Keep::PermutingBreaks => {
                    let permuted = a
                        .by_variant
                        .iter()
                        .filter(|(v, _)| v.starts_with("permuted"));
                    let wrong = permuted.clone().filter(|(_, right)| !**right).count();
                    a.right && 2 * wrong > permuted.count()
                }
                Keep::OrderProof => a.difficulty <= 0.0,
            })
        };
        let ids: HashSet<&str> = found.iter().filter(meets).map(|a| a.id.as_str()).collect();
        let mut file = BufWriter::new(File::create(self.report.join("kept.tsv"))?);
        let mut fields: Option<(Vec<String>, bool)> = None;
        for item in self
            .benchmark()
            .rows()?
            .flatten()
            .filter(|i| ids.contains(i.id.as_str()))
        {
            if fields.is_none() {
                let (names, pictures) = (
                    item.fields.keys().cloned().collect::<Vec<_>>(),
                    !item.images.is_empty(),
                );
                writeln!(file, "{}", data::header(&names, pictures))?;
                fields = Some((names, pictures));
            }
            if let Some((names, pictures)) = &fields {
                writeln!(file, "{}", data::row(&item, names, *pictures))?;
            }
        }
        Ok(Some(ids.len()))
    }
}

fn variants() -> Result<Vec<EvaluateVariant>, Failure> {
    let all = [
        (FIRST, "", json!([])),
        (
            UNSEEN[0],
            "",
            json!([{"blankImage": {"colour": "COLOUR_BLACK"}}]),
        ),
        (
            UNSEEN[1],
            "",
            json!([{"selectTokens": {"tokens": {"anyOf": [{"named": "NAMED_ALL"}]}, "mode": "MODE_REMOVE"}}]),
        ),
        (UNSEEN[2], substitute::OTHER, json!([])),
        (
            "shuffled, grid 4",
            "",
            json!([{"shufflePatches": {"grid": 4, "seed": 1}}]),
        ),
        (
            "occluded by half",
            "",
            json!([{"occludePatches": {"random": {"ratio": 0.5, "seed": 1}}}]),
        ),
        (
            "permuted, seed 1",
            "",
            json!([{"permuteTokens": {"seed": 1}}]),
        ),
        (
            "permuted, seed 2",
            "",
            json!([{"permuteTokens": {"seed": 2}}]),
        ),
        (
            "permuted, seed 3",
            "",
            json!([{"permuteTokens": {"seed": 3}}]),
        ),
    ];
    let one = |(name, pictures, list): (&str, &str, serde_json::Value)| {
        Ok(variant(
            name,
            pictures,
            list.as_array().map_or(&[], Vec::as_slice),
        )?)
    };
    all.into_iter().map(one).collect()
}

/// Whether each item is right as it is.
fn rights(found: &[Analysis]) -> BTreeMap<String, bool> {
    found.iter().map(|a| (a.id.clone(), a.right)).collect()
}

/// The same of what a run has left in its `--report` folder.
fn rights_in(folder: &Path) -> Result<BTreeMap<String, bool>, Failure> {
    let responses = responses(&folder.join("results.jsonl"))
        .map_err(|e| format!("--beside {}: {e}", folder.display()))?;
    Ok(rights(&analyse(&responses, FIRST, &UNSEEN)))
}

fn responses(path: &Path) -> Result<Vec<Response>, Failure> {
    let response = |result: SampleResult| {
        let mut scores: Vec<f64> = result.options.iter().map(|o| o.mean_logprob).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let margin = if let [best, second, ..] = scores[..] {
            Some(best - second)
        } else {
            None
        };
        let right = result.verdict == i32::from(Verdict::Right);
        let SampleResult {
            id,
            variant,
            category,
            answer,
            ..
        } = result;
        Response {
            id,
            variant,
            category,
            answer,
            right,
            margin,
        }
    };
    Ok(read_results(path)?.into_iter().map(response).collect())
}

fn print(found: &[Analysis]) {
    let mut categories: BTreeMap<&str, Vec<&Analysis>> = BTreeMap::new();
    found
        .iter()
        .for_each(|a| categories.entry(&a.category).or_default().push(a));
    let mean = |own: &[&Analysis], of: &dyn Fn(&Analysis) -> f64| {
        own.iter().map(|a| of(a)).sum::<f64>() / own.len().max(1) as f64
    };
    println!(
        "{:<20} {:>6} {:>11} {:>10} {:>13} {:>12}",
        "", "n", "difficulty", "stability", "image needed", "letter bias"
    );
    let all: Vec<&Analysis> = found.iter().collect();
    for (name, own) in categories
        .iter()
        .map(|(n, o)| (*n, o))
        .chain([("all", &all)])
    {
        let (difficulty, stability) = (mean(own, &|a| a.difficulty), mean(own, &|a| a.stability));
        let (needed, bias) = (
            mean(own, &|a| a.image_needed),
            mean(own, &|a| a.letter_bias),
        );
        println!(
            "{name:<20} {:>6} {difficulty:>11.3} {stability:>10.3} {needed:>13.3} {bias:>12.3}",
            own.len()
        );
    }
}
