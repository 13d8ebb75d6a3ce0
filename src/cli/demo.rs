//! `scotoma demo`: the `shapes` benchmark under six conditions, through the client, over gRPC.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use scotoma_client::{self as client, Client, GenerateRequest, Intervention, prompt};
use serde::Serialize;

use super::error::Failure;
use super::local_server::with_local_server;
use super::progress::Progress;
use crate::benchmark::{self, Interval, Item, Rule, Verdict, wilson};
use crate::model;
use crate::server::ServerConfig;

/// Requests in flight.
const CONCURRENCY: usize = 32;

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Ask the first ITEMS items of the benchmark only; 0 asks all
    #[arg(long, default_value_t = 0)]
    items: usize,
    /// Seed of the permutations, the occlusions and the random projector
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// A column of the table.
struct Condition {
    name: &'static str,
    interventions: Vec<Intervention>,
}

impl Condition {
    fn new(name: &'static str, interventions: Vec<Intervention>) -> Self {
        Self {
            name,
            interventions,
        }
    }
}

fn conditions(layers: u32, seed: u64) -> Vec<Condition> {
    let quarter = layers / 4;
    vec![
        Condition::new("none", Vec::new()),
        Condition::new("permuted", vec![client::permute_tokens(seed)]),
        Condition::new("half occluded", vec![client::occlude_at_random(0.5, seed)]),
        Condition::new(
            "first quarter dropped",
            vec![client::drop_layers(0..quarter)],
        ),
        Condition::new(
            "last quarter dropped",
            vec![client::drop_layers(layers - quarter..layers)],
        ),
        Condition::new(
            "projector swapped",
            vec![client::swap_projector_at_random(seed)],
        ),
    ]
}

/// Counts of one cell of the table.
#[derive(Debug, Default, Clone, Copy)]
struct CellCounts {
    right: usize,
    unparsed: usize,
    n: usize,
}

impl CellCounts {
    fn interval(self) -> Interval {
        wilson(self.right, self.n)
    }
}

#[derive(Serialize)]
struct Row<'a> {
    condition: &'a str,
    category: &'a str,
    n: usize,
    right: usize,
    unparsed: usize,
    accuracy: f64,
    low: f64,
    high: f64,
}

/// Cells by (condition, category); the category "all" is the sum.
type Cells = BTreeMap<(usize, String), CellCounts>;

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut items = benchmark::shapes()?;
        if self.items > 0 {
            items.truncate(self.items);
        }
        with_local_server(ServerConfig::shapes(), async |client| {
            self.measure(client, &items).await
        })
        .await
    }

    /// Asks every item under every condition and prints the table.
    async fn measure(&self, mut client: Client, items: &[Item]) -> Result<(), Failure> {
        // The empty name is the only model of this server.
        let model = client.get_model("").await?;
        let layers = model.language_model.map_or(0, |l| l.layers);
        let conditions = conditions(layers, self.seed);
        let cells = measure(&client, items, &conditions).await?;
        if self.json {
            print_json(&conditions, &cells)?;
        } else {
            print_table(&conditions, &cells);
            println!();
            println!("{}", permutation_line(&cells));
            println!("{}", layers_line(&cells, layers));
        }
        Ok(())
    }
}

