//! `scotoma items`: item analysis, for people who build benchmarks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::Client;
use scotoma_client::v1::{EvaluateVariant, ModelInfo, SampleResult, Verdict};
use serde_json::{Value, json};

use super::benchmark_args::{BenchmarkArgs, ScoringArgs};
use super::benchmark_run::{BenchmarkRun, Evaluated, Items as BenchmarkItems, read_results};
use super::csv_file::write_csv;
use super::error::Failure;
use super::files::{self, Pieces};
use super::intervention_args::variant;
use super::items_page::{CategoryMeans, FIRST, ItemsPage, share_with_interval};
use super::json_output::print_line;
use crate::benchmark::analysis::{
    Analysis, Counts, Response, analyse, discrimination, item_of, rotated,
};
use crate::benchmark::report::Mean;
use crate::benchmark::{self, Item, data, substitute};

/// The variants that do not show the picture.
const UNSEEN: [&str; 3] = ["black", "no visual tokens", "another item's picture"];

/// True for each item that is right, by id.
type Rights = BTreeMap<String, bool>;

/// A condition for items to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum KeepRule {
    /// Not right without the picture
    NotBlind,
    /// Right, but not under most permutations of the visual tokens
    PermutingBreaks,
    /// Right under every order of the options
    OrderProof,
}

impl KeepRule {
    fn is_met(self, item: &Analysis) -> bool {
        match self {
            // Under a variant without an answer it counts as not right.
            Self::NotBlind => UNSEEN
                .iter()
                .all(|v| item.by_variant.get(*v) != Some(&true)),
            Self::PermutingBreaks => {
                let permuted: Vec<bool> = item
                    .by_variant
                    .iter()
                    .filter(|(variant, _)| variant.starts_with("permuted"))
                    .map(|(_, right)| *right)
                    .collect();
                let wrong = permuted.iter().filter(|right| !**right).count();
                // Most of three, so that one lucky order does not decide.
                item.right && 2 * wrong > permuted.len()
            }
            // Difficulty is the share of orders that are wrong.
            Self::OrderProof => item.difficulty <= 0.0,
        }
    }
}

/// Flags of `items`.
#[derive(Debug, Args)]
pub(super) struct Items {
    /// A benchmark, such as mmvp, or one tool's way of it, such as sqa/llava; `scotoma eval list`
    /// prints all
    rule: String,
    /// File of questions: a table (.tsv, .csv, .parquet) or a manifest (.jsonl) with the columns of
    /// Hugging Face or VLMEvalKit. `shapes` needs none
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    args: BenchmarkArgs,
    #[command(flatten)]
    scoring: ScoringArgs,
    /// Folder to write report.html (a page with pictures, what changed most first), items.csv,
    /// items.jsonl, responses.csv (variants by items, 1 and 0, for IRT) and results.jsonl to. A run
    /// that finds its results there continues where it ended
    #[arg(long, default_value = "items")]
    report: PathBuf,
    /// The --report folder of another model on the same items. With two or more, items.csv has the
    /// discrimination of each item: how well it separates good models from bad ones. Repeat for
    /// several
    #[arg(long, value_name = "FOLDER")]
    beside: Vec<PathBuf>,
    /// Write kept.tsv with the items that meet this condition. Repeat for several, which must all
    /// be met
    #[arg(long, value_enum)]
    keep: Vec<KeepRule>,
    /// Print the items' numbers as JSON, an object a line, in place of the table
    #[arg(long)]
    json: bool,
}

