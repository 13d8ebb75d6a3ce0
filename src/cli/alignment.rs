//! `scotoma alignment`: mutual nearest neighbours between what a model makes of pictures and
//! features of texts about them.

mod text_reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use scotoma_client::v1::{ModelInfo, Reduction, tokens::Named};
use scotoma_client::{CaptureRequest, CaptureTarget, Client, prompt, target};
use serde_json::json;

use super::benchmark_run::Items;
use super::csv_file::write_csv;
use super::error::{Failure, Usage};
use super::experiment::ExperimentDone;
use super::experiment_report::model_line;
use super::files;
use super::json_output::print_line;
use super::model_args::ModelArgs;
use super::overview::Summary;
use super::progress::Progress;
use crate::benchmark::alignment::{AlignedPair, Features, align};
use crate::benchmark::data::ItemReader;
use crate::benchmark::report::{self, DataTable, Drawing, Part, hook_name};
use crate::benchmark::{self, Item, fill, png};
use text_reader::TextReader;

/// Items in flight.
const IN_FLIGHT: usize = 8;
/// Pairs of layers that the page lists.
const SHOWN: usize = 10;

/// Hook points of the picture's side.
const POINTS: [&str; 2] = [
    "vision_tower.blocks.{l}.hook_resid_post@visual",
    "projector.hook_out@visual",
];
/// Hook points of the text's side.
const TEXT_POINTS: &str = "language_model.blocks.{l}.hook_resid_post";

/// The features that are compared.
#[derive(Debug, Clone, Args)]
pub(super) struct AlignmentArgs {
    /// Text of an item: {question}, {answer}, {hint}, or any other column
    #[arg(long, default_value = "{question} {answer}")]
    text: String,
    /// File of text features from another model, in the order of the rows: .npz or .safetensors,
    /// each array (items, dimensions); or gguf:FILE, a language model that reads the texts. Without
    /// it the model's own does, no picture shown; layers are averaged over tokens
    #[arg(long, value_name = "FILE|gguf:FILE")]
    features: Option<String>,
    /// Hook points of the picture's side, POINT@visual or POINT@class, averaged over these tokens;
    /// {l} stands for all layers. Repeat for several
    #[arg(long, default_values = POINTS)]
    point: Vec<String>,
    /// Neighbours of an item
    #[arg(short, long, default_value_t = 10)]
    k: usize,
    /// Quantile of all |x| to which features are clamped; 1 clamps nothing
    #[arg(long, default_value_t = 0.95)]
    clamp: f64,
}

/// Flags of `alignment`.
#[derive(Debug, Args)]
pub(super) struct Alignment {
    /// File of pictures and texts: a table or a manifest. Default: the items of `shapes`
    #[arg(long)]
    data: Option<PathBuf>,
    /// Use the first LIMIT items that have a picture; 0 uses all
    #[arg(long, default_value_t = 1024)]
    limit: usize,
    #[command(flatten)]
    args: AlignmentArgs,
    /// Folder to write report.html, report.md, the plot, alignment.csv and features.safetensors to
    #[arg(long, default_value = "alignment")]
    report: PathBuf,
    /// Print all pairs as JSON in place of the best one and the report's name
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

impl Alignment {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (data, folder) = (self.data.as_deref(), &self.report);
        let name = self.model.name();
        self.model
            .with_client(async |client| {
                let run = self
                    .args
                    .run(data, self.limit, client, &name, folder, self.json);
                run.await.map(|_| ())
            })
            .await
    }
}

impl Default for AlignmentArgs {
    fn default() -> Self {
        Self {
            text: "{question} {answer}".into(),
            features: None,
            point: POINTS.map(String::from).into(),
            k: 10,
            clamp: 0.95,
        }
    }
}

