//! `scotoma alignment`: mutual nearest neighbours between what a model makes of pictures and
//! features of texts about them.

mod capture;
mod image_encoder;
mod item_source;
mod page;
mod side;
mod text_reader;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::Client;
use scotoma_client::v1::ModelInfo;

use super::error::{Failure, Usage};
use super::experiment::ExperimentDone;
use super::experiment_report::model_line;
use super::files;
use super::json_output::print_line;
use super::model_args::ModelArgs;
use super::overview::Summary;
use crate::benchmark::alignment::{Features, align};
use crate::nn::DeviceId;
use capture::Capturer;
use image_encoder::{EncoderFlag, FetchedEncoder};
use item_source::ItemSource;
use page::{AlignmentPage, score_with_interval};
use side::Side;
use text_reader::{ReadTexts, ReaderFlag, TextReader};

/// Hook points of the picture's side.
const POINTS: [&str; 2] = [
    "vision_tower.blocks.{l}.hook_resid_post@visual",
    "projector.hook_out@visual",
];

/// The features that are compared.
#[derive(Debug, Clone, Args)]
pub(super) struct AlignmentArgs {
    /// Text of an item: {question}, {answer}, {hint}, or any other column
    #[arg(long, default_value = "{question} {answer}")]
    text: String,
    /// Where the text's side comes from: a file of features, clip:PLACE, gguf:FILE, or own. Repeat
    /// for several
    ///
    /// A .npz or .safetensors of another model's features, in the order of the rows, each array
    /// (items, dimensions); the text tower of a CLIP or SigLIP, a folder or a hub id; a language
    /// model in a GGUF file; or the model itself, no picture shown (the default). Layers are
    /// averaged over a text's tokens.
    #[arg(long, value_name = "FILE|clip:PLACE|gguf:FILE|own")]
    features: Vec<String>,
    /// Hook points of the picture's side, POINT@visual or POINT@class, averaged over these tokens;
    /// {l} stands for all layers. Repeat for several
    #[arg(long, default_values = POINTS)]
    point: Vec<String>,
    /// Encoder that sees the pictures, too: a folder or a hub id of a CLIP, SigLIP, ViT or DINOv2.
    /// Repeat for several
    ///
    /// Whole, or its vision tower alone. Its layers (the class token, and the mean over patches)
    /// and its pooled embedding stand beside those of the model's points. NAME=PLACE gives it
    /// another name than its folder's.
    #[arg(long, value_name = "PLACE")]
    vision: Vec<String>,
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
        let sources = self.args.sources()?;
        let source = self.args.item_source(self.data.as_deref(), self.limit);
        let (name, device) = (self.model.name(), self.model.device()?);
        let (args, folder, json) = (&self.args, &self.report, self.json);
        self.model
            .with_client(async |client| {
                let run = args.run_with(sources, &source, (client, &name), device, folder, json);
                Box::pin(run).await.map(|_| ())
            })
            .await
    }
}

impl Default for AlignmentArgs {
    fn default() -> Self {
        Self {
            text: "{question} {answer}".into(),
            features: Vec::new(),
            point: POINTS.map(String::from).into(),
            vision: Vec::new(),
            k: 10,
            clamp: 0.95,
        }
    }
}

/// What the flags name beside the served model.
struct Sources {
    encoders: Vec<EncoderFlag>,
    readers: Vec<ReaderFlag>,
}

impl Sources {
    /// Fetches all files and checks what can be told without weights.
    async fn open(self) -> Result<(Vec<FetchedEncoder>, Vec<TextReader>), Failure> {
        let mut encoders = Vec::new();
        for flag in self.encoders {
            encoders.push(flag.fetch().await?);
        }
        let mut readers = Vec::new();
        for flag in self.readers {
            readers.push(flag.open().await?);
        }
        Ok((encoders, readers))
    }
}

impl AlignmentArgs {
    /// Parses all flags, before anything is begun.
    fn sources(&self) -> Result<Sources, Usage> {
        capture::targets(&self.point)?;
        let encoders = self.vision.iter().map(|text| EncoderFlag::parse(text));
        let encoders: Vec<_> = encoders.collect::<Result<_, _>>()?;
        distinct("--vision", encoders.iter().map(EncoderFlag::name))?;
        let own = ["own".to_owned()];
        let named = if self.features.is_empty() {
            &own[..]
        } else {
            &self.features[..]
        };
        let readers = named.iter().map(|text| ReaderFlag::parse(text));
        let readers: Vec<_> = readers.collect::<Result<_, _>>()?;
        distinct("--features", readers.iter().map(ReaderFlag::name))?;
        Ok(Sources { encoders, readers })
    }