impl Items {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let benchmark = self.benchmark();
        benchmark.check()?;
        // Before a model is loaded: the folders of other models must be there.
        let others = self.other_models()?;
        // And a folder that cannot be made is told now.
        files::create_folder(&self.report).map_err(|e| format!("--report {e}"))?;
        let results = self.report.join("results.jsonl");
        let (evaluated, model) = benchmark
            .with_client(async |client| ask(&benchmark, client, &results).await)
            .await?;
        let results = read_results(&results)?;
        let answers: Vec<Response> = results.iter().cloned().map(response).collect();
        let mut found = analyse(&answers, FIRST, &UNSEEN);
        // This run is one of the models that items are to separate.
        let mut models = vec![rights(&found)];
        models.extend(others.iter().map(|(_, rights)| rights.clone()));
        for item in &mut found {
            item.discrimination = discrimination(&models, &item.id);
        }
        self.write_items(&found)?;
        self.write_responses(&found, &others)?;
        let kept = self.write_kept(&found)?;
        let page = ItemsPage {
            found: &found,
            results: &results,
            metrics: &evaluated.finished.metrics,
            categories: &categories(&found),
            started: &evaluated.started,
            model: &model,
        };
        // Read once more, for the pictures, which results do not hold.
        page.write(&self.report, self.benchmark().items()?)?;
        if self.json {
            for item in &found {
                print_line(&item_json(item))?;
            }
            return Ok(());
        }
        print(&found);
        if let Some(kept) = kept {
            println!(
                "{kept} of {} items are kept: {}",
                found.len(),
                self.report.join("kept.tsv").display()
            );
        }
        println!("{}", self.report.join("items.csv").display());
        println!("{}", self.report.join("report.html").display());
        Ok(())
    }

    fn benchmark(&self) -> BenchmarkRun {
        BenchmarkRun {
            rule: self.rule.clone(),
            data: self.data.clone(),
            args: self.args.clone(),
            scoring: self.scoring.scoring,
            substitutes: None,
            estimate: false,
            shard: None,
        }
    }

    /// Reads what other models have right, by the names of their folders.
    fn other_models(&self) -> Result<Vec<(String, Rights)>, Failure> {
        self.beside
            .iter()
            .map(|folder| Ok((folder.display().to_string(), rights_in(folder)?)))
            .collect()
    }

    /// Writes items.csv and items.jsonl.
    fn write_items(&self, found: &[Analysis]) -> Result<(), Failure> {
        let variants = variants_of(found);
        let mut heads: Vec<&str> = ITEM_HEADS.to_vec();
        heads.extend(variants.iter().map(|v| v.as_str()));
        heads.extend(ITEM_COUNTS);
        let rows = found.iter().map(|item| {
            let mut row = csv_cells(item);
            row.extend(variants.iter().map(|v| bit(&item.by_variant, v)));
            let Counts {
                orders,
                shown,
                unseen,
            } = item.counts;
            row.extend([orders, shown, unseen].map(|n| n.to_string()));
            row
        });
        let rows: Vec<Vec<String>> = rows.collect();
        write_csv(&self.report.join("items.csv"), &heads, &rows)?;
        let mut lines = Pieces::create(&self.report.join("items.jsonl"))?;
        for item in found {
            lines.write(format!("{}\n", item_json(item)).as_bytes())?;
        }
        Ok(lines.flush()?)
    }

    /// Writes responses.csv: variants by items, then other models by items.
    fn write_responses(
        &self,
        found: &[Analysis],
        others: &[(String, Rights)],
    ) -> Result<(), Failure> {
        let heads = std::iter::once("variant").chain(found.iter().map(|a| a.id.as_str()));
        let heads: Vec<&str> = heads.collect();
        let mut rows = Vec::new();
        for variant in variants_of(found) {
            let mut row = vec![variant.to_owned()];
            row.extend(found.iter().map(|a| bit(&a.by_variant, variant)));
            rows.push(row);
        }
        for (name, rights) in others {
            let mut row = vec![name.clone()];
            row.extend(found.iter().map(|a| bit(rights, &a.id)));
            rows.push(row);
        }
        write_csv(&self.report.join("responses.csv"), &heads, &rows)
    }

    /// Writes kept.tsv if items are to be kept, and returns how many are.
    fn write_kept(&self, found: &[Analysis]) -> Result<Option<usize>, Failure> {
        if self.keep.is_empty() {
            return Ok(None);
        }
        let kept: HashSet<&str> = found
            .iter()
            .filter(|item| self.keep.iter().all(|rule| rule.is_met(item)))
            .map(|item| item.id.as_str())
            .collect();
        let mut file = Pieces::create(&self.report.join("kept.tsv"))?;
        let mut columns: Option<(Vec<String>, bool)> = None;
        // Rows that cannot be read have no result to be kept for.
        for item in self.benchmark().items()?.flatten() {
            if !kept.contains(item.id.as_str()) {
                continue;
            }
            // The first kept item says which columns the table has.
            if columns.is_none() {
                let names: Vec<String> = item.fields.keys().cloned().collect();
                let pictures = !item.images.is_empty();
                let header = data::header(&names, pictures);
                file.write(format!("{header}\n").as_bytes())?;
                columns = Some((names, pictures));
            }
            if let Some((names, pictures)) = &columns {
                let row = data::row(&item, names, *pictures);
                file.write(format!("{row}\n").as_bytes())?;
            }
        }
        file.flush()?;
        Ok(Some(kept.len()))
    }
}