impl AlignmentArgs {
    /// Writes the report of all pairs of layers to `folder`, and prints the best one, or all as JSON.
    pub(super) async fn run(
        &self,
        data: Option<&Path>,
        limit: usize,
        mut client: Client,
        model: &str,
        folder: &Path,
        json: bool,
    ) -> Result<ExperimentDone, Failure> {
        files::create_folder(folder)?;
        let items: Items = match data {
            Some(path) => Box::new(ItemReader::open(path)?),
            None => Box::new(benchmark::shapes()?.into_iter().map(Ok)),
        };
        let limit = if limit > 0 { limit } else { usize::MAX };
        let info = client.get_model(model).await?;
        let reader = TextReader::load(self.features.clone()).await?;
        let texts_by = reader.name();
        let capturer = self.capturer(client, model, reader)?;
        let (pictures, texts) = capturer.all(items, limit).await?;
        let n = pictures.len();
        let first = by_point(pictures)?;
        let second = match capturer.reader {
            // Its rows are there already, in the order of the items.
            TextReader::File(_, features) => features,
            TextReader::Own | TextReader::Gguf(_) => by_point(texts)?,
        };
        save(&folder.join("features.safetensors"), &first, &second)?;
        let found = align(&first, &second, self.k, self.clamp)?;
        let best = found.first().ok_or("no features")?;
        // `align` has failed where there are no two items.
        let chance = self.k as f64 / (n - 1) as f64;
        let facts = self.facts(&info, n, texts_by);
        let page = AlignmentPage {
            first: &first,
            second: &second,
            found: &found,
            chance,
            n,
            facts: &facts,
        };
        let parts = page.write(folder)?;
        let number = format!(
            "{} ({} and {}); by chance {chance:.3}",
            score_with_interval(best),
            hook_name(&first[best.first].name),
            hook_name(&second[best.second].name)
        );
        let summary = Summary::of_one(n, number);
        if json {
            print_line(&page.json())?;
        } else {
            for line in summary.lines() {
                println!("{line}");
            }
            println!("{}", folder.join("report.html").display());
        }
        Ok(ExperimentDone {
            summary,
            parts,
            ..ExperimentDone::without_report(None)
        })
    }

    fn capturer<'a>(
        &'a self,
        client: Client,
        model: &'a str,
        reader: TextReader,
    ) -> Result<Capturer<'a>, Failure> {
        let pictures = self.point.iter().map(|text| targets(text));
        Ok(Capturer {
            args: self,
            client,
            model,
            pictures: pictures.collect::<Result<_, _>>()?,
            texts: vec![mean(TEXT_POINTS, Named::All)],
            reader,
            progress: Progress::new(None, "items"),
        })
    }

    /// Returns what a report of `n` items says of its run.
    fn facts(&self, model: &ModelInfo, n: usize, texts_by: String) -> [(&'static str, String); 7] {
        [
            ("model", model_line(model)),
            ("model digest", model.digest.clone()),
            ("items", n.to_string()),
            ("k", self.k.to_string()),
            ("clamp", self.clamp.to_string()),
            ("text", self.text.clone()),
            ("texts read by", texts_by),
        ]
    }

    fn text_of(&self, item: &Item) -> String {
        let own = [
            ("question", item.question.as_str()),
            ("answer", &item.answer),
            ("hint", &item.hint),
        ];
        let others = item
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let values: Vec<(&str, &str)> = own.into_iter().chain(others).collect();
        fill(&self.text, &values)
    }
}

/// Features of one item by hook point.
type ItemFeatures = BTreeMap<String, Vec<f32>>;

/// Captures the features of items.
struct Capturer<'a> {
    args: &'a AlignmentArgs,
    client: Client,
    model: &'a str,
    /// Targets of the picture's side, and of the text's.
    pictures: Vec<CaptureTarget>,
    texts: Vec<CaptureTarget>,
    reader: TextReader,
    progress: Progress,
}

impl Capturer<'_> {
    /// Captures the first `limit` items that have a picture: (pictures, texts), item by item.
    async fn all(
        &self,
        items: Items,
        limit: usize,
    ) -> Result<(Vec<ItemFeatures>, Vec<ItemFeatures>), Failure> {
        let pictured = items.filter(has_picture).take(limit);
        let all: Vec<_> = stream::iter(pictured)
            .map(|item| self.item(item))
            // In order, not as they come: rows of both sides, and of a file of features, belong to
            // one item by their number.
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        self.progress.finish();
        Ok(all.into_iter().unzip())
    }

    async fn item(
        &self,
        item: Result<Item, benchmark::Error>,
    ) -> Result<(ItemFeatures, ItemFeatures), Failure> {
        let item = item?;
        let text = self.args.text_of(&item);
        let pictures = self.capture(&text, item.images, &self.pictures).await?;
        let texts = match &self.reader {
            // No picture: what the model makes of the words alone.
            TextReader::Own => self.capture(&text, Vec::new(), &self.texts).await?,
            TextReader::File(..) => ItemFeatures::new(),
            TextReader::Gguf(model) => {
                let model = model.clone();
                let read = tokio::task::spawn_blocking(move || model.features(&text)).await?;
                let named = |e| format!("item {}: {e}", item.id);
                read.map_err(named)?.into_iter().collect()
            }
        };
        self.progress.advance();
        Ok((pictures, texts))
    }

    async fn capture(
        &self,
        text: &str,
        images: Vec<Vec<u8>>,
        targets: &[CaptureTarget],
    ) -> Result<ItemFeatures, Failure> {
        captured(self.client.clone(), self.model, text, images, targets).await
    }
}