/// Asks every item under every condition.
async fn measure(
    client: &Client,
    items: &[Item],
    conditions: &[Condition],
) -> Result<Cells, Failure> {
    let answers = items.len() * conditions.len();
    let progress = Progress::new(Some(answers), "answers");
    let rule: &Rule = benchmark::rule(model::SHAPES).ok_or("no rule for shapes")?;
    // Shared: an item carries its picture, and is asked under each condition.
    let items: Vec<Arc<Item>> = items.iter().cloned().map(Arc::new).collect();
    let asks = conditions.iter().enumerate().flat_map(|(c, condition)| {
        items
            .iter()
            .map(move |item| (c, condition.interventions.clone(), item.clone()))
    });
    let mut cells = Cells::new();
    let mut answers = stream::iter(asks.map(|(c, interventions, item)| {
        let mut client = client.clone();
        async move {
            let request = GenerateRequest {
                prompt: Some(prompt(&(rule.prompt)(&item), item.images.clone())),
                interventions,
                max_tokens: 16,
                // Each item has its own permutation and occlusion, the same in every run.
                sample_key: item.id.clone(),
                ..Default::default()
            };
            let text = client.generate(request).await?.finish().await?.text;
            Ok::<_, client::Error>((c, rule.score(&item, &text).1, item))
        }
    }))
    // Fewer than an engine on a CPU runs at once (64), so that none waits in its queue.
    .buffer_unordered(CONCURRENCY);
    while let Some((condition, verdict, item)) = answers.try_next().await? {
        for category in [item.category.as_str(), "all"] {
            let cell = cells.entry((condition, category.to_owned())).or_default();
            cell.n += 1;
            cell.right += usize::from(verdict == Verdict::Correct);
            cell.unparsed += usize::from(verdict == Verdict::Unparsed);
        }
        progress.advance();
    }
    progress.finish();
    Ok(cells)
}

fn categories() -> impl Iterator<Item = &'static str> {
    benchmark::category_order().into_iter().chain(["all"])
}

/// Returns the counts of a cell; none where nothing was asked.
fn cell(cells: &Cells, condition: usize, category: &str) -> CellCounts {
    cells
        .get(&(condition, category.to_owned()))
        .copied()
        .unwrap_or_default()
}

fn print_table(conditions: &[Condition], cells: &Cells) {
    println!("Accuracy in %, with 95 % Wilson intervals.\n");
    print!("{:<12}{:>5}", "", "n");
    for condition in conditions {
        print!("  {:>21}", condition.name);
    }
    println!();
    for category in categories() {
        print!("{category:<12}{:>5}", cell(cells, 0, category).n);
        for condition in 0..conditions.len() {
            let i = cell(cells, condition, category).interval();
            let text = format!(
                "{:.1} [{:.0}, {:.0}]",
                1e2 * i.share,
                1e2 * i.low,
                1e2 * i.high
            );
            print!("  {text:>21}");
        }
        println!();
    }
}

fn print_json(conditions: &[Condition], cells: &Cells) -> Result<(), Failure> {
    let rows: Vec<Row<'_>> = conditions
        .iter()
        .enumerate()
        .flat_map(|(c, condition)| {
            categories().map(move |category| {
                let cell = cell(cells, c, category);
                let i = cell.interval();
                Row {
                    condition: condition.name,
                    category,
                    n: cell.n,
                    right: cell.right,
                    unparsed: cell.unparsed,
                    accuracy: i.share,
                    low: i.low,
                    high: i.high,
                }
            })
        })
        .collect();
    println!("{}", serde_json::to_string_pretty(&rows)?);
    Ok(())
}

/// Returns the points that a condition loses in a category.
fn cost(cells: &Cells, condition: usize, category: &str) -> f64 {
    1e2 * (cell(cells, 0, category).interval().share
        - cell(cells, condition, category).interval().share)
}

fn permutation_line(cells: &Cells) -> String {
    let costs: Vec<String> = benchmark::category_order()
        .iter()
        .map(|category| format!("{category} {:.0}", cost(cells, 1, category)))
        .collect();
    format!(
        "Permuting the visual tokens costs, in points: {}.",
        costs.join(", ")
    )
}

fn layers_line(cells: &Cells, layers: u32) -> String {
    let (first, last) = (cost(cells, 3, "all"), cost(cells, 4, "all"));
    let which = if first > last { "first" } else { "last" };
    format!(
        "Without its first {0} of {layers} layers the model loses {first:.0} points, without its \
         last {0} {last:.0}: the {which} ones matter more.",
        layers / 4
    )
}
