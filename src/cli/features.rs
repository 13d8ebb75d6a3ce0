//! `scotoma features`: what the features of a sparse autoencoder fire on, over a file of questions.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use scotoma_client::v1::{Activation, Prompt, Reduction, SaeInfo, Target};
use scotoma_client::{CaptureRequest, CaptureTarget, Client, prompt, target};
use serde_json::json;

use super::benchmark_args::column;
use super::benchmark_run::{Items, no_row, open_items};
use super::capture::TokensArg;
use super::csv_file::write_csv;
use super::dataset::known;
use super::error::{Failure, Usage};
use super::feature_table::{FeatureTable, Question, Summary};
use super::features_page;
use super::files;
use super::json_output::print_line;
use super::model_args::ModelArgs;
use super::progress::Progress;
use crate::benchmark::{Item, Rule, rule};

/// Questions that are asked at once.
const AT_ONCE: usize = 4;
/// Most features of a row that a capture tells.
const MOST_ACTIVE: u32 = 1000;
/// The columns of a table of examples.
const COLUMNS: [&str; 9] = [
    "feature", "rank", "value", "item", "token", "label", "image", "row", "column",
];

/// Flags of `features`.
#[derive(Debug, Args)]
pub(super) struct Features {
    /// A benchmark, such as mmvp; `scotoma eval list` prints all
    #[arg(value_parser = known)]
    rule: String,
    /// File of questions, as `eval` takes it. `shapes` needs none
    #[arg(long)]
    data: Option<PathBuf>,
    /// Name of the sparse autoencoder, where the model has several
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    autoencoder: String,
    /// Features to show, such as 0,5,9. Default: those that fire at most tokens
    #[arg(long, value_name = "FEATURES", value_delimiter = ',')]
    feature: Vec<u32>,
    /// Most features to show, where none are named; 0 shows all that fire
    #[arg(long, default_value_t = 50, conflicts_with = "feature")]
    most: usize,
    /// Examples of each feature: the pictures, or questions, where it is strongest
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    top: u16,
    /// Tokens that are looked at
    #[arg(long, value_enum, default_value = "visual")]
    tokens: TokensArg,
    /// Look at the first LIMIT rows only; 0 looks at all
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Column that holds a part of the questions, as for `eval`. Repeat for several
    #[arg(long, value_name = "PART=COLUMN", value_parser = column)]
    column: Vec<(String, String)>,
    /// Skip rows that cannot be read, and count them
    #[arg(long)]
    skip_bad: bool,
    /// File to write: .html (a page of the pictures, the place marked) or .csv. Repeat for several
    #[arg(short, long, value_name = "FILE", value_parser = out_file)]
    out: Vec<PathBuf>,
    /// Print JSON: `sae`, `items`, `skipped`, `tokens` and `features`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// Parses the name of a file to write.
fn out_file(text: &str) -> Result<PathBuf, String> {
    files::of_kind(text, &["html", "csv"])
}

impl Features {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let rule = rule(&self.rule).ok_or_else(|| Usage(format!("no benchmark {}", self.rule)))?;
        // Before a model is loaded.
        if self.items()?.next().is_none() {
            return Err(no_row(self.data.as_deref()));
        }
        self.model
            .with_client(async |client| self.look(client, rule).await)
            .await
    }

    /// Opens the items.
    fn items(&self) -> Result<Items, Failure> {
        let data = self.data.as_deref();
        open_items(&self.rule, data, &self.column, self.limit)
    }

    async fn look(&self, mut client: Client, rule: &Rule) -> Result<(), Failure> {
        let model = client.get_model(&self.model.name()).await?;
        let sae = self.autoencoder_of(model.saes)?;
        let chosen = self.chosen(&sae)?;
        let mut table = FeatureTable::new(usize::from(self.top), chosen);
        let skipped = self.read(&client, rule, &sae, &mut table).await?;
        let shown = table.summaries(self.most);
        for path in &self.out {
            if path.extension().is_some_and(|kind| kind == "csv") {
                write_csv(path, &COLUMNS, &rows(&shown))?;
                continue;
            }
            // Read once more: of all pictures only those that are shown are ever held.
            let asked = self.items()?.flatten().map(|item| asked(item, rule));
            let name = self.model.name();
            let page = features_page::page(&mut client, &name, &sae, &table, &shown, asked).await?;
            files::write(path, page.as_bytes())?;
        }
        self.print(&sae, &table, &shown, skipped)
    }

    fn autoencoder_of(&self, saes: Vec<SaeInfo>) -> Result<SaeInfo, Usage> {
        let names: Vec<String> = saes.iter().map(|sae| sae.name.clone()).collect();
        // The empty name fits all, of which there must then be one.
        let is_asked = |sae: &&SaeInfo| self.autoencoder == sae.name || self.autoencoder.is_empty();
        let mut found = saes.iter().filter(is_asked);
        match (found.next(), found.next()) {
            (Some(sae), None) => Ok(sae.clone()),
            (Some(_), Some(_)) => Err(Usage(format!(
                "--autoencoder: the model has several; name one of {}",
                names.join(", ")
            ))),
            (None, _) if names.is_empty() => Err(Usage(
                "the model has no sparse autoencoder; --sae NAME=FOLDER loads one beside it".into(),
            )),
            (None, _) => Err(Usage(format!(
                "--autoencoder {}: there are {}",
                self.autoencoder,
                names.join(", ")
            ))),
        }
    }

