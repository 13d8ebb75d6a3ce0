//! `scotoma alignment`: mutual nearest neighbours between what a model makes of pictures and
//! features of texts about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use scotoma_client::v1::{Reduction, tokens::Named};
use scotoma_client::{CaptureRequest, CaptureTarget, Client, prompt, target};

use super::Failure;
use super::experiment::write;
use super::served::{Served, stop};
use crate::benchmark::alignment::{Aligned, Features, align};
use crate::benchmark::data::Rows;
use crate::benchmark::{self, Item, fill, png, report};

/// Items that are on their way at once.
const IN_FLIGHT: usize = 8;
/// Pairs that a page names.
const SHOWN: usize = 10;

/// What is compared.
#[derive(Debug, Clone, Args)]
pub(super) struct Compared {
    /// What is read of an item's text: {question}, {answer}, {hint}, or any other column
    #[arg(long, default_value = "{question} {answer}")]
    text: String,
    /// Features of the texts from elsewhere, in the order of the rows: .npz or .safetensors, each
    /// array (items, dimensions). Without it the model's own language model reads the texts, no
    /// picture shown, and its layers are averaged over tokens
    #[arg(long)]
    features: Option<PathBuf>,
    /// Hook points of the picture's side, POINT@visual or POINT@class, averaged over these tokens;
    /// {l} stands for all layers. Repeat for several
    #[arg(long, default_values = ["vision_tower.blocks.{l}.hook_resid_post@visual", "projector.hook_out@visual"])]
    point: Vec<String>,
    /// Neighbours of an item
    #[arg(short, long, default_value_t = 10)]
    k: usize,
    /// Entries are clamped to this quantile of all |x|; 1 clamps nothing
    #[arg(long, default_value_t = 0.95)]
    clamp: f64,
}

/// Flags of `alignment`.
#[derive(Debug, Args)]
pub(super) struct Alignment {
    /// The pictures and texts: a table or a manifest. Without it the items of `shapes`
    #[arg(long)]
    data: Option<PathBuf>,
    /// The first this many items that have a picture. 0: all
    #[arg(long, default_value_t = 1024)]
    limit: usize,
    #[command(flatten)]
    compared: Compared,
    /// Where report.html, report.md, the plot, alignment.csv and features.safetensors go
    #[arg(long, default_value = "alignment")]
    report: PathBuf,
    #[command(flatten)]
    served: Served,
}

impl Alignment {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (local, client) = self.served.connect().await?;
        let done = self
            .compared
            .run(
                self.data.as_deref(),
                self.limit,
                client,
                &self.served.name(),
                &self.report,
            )
            .await;
        stop(local).await?;
        done.map(|_| ())
    }
}

impl Default for Compared {
    fn default() -> Self {
        let point = [
            "vision_tower.blocks.{l}.hook_resid_post@visual",
            "projector.hook_out@visual",
        ]
        .map(String::from);
        Self {
            text: "{question} {answer}".into(),
            features: None,
            point: point.into(),
            k: 10,
            clamp: 0.95,
        }
    }
}