/// Asks every item under every variant and in every order of its options.
async fn ask(
    benchmark: &BenchmarkRun,
    mut client: Client,
    results: &Path,
) -> Result<(Evaluated, ModelInfo), Failure> {
    let mut header = benchmark.header();
    header.variants = variants()?;
    // Orders are items of their own, with ids that name the rotation, so that a run resumes among
    // them.
    let items: BenchmarkItems = Box::new(benchmark.items()?.flat_map(in_all_orders));
    let model = client.get_model(&header.model).await?;
    // The count is not known: it is the sum over items of their options.
    let run = benchmark.evaluate(client, header, items, None, Some(results));
    Ok((run.await?, model))
}

/// Returns an item, followed by the same with its options in every other order.
fn in_all_orders(item: Result<Item, benchmark::Error>) -> Vec<Result<Item, benchmark::Error>> {
    let Ok(item) = item else {
        return vec![item];
    };
    if let (other, true) = item_of(&item.id) {
        let message = format!(
            "id {:?}: an order of the options of {other:?} is called so; give it another id",
            item.id
        );
        return vec![Err(benchmark::Error { line: 0, message })];
    }
    let mut orders: Vec<_> = (1..item.options.len())
        .filter_map(|by| rotated(&item, by))
        .map(Ok)
        .collect();
    // The item as it is comes first: its answer is needed before those of its orders say anything.
    orders.insert(0, Ok(item));
    orders
}

fn variants() -> Result<Vec<EvaluateVariant>, Failure> {
    let black = json!([{"blankImage": {"colour": "COLOUR_BLACK"}}]);
    let no_tokens = json!([{
        "selectTokens": {"tokens": {"anyOf": [{"named": "NAMED_ALL"}]}, "mode": "MODE_REMOVE"},
    }]);
    // Seeds are written down: other models of the same items must have met the same variants.
    let shuffled = json!([{"shufflePatches": {"grid": 4, "seed": 1}}]);
    let occluded = json!([{"occludePatches": {"random": {"ratio": 0.5, "seed": 1}}}]);
    let all = [
        (FIRST, "", json!([])),
        (UNSEEN[0], "", black),
        (UNSEEN[1], "", no_tokens),
        (UNSEEN[2], substitute::OTHER, json!([])),
        ("shuffled, grid 4", "", shuffled),
        ("occluded by half", "", occluded),
        ("permuted, seed 1", "", permuted(1)),
        ("permuted, seed 2", "", permuted(2)),
        ("permuted, seed 3", "", permuted(3)),
    ];
    let mut variants = Vec::new();
    for (name, pictures, list) in all {
        let list = list.as_array().map_or(&[][..], Vec::as_slice);
        variants.push(variant(name, pictures, list)?);
    }
    Ok(variants)
}

fn permuted(seed: u64) -> Value {
    json!([{"permuteTokens": {"seed": seed}}])
}

fn variants_of(found: &[Analysis]) -> BTreeSet<&String> {
    found.iter().flat_map(|a| a.by_variant.keys()).collect()
}

/// Writes 1 for right, 0 for wrong, nothing for unknown.
fn bit(rights: &Rights, name: &str) -> String {
    rights
        .get(name)
        .map_or(String::new(), |&right| u8::from(right).to_string())
}

/// Columns of items.csv before those of the variants.
const ITEM_HEADS: [&str; 9] = [
    "id",
    "category",
    "right",
    "difficulty",
    "margin",
    "stability",
    "image_needed",
    "letter_bias",
    "discrimination",
];
/// Columns behind those of the variants: what the shares are over.
const ITEM_COUNTS: [&str; 3] = ["orders", "variants_shown", "variants_unseen"];

fn csv_cells(item: &Analysis) -> Vec<String> {
    vec![
        item.id.clone(),
        item.category.clone(),
        u8::from(item.right).to_string(),
        format!("{:.4}", item.difficulty),
        item.margin.map_or(String::new(), |m| format!("{m:.6}")),
        format!("{:.4}", item.stability),
        format!("{:.4}", item.image_needed),
        format!("{:.4}", item.letter_bias),
        item.discrimination
            .map_or(String::new(), |d| format!("{d:.4}")),
    ]
}