    fn item_source(&self, data: Option<&Path>, limit: usize) -> ItemSource {
        ItemSource {
            data: data.map(Path::to_owned),
            limit,
            text: self.text.clone(),
        }
    }

    /// Writes the report of all pairs of layers to `folder`, and prints the best one, or all as JSON.
    pub(super) async fn run(
        &self,
        data: Option<&Path>,
        limit: usize,
        client: (Client, &str),
        device: DeviceId,
        folder: &Path,
        json: bool,
    ) -> Result<ExperimentDone, Failure> {
        let source = self.item_source(data, limit);
        let sources = self.sources()?;
        self.run_with(sources, &source, client, device, folder, json)
            .await
    }

    async fn run_with(
        &self,
        sources: Sources,
        source: &ItemSource,
        (mut client, model): (Client, &str),
        device: DeviceId,
        folder: &Path,
        json: bool,
    ) -> Result<ExperimentDone, Failure> {
        files::create_folder(folder)?;
        let info = client.get_model(model).await?;
        let mut facts = self.facts(&info);
        // Of all of them, before one looks at an item: the last one's mistake would cost the work of
        // all others. The served model comes last, since its files have been read.
        let (encoders, readers) = sources.open().await?;
        let own = readers.iter().any(TextReader::is_own);
        let mut seen = Side::default();
        for encoder in encoders {
            let (name, features, fact) = encoder.see(source.items()?, device).await?;
            seen.add(&name, features);
            facts.push((format!("pictures seen by {name}"), fact));
        }
        let mut read = Vec::new();
        for reader in readers {
            read.push(reader.read(source.texts()?, device).await?);
        }
        let capturer = Capturer::new(source, &self.point, (client, model), own)?;
        let (pictures, own_texts) = capturer.all().await?;
        let n = pictures.first().map_or(0, |features| features.rows.len());
        facts.insert(2, ("items".into(), n.to_string()));
        let mut first = Side::default();
        first.add(&info.name, pictures);
        first.append(seen);
        let second = texts_side(read, own_texts, &mut facts);
        side::save(&folder.join("features.safetensors"), &first, &second)?;
        self.report((&first, &second), n, &facts, folder, json)
    }

    /// Compares both sides, writes the report and prints what was found.
    fn report(
        &self,
        (first, second): (&Side, &Side),
        n: usize,
        facts: &[(String, String)],
        folder: &Path,
        json: bool,
    ) -> Result<ExperimentDone, Failure> {
        let found = align(&first.features, &second.features, self.k, self.clamp)?;
        let best = found.first().ok_or("no features")?;
        // `align` has failed where there are no two items.
        let chance = self.k as f64 / (n - 1) as f64;
        let page = AlignmentPage {
            first,
            second,
            found: &found,
            chance,
            n,
            facts,
        };
        let parts = page.write(folder)?;
        let number = format!(
            "{} ({} and {}); by chance {chance:.3}",
            score_with_interval(best),
            first.names()[best.first],
            second.names()[best.second]
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

    /// Returns what a report says of its run, but for the items and who has seen them.
    fn facts(&self, model: &ModelInfo) -> Vec<(String, String)> {
        let facts = [
            ("model", model_line(model)),
            ("model digest", model.digest.clone()),
            ("k", self.k.to_string()),
            ("clamp", self.clamp.to_string()),
            ("text", self.text.clone()),
        ];
        facts.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// Puts together what was read, `own` in the place of the served model, and says it among the facts.
/// Of several readers each stands before the names of its features.
fn texts_side(
    read: Vec<ReadTexts>,
    mut own: Vec<Features>,
    facts: &mut Vec<(String, String)>,
) -> Side {
    let mut side = Side::default();
    let alone = read.len() == 1;
    for ReadTexts {
        name,
        features,
        fact,
    } in read
    {
        let mut features = features.unwrap_or_else(|| std::mem::take(&mut own));
        if alone {
            facts.push(("texts read by".into(), fact));
        } else {
            facts.push((format!("texts read by {name}"), fact));
            for each in &mut features {
                each.name = format!("{name}/{}", each.name);
            }
        }
        side.add(&name, features);
    }
    side
}

/// Fails where two of a flag's values have one name in the report.
fn distinct<'a>(flag: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Usage> {
    let mut known = BTreeSet::new();
    for name in names {
        if !known.insert(name) {
            return Err(Usage(format!(
                "{flag}: two are called {name}; each needs a name of its own in the report, which \
                 NAME=PLACE or another file's name gives"
            )));
        }
    }
    Ok(())
}