impl Compared {
    /// Writes the report of all pairs of layers to `folder`, and says what the best one is.
    pub(super) async fn run(
        &self,
        data: Option<&Path>,
        limit: usize,
        client: Client,
        model: &str,
        folder: &Path,
    ) -> Result<String, Failure> {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let limit = if limit > 0 { limit } else { usize::MAX };
        let rows: super::eval::Items = match data {
            Some(path) => Box::new(Rows::open(path)?),
            None => Box::new(benchmark::shapes()?.into_iter().map(Ok)),
        };
        let seen = |item: &Result<Item, benchmark::Error>| {
            item.as_ref().map_or(true, |i| !i.images.is_empty())
        };
        let mut client_of_info = client.clone();
        let info = client_of_info.get_model(model).await?;
        let pictures = self
            .point
            .iter()
            .map(|text| targets(text))
            .collect::<Result<Vec<_>, _>>()?;
        let words = vec![mean(
            "language_model.blocks.{l}.hook_resid_post",
            Named::All,
        )];
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} items, {per_sec}") {
            bar.set_style(style);
        }
        let own_texts = self.features.is_none();
        let one = |item: Result<Item, benchmark::Error>| {
            let (client, pictures, words, bar) = (client.clone(), &pictures, &words, &bar);
            async move {
                let item = item?;
                let text = self.text_of(&item);
                let first = captured(client.clone(), model, &text, item.images, pictures).await?;
                let second = if own_texts {
                    captured(client, model, &text, Vec::new(), words).await?
                } else {
                    BTreeMap::new()
                };
                bar.inc(1);
                Ok::<_, Failure>((first, second))
            }
        };
        let all: Vec<_> = stream::iter(rows.filter(seen).take(limit))
            .map(one)
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        bar.finish_and_clear();
        let n = all.len();
        let (first, second): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let first = gathered(first)?;
        let second = match &self.features {
            Some(path) => read(path)?,
            None => gathered(second)?,
        };
        save(&folder.join("features.safetensors"), &first, &second)?;
        let found = align(&first, &second, self.k, self.clamp)?;
        let best = found.first().ok_or("no features")?;
        let chance = self.k as f64 / (n - 1) as f64;
        let facts = [
            (
                "model",
                format!(
                    "{} ({}, {} on {})",
                    info.name, info.family, info.dtype, info.device
                ),
            ),
            ("model digest", info.digest.clone()),
            ("items", n.to_string()),
            ("k", self.k.to_string()),
            ("clamp", self.clamp.to_string()),
            ("text", self.text.clone()),
            (
                "texts read by",
                self.features
                    .as_ref()
                    .map_or("the model itself".into(), |p| p.display().to_string()),
            ),
        ];
        let page = Page {
            first: &first,
            second: &second,
            found: &found,
            chance,
            facts: &facts,
        };
        page.write(folder)?;
        println!("{}", folder.join("report.html").display());
        Ok(format!(
            "{:.3} by {} and {}; by chance {chance:.3}",
            best.score, first[best.first].name, second[best.second].name
        ))
    }

    fn text_of(&self, item: &Item) -> String {
        let own = [
            ("question", &item.question),
            ("answer", &item.answer),
            ("hint", &item.hint),
        ];
        let others = item
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let values: Vec<(&str, &str)> = own
            .iter()
            .map(|(n, v)| (*n, v.as_str()))
            .chain(others)
            .collect();
        fill(&self.text, &values)
    }
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

/// `POINT@TOKENS`.
fn targets(text: &str) -> Result<CaptureTarget, String> {
    match text.split_once('@').unwrap_or((text, "visual")) {
        (point, "visual") => Ok(mean(point, Named::Visual)),
        (point, "class") => Ok(mean(point, Named::Class)),
        (_, other) => Err(format!("--point {text}: {other:?}; visual or class")),
    }
}

/// The features of one item by their names; views of a picture are averaged.
async fn captured(
    mut client: Client,
    model: &str,
    text: &str,
    images: Vec<Vec<u8>>,
    targets: &[CaptureTarget],
) -> Result<BTreeMap<String, Vec<f32>>, Failure> {
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
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let (sum, count) = all.entry(activation.point.clone()).or_default();
        *count += 1.0;
        if sum.is_empty() {
            sum.extend(values);
        } else {
            sum.iter_mut().zip(values).for_each(|(s, v)| *s += v);
        }
    }
    let mean = |(name, (sum, count)): (String, (Vec<f32>, f32))| {
        (name, sum.into_iter().map(|v| v / count).collect())
    };
    Ok(all.into_iter().map(mean).collect())
}

/// Item by item becomes point by point, layers in their order.
fn gathered(items: Vec<BTreeMap<String, Vec<f32>>>) -> Result<Vec<Features>, Failure> {
    let mut names: Vec<String> = items
        .first()
        .ok_or("no item has a picture")?
        .keys()
        .cloned()
        .collect();
    let number = |name: &String| {
        name.split('.')
            .find_map(|part| part.parse::<usize>().ok())
            .unwrap_or(usize::MAX)
    };
    names.sort_by_key(number);
    let of = |name: String| {
        let row = |item: &BTreeMap<String, Vec<f32>>| item.get(&name).cloned().unwrap_or_default();
        Features {
            rows: items.iter().map(row).collect(),
            name,
        }
    };
    Ok(names.into_iter().map(of).collect())
}