    /// Returns the features that are named; `None` where none are.
    fn chosen(&self, sae: &SaeInfo) -> Result<Option<Vec<u32>>, Usage> {
        if let Some(wrong) = self.feature.iter().find(|f| **f >= sae.features) {
            let count = sae.features;
            let message = format!("--feature: {wrong} is not below {count}, the features of it");
            return Err(Usage(message));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = self.feature.iter().find(|feature| !seen.insert(**feature)) {
            return Err(Usage(format!("--feature: {twice} is named twice")));
        }
        Ok((!self.feature.is_empty()).then(|| self.feature.clone()))
    }

    /// Adds the features of all questions to `table`; returns how many rows could not be read.
    async fn read(
        &self,
        client: &Client,
        rule: &Rule,
        sae: &SaeInfo,
        table: &mut FeatureTable,
    ) -> Result<usize, Failure> {
        let progress = Progress::new(None, "questions");
        let mut skipped = 0;
        let items = self.items()?.filter_map(|item| match item {
            Ok(item) => Some(Ok(item)),
            Err(_) if self.skip_bad => {
                skipped += 1;
                None
            }
            Err(error) => Some(Err(format!("{error} (--skip-bad goes on without it)"))),
        });
        // In order, however they come back: the first of equals is kept.
        let mut read = stream::iter(items)
            .map(|item| {
                let (client, target) = (client.clone(), self.target(sae));
                async move {
                    let asked = asked(item?, rule);
                    let captured = capture(client, self.model.name(), target, &asked).await;
                    let captured = captured.map_err(|e| format!("item {}: {e}", asked.id))?;
                    Ok::<_, Failure>((asked, captured))
                }
            })
            .buffered(AT_ONCE);
        while let Some((asked, captured)) = read.try_next().await? {
            table.add(&asked, &captured);
            progress.advance();
        }
        // It borrows `skipped`.
        drop(read);
        progress.finish();
        Ok(skipped)
    }

    fn target(&self, sae: &SaeInfo) -> CaptureTarget {
        let target = Target {
            tokens: Some([self.tokens.named()].into()),
            ..target(&sae.hook_point)
        };
        CaptureTarget {
            target: Some(target),
            reduction: Reduction::TopFeatures.into(),
            top: MOST_ACTIVE,
            sae: sae.name.clone(),
            ..CaptureTarget::default()
        }
    }

    fn print(
        &self,
        sae: &SaeInfo,
        table: &FeatureTable,
        shown: &[Summary<'_>],
        skipped: usize,
    ) -> Result<(), Failure> {
        if table.is_cut(MOST_ACTIVE) {
            eprintln!(
                "some tokens have {MOST_ACTIVE} active features or more; the strongest \
                 {MOST_ACTIVE} of each were counted"
            );
        }
        if self.json {
            return print_line(&json!({
                "sae": sae, "items": table.items, "skipped": skipped, "tokens": table.tokens,
                "features": shown.iter().map(Summary::json).collect::<Vec<_>>(),
            }));
        }
        println!(
            "{} of {}: {} features, {} of them fire at {} tokens of {} questions ({skipped} rows \
             left out)\n",
            sae.name,
            sae.hook_point,
            sae.features,
            table.fired(),
            table.tokens,
            table.items
        );
        let (tokens, items) = ("tokens, %", "items, %");
        println!(
            "feature {tokens:>10} {items:>9} {:>8} {:>8}  strongest",
            "mean", "largest"
        );
        shown.iter().for_each(|own| println!("{}", own.line()));
        Ok(())
    }
}

/// Returns an item as the benchmark's rule puts it.
fn asked(mut item: Item, rule: &Rule) -> Question {
    let text = (rule.prompt)(&item);
    Question {
        id: std::mem::take(&mut item.id),
        images: item.images,
        text,
    }
}

async fn capture(
    mut client: Client,
    model: String,
    target: CaptureTarget,
    asked: &Question,
) -> Result<Vec<Activation>, Failure> {
    let prompt: Prompt = prompt(&asked.text, asked.images.iter().cloned());
    let request = CaptureRequest {
        model,
        prompt: Some(prompt),
        targets: vec![target],
        ..CaptureRequest::default()
    };
    let mut captured = client.capture(request).await?;
    let mut activations = Vec::new();
    while let Some(activation) = captured.next().await? {
        activations.push(activation);
    }
    captured.finish().await?;
    Ok(activations)
}

/// Returns a line of a table for each example.
fn rows(shown: &[Summary<'_>]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for own in shown {
        for (rank, example) in own.examples().iter().enumerate() {
            let patch = example.patch.as_ref();
            let place = patch.map(|p| [p.image, p.row, p.column].map(|n| n.to_string()));
            let [image, row, column] = place.unwrap_or_default();
            rows.push(vec![
                own.feature.to_string(),
                (rank + 1).to_string(),
                example.value.to_string(),
                example.item.clone(),
                example.token.to_string(),
                example.label.clone(),
                image,
                row,
                column,
            ]);
        }
    }
    rows
}