/// Tells whether an item has a picture; rows that cannot be read pass, and fail later.
fn has_picture(item: &Result<Item, benchmark::Error>) -> bool {
    // An error goes on, to whoever tells it.
    item.as_ref().map_or(true, |item| !item.images.is_empty())
}

fn mean(point: &str, tokens: Named) -> CaptureTarget {
    let target = scotoma_client::v1::Target {
        tokens: Some([tokens].into()),
        ..target(point)
    };
    CaptureTarget {
        target: Some(target),
        reduction: Reduction::Mean.into(),
        ..Default::default()
    }
}

/// Parses `POINT@TOKENS`.
fn targets(text: &str) -> Result<CaptureTarget, Usage> {
    match text.split_once('@').unwrap_or((text, "visual")) {
        (point, "visual") => Ok(mean(point, Named::Visual)),
        (point, "class") => Ok(mean(point, Named::Class)),
        (_, other) => Err(Usage(format!("--point {text}: {other:?}; visual or class"))),
    }
}

/// Captures the features of one item; views of a picture are averaged.
async fn captured(
    mut client: Client,
    model: &str,
    text: &str,
    images: Vec<Vec<u8>>,
    targets: &[CaptureTarget],
) -> Result<ItemFeatures, Failure> {
    // One picture is one item.
    let images: Vec<Vec<u8>> = images.into_iter().take(1).collect();
    let request = CaptureRequest {
        model: model.into(),
        prompt: Some(prompt(text, images)),
        targets: targets.to_vec(),
        ..Default::default()
    };
    let mut stream = client.capture(request).await?;
    let mut all: BTreeMap<String, (Vec<f32>, f32)> = BTreeMap::new();
    while let Some(activation) = stream.next().await? {
        let values = activation
            .data
            .chunks_exact(4)
            // f32, which a capture is sent as where its request names no other type.
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        // Views of one picture are activations of one point.
        let (sum, count) = all.entry(activation.point.clone()).or_default();
        *count += 1.0;
        if sum.is_empty() {
            sum.extend(values);
        } else {
            sum.iter_mut().zip(values).for_each(|(s, v)| *s += v);
        }
    }
    Ok(all
        .into_iter()
        .map(|(name, (sum, count))| (name, sum.into_iter().map(|v| v / count).collect()))
        .collect())
}

/// Turns features item by item into features point by point, layers in their order.
fn by_point(items: Vec<ItemFeatures>) -> Result<Vec<Features>, Failure> {
    let first = items.first().ok_or("no item has a picture")?;
    let mut names: Vec<String> = first.keys().cloned().collect();
    // By number: as texts layer 10 would come before layer 2.
    names.sort_by_key(|name| layer(name));
    let mut all = Vec::new();
    for name in names {
        let rows = items
            .iter()
            // An empty row where a point is missing: `align` then names the feature whose rows
            // differ in width.
            .map(|item| item.get(&name).cloned().unwrap_or_default())
            .collect();
        all.push(Features { name, rows });
    }
    Ok(all)
}

/// Returns the layer of a hook point's name; points without a layer come last.
fn layer(name: &str) -> usize {
    name.split('.')
        .find_map(|part| part.parse().ok())
        .unwrap_or(usize::MAX)
}

/// Writes all features to one file, from which they can be read again.
fn save(path: &Path, first: &[Features], second: &[Features]) -> Result<(), Failure> {
    let mut tensors = BTreeMap::new();
    for (side, all) in [("pictures", first), ("texts", second)] {
        for features in all {
            // (items, dimensions)
            let tensor = Tensor::new(features.rows.clone(), &Device::Cpu)?;
            // One file for both sides, whose points may have the same names.
            tensors.insert(format!("{side}/{}", features.name), tensor);
        }
    }
    let bytes = safetensors::serialize(tensors.iter(), None)?;
    Ok(files::write(path, &bytes)?)
}

/// The contents of the report.
struct AlignmentPage<'a> {
    first: &'a [Features],
    second: &'a [Features],
    found: &'a [AlignedPair],
    /// The score of random neighbours.
    chance: f64,
    /// Items.
    n: usize,
    facts: &'a [(&'static str, String)],
}