/// Arrays `(items, dimensions)` of a file.
fn read(path: &Path) -> Result<Vec<Features>, Failure> {
    let wrong = |e: &dyn std::fmt::Display| format!("--features {}: {e}", path.display());
    let tensors: BTreeMap<String, Tensor> = match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => Tensor::read_npz(path)
            .map_err(|e| wrong(&e))?
            .into_iter()
            .collect(),
        Some("safetensors") => candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|e| wrong(&e))?
            .into_iter()
            .collect(),
        _ => return Err(wrong(&"a name that ends in .npz or .safetensors is needed").into()),
    };
    let of = |(name, tensor): (String, Tensor)| {
        let rows = tensor.to_dtype(DType::F32).and_then(|t| t.to_vec2());
        Ok(Features {
            rows: rows.map_err(|e| wrong(&format!("{name}: {e}")))?,
            name,
        })
    };
    tensors.into_iter().map(of).collect()
}

/// All features as one file, from which they can be read again.
fn save(path: &Path, first: &[Features], second: &[Features]) -> Result<(), Failure> {
    let mut tensors = BTreeMap::new();
    for (side, all) in [("pictures", first), ("texts", second)] {
        for features in all {
            let tensor = Tensor::new(features.rows.clone(), &Device::Cpu)?;
            tensors.insert(format!("{side}/{}", features.name), tensor);
        }
    }
    let bytes = safetensors::serialize(tensors.iter(), None)?;
    std::fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()).into())
}

struct Page<'a> {
    first: &'a [Features],
    second: &'a [Features],
    found: &'a [Aligned],
    chance: f64,
    facts: &'a [(&'static str, String)],
}

impl Page<'_> {
    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let name = |f: &Features| {
            f.name
                .replace(".hook_resid_post", "")
                .replace(".blocks.", " ")
        };
        let (first, second): (Vec<String>, Vec<String>) = (
            self.first.iter().map(name).collect(),
            self.second.iter().map(name).collect(),
        );
        let cells: Vec<((usize, usize), f64)> = self
            .found
            .iter()
            .map(|a| ((a.first, a.second), a.score))
            .collect();
        let svg = report::field("shared neighbours", &first, &second, &cells);
        let row = |a: &Aligned| {
            vec![
                first[a.first].clone(),
                second[a.second].clone(),
                format!("{:.4}", a.score),
            ]
        };
        let mut rows: Vec<Vec<String>> = self.found.iter().take(SHOWN).map(row).collect();
        rows.push(vec![
            "by chance, k / (N - 1)".into(),
            String::new(),
            format!("{:.4}", self.chance),
        ]);
        let about = "Section 3.7 of \"Intriguing Properties of Large Language and Vision Models\" (Lee et al. 2024): of each item the k nearest \
                     others by what the model makes of its picture, and by what is made of its text; how many of these are the same \
                     (mutual nearest neighbours, Huh et al. 2024). 1 is the same neighbourhoods.";
        let notes = [
            "The paper's k, N, pooling, layers, and which tensor of LLaVA it takes, are not published.",
            "A LLaVA drops its tower's class token, so that its features are means over patches; CLIP's are usually its class token: pooling is a confound.",
        ];
        let facts: Vec<String> = self
            .facts
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let table = (
            ["pictures", "texts", "score"].map(String::from).to_vec(),
            rows,
        );
        let lists = [
            ("Mind".to_owned(), notes.map(String::from).to_vec()),
            ("What ran".to_owned(), facts),
        ];
        let (markdown, html) = report::page(
            "Alignment of pictures and texts",
            about,
            ("alignment.svg", &svg),
            &table,
            &lists,
        );
        write(folder, "report.md", markdown.as_bytes())?;
        write(folder, "report.html", html.as_bytes())?;
        write(folder, "alignment.svg", svg.as_bytes())?;
        write(folder, "alignment.png", &png(&svg)?)?;
        let line = |a: &Aligned| {
            format!(
                "{},{},{}\n",
                self.first[a.first].name, self.second[a.second].name, a.score
            )
        };
        let all: String = self.found.iter().map(line).collect();
        write(
            folder,
            "alignment.csv",
            format!("pictures,texts,score\n{all}").as_bytes(),
        )
    }
}