fn item_json(item: &Analysis) -> Value {
    json!({
        "id": item.id, "category": item.category, "right": item.right,
        "difficulty": item.difficulty, "margin": item.margin, "stability": item.stability,
        "image_needed": item.image_needed, "letter_bias": item.letter_bias,
        "discrimination": item.discrimination, "by_variant": item.by_variant,
        "orders": item.counts.orders, "variants_shown": item.counts.shown,
        "variants_unseen": item.counts.unseen,
    })
}

/// Returns which items are right as they are.
fn rights(found: &[Analysis]) -> Rights {
    found.iter().map(|a| (a.id.clone(), a.right)).collect()
}

/// Returns which items are right in the results of a run's `--report` folder.
fn rights_in(folder: &Path) -> Result<Rights, Failure> {
    let responses = responses(&folder.join("results.jsonl"))
        .map_err(|e| format!("--beside {}: {e}", folder.display()))?;
    Ok(rights(&analyse(&responses, FIRST, &UNSEEN)))
}

fn responses(path: &Path) -> Result<Vec<Response>, Failure> {
    Ok(read_results(path)?.into_iter().map(response).collect())
}

fn response(result: SampleResult) -> Response {
    let mut scores: Vec<f64> = result.options.iter().map(|o| o.mean_logprob).collect();
    // Best first: the margin is how far the second option is behind.
    scores.sort_by(|a, b| b.total_cmp(a));
    let margin = match scores[..] {
        [best, second, ..] => Some(best - second),
        _ => None,
    };
    Response {
        right: result.verdict == i32::from(Verdict::Right),
        id: result.id,
        variant: result.variant,
        category: result.category,
        answer: result.answer,
        margin,
    }
}

/// Returns the means of each category, and of all items.
fn categories(found: &[Analysis]) -> Vec<CategoryMeans> {
    let mut categories: BTreeMap<&str, Vec<&Analysis>> = BTreeMap::new();
    for item in found {
        categories.entry(&item.category).or_default().push(item);
    }
    let mut means: Vec<CategoryMeans> = Vec::new();
    // Of one category alone its means are those of all.
    if categories.len() > 1 {
        means.extend(categories.iter().map(|(name, own)| category(name, own)));
    }
    means.push(category("all", &found.iter().collect::<Vec<_>>()));
    means
}

fn category(name: &str, items: &[&Analysis]) -> CategoryMeans {
    let values: [fn(&Analysis) -> f64; 4] = [
        |a| a.difficulty,
        |a| a.stability,
        |a| a.image_needed,
        |a| a.letter_bias,
    ];
    CategoryMeans {
        name: name.to_owned(),
        n: items.len(),
        means: values.map(|value| {
            let values: Vec<f64> = items.iter().map(|item| value(item)).collect();
            Mean::of(&values)
        }),
    }
}

fn print(found: &[Analysis]) {
    println!("Means over items, with 95 % intervals.\n");
    println!(
        "{:<20} {:>6} {:>19} {:>19} {:>19} {:>19}",
        "", "n", "difficulty", "stability", "image needed", "letter bias"
    );
    for CategoryMeans { name, n, means } in &categories(found) {
        let [difficulty, stability, needed, bias] = means.map(|m| share_with_interval(&m));
        println!("{name:<20} {n:>6} {difficulty:>19} {stability:>19} {needed:>19} {bias:>19}");
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_an_order_would_have_is_refused() {
        let item = |id: &str| Item {
            id: id.into(),
            options: ["red", "blue", "green"].map(String::from).to_vec(),
            answer: "A".into(),
            ..Item::default()
        };
        let ids = |id: &str| -> Vec<String> {
            let orders = in_all_orders(Ok(item(id))).into_iter();
            orders
                .map(|order| order.map_or_else(|e| e.to_string(), |item| item.id))
                .collect()
        };
        assert_eq!(ids("a~red"), ["a~red", "a~red~r1", "a~red~r2"]);
        let refused =
            "id \"7~r1\": an order of the options of \"7\" is called so; give it another id";
        assert_eq!(ids("7~r1"), [refused]);
    }
}