const ABOUT: &str = "Section 3.7 of \"Intriguing Properties of Large Language and Vision Models\" \
    (Lee et al. 2024): of each item the k nearest others by what the model makes of its picture, \
    and by what is made of its text; how many of these are the same (mutual nearest neighbours, \
    Huh et al. 2024). 1 is the same neighbourhoods.";

const NOTES: [&str; 3] = [
    "The intervals are over items, their neighbours as they are; the best of many pairs is the \
     best by luck, too.",
    "The paper's k, N, pooling, layers, and which tensor of LLaVA it takes, are not published.",
    "A LLaVA drops its tower's class token, so that its features are means over patches; CLIP's \
     are usually its class token: pooling is a confound.",
];

impl AlignmentPage<'_> {
    /// Writes the report, and returns what a page about all experiments has of it.
    fn write(&self, folder: &Path) -> Result<Vec<Part>, Failure> {
        let title = "Alignment of pictures and texts";
        let first: Vec<String> = self.first.iter().map(|f| hook_name(&f.name)).collect();
        let second: Vec<String> = self.second.iter().map(|f| hook_name(&f.name)).collect();
        let cells: Vec<((usize, usize), f64)> = self
            .found
            .iter()
            .map(|a| ((a.first, a.second), a.score))
            .collect();
        let svg = report::heat_map("shared neighbours", &first, &second, &cells);
        let heads = ["pictures", "texts", "score [95 % interval]", "n"];
        let caption = "The share of the nearest neighbours of n items that both have, best first.";
        let table = DataTable::new(caption, &heads, self.rows(&first, &second));
        let brief = vec![
            Part::Text(ABOUT.into()),
            Part::Drawing(Drawing {
                name: "alignment".into(),
                about: format!("{title}, layer by layer"),
                svg: svg.clone(),
            }),
            Part::Table(table),
        ];
        let mut parts = brief.clone();
        parts.push(Part::Heading("Mind".into()));
        parts.push(Part::List(NOTES.map(String::from).to_vec()));
        parts.push(Part::Heading("What ran".into()));
        parts.push(Part::List(self.fact_lines()));
        let (text, page) = (report::markdown(title, &parts), report::html(title, &parts));
        files::write(&folder.join("report.md"), text.as_bytes())?;
        files::write(&folder.join("report.html"), page.as_bytes())?;
        files::write(&folder.join("alignment.svg"), svg.as_bytes())?;
        files::write(&folder.join("alignment.png"), &png(&svg)?)?;
        self.write_csv(&folder.join("alignment.csv"))?;
        Ok(brief)
    }

    fn rows(&self, first: &[String], second: &[String]) -> Vec<Vec<String>> {
        let shown = self.found.iter().take(SHOWN).map(|pair| {
            vec![
                first[pair.first].clone(),
                second[pair.second].clone(),
                score_with_interval(pair),
                self.n.to_string(),
            ]
        });
        let mut rows: Vec<Vec<String>> = shown.collect();
        rows.push(vec![
            "by chance, k / (N - 1)".into(),
            String::new(),
            format!("{:.4}", self.chance),
            self.n.to_string(),
        ]);
        rows
    }

    fn fact_lines(&self) -> Vec<String> {
        self.facts
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }

    fn write_csv(&self, path: &Path) -> Result<(), Failure> {
        let rows = self.found.iter().map(|pair| {
            let (first, second) = (&self.first[pair.first], &self.second[pair.second]);
            let (low, high) = pair.interval;
            let mut row = vec![first.name.clone(), second.name.clone()];
            row.extend([pair.score, self.n as f64, low, high].map(|v| v.to_string()));
            row
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let heads = ["pictures", "texts", "score", "n", "low", "high"];
        write_csv(path, &heads, &rows)
    }

    fn json(&self) -> serde_json::Value {
        let facts = self.facts.iter();
        let facts: BTreeMap<&str, &String> = facts.map(|(name, value)| (*name, value)).collect();
        json!({
            "pairs": self.found.iter().map(|pair| self.pair_json(pair)).collect::<Vec<_>>(),
            "chance": self.chance, "facts": facts,
        })
    }

    fn pair_json(&self, pair: &AlignedPair) -> serde_json::Value {
        let (first, second) = (&self.first[pair.first], &self.second[pair.second]);
        let (low, high) = pair.interval;
        json!({
            "pictures": first.name, "texts": second.name, "score": pair.score, "n": self.n,
            "low": low, "high": high,
        })
    }
}

fn score_with_interval(pair: &AlignedPair) -> String {
    let (low, high) = pair.interval;
    format!("{:.4} [{low:.4}, {high:.4}]", pair.score)
}
