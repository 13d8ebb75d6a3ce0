//! Where the features of texts come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::item_source::Texts;
use crate::benchmark::alignment::Features;
use crate::cli::error::{Failure, Usage};
use crate::cli::origin::{fetch, named_origin};
use crate::cli::progress::Progress;
use crate::model::{
    self, EncoderFeatures, Origin, PreparedTextModel, Purpose, Source, TextEncoder,
};
use crate::nn::DeviceId;

/// Before the file of a language model that reads the texts.
const GGUF: &str = "gguf:";
/// Before the place of a CLIP or SigLIP whose text tower does.
const CLIP: &str = "clip:";
/// The served model.
const OWN: &str = "own";

/// A value of `--features`.
pub(super) struct ReaderFlag {
    /// As it was given, for messages.
    given: String,
    name: String,
    place: Place,
}

enum Place {
    Own,
    File(PathBuf),
    Gguf(PathBuf),
    Clip(Origin),
}

/// Says where the features of texts come from.
pub(super) struct TextReader {
    given: String,
    name: String,
    kind: Kind,
}

enum Kind {
    /// From the model that sees the pictures.
    Own,
    /// From a file.
    File(PathBuf, Vec<Features>),
    /// From another language model, in this process.
    Gguf(Box<PreparedTextModel>),
    /// From the text tower of a CLIP or SigLIP, in this process.
    Clip(Source),
}

impl ReaderFlag {
    /// Parses a file, `gguf:FILE`, `clip:PLACE`, `clip:NAME=PLACE` or `own`.
    pub(super) fn parse(given: &str) -> Result<Self, Usage> {
        let stem = |path: &Path| {
            let stem = path.file_stem().unwrap_or_default();
            stem.to_string_lossy().into_owned()
        };
        let (name, place) = if given == OWN {
            (OWN.to_owned(), Place::Own)
        } else if let Some(file) = given.strip_prefix(GGUF) {
            (stem(Path::new(file)), Place::Gguf(file.into()))
        } else if let Some(place) = given.strip_prefix(CLIP) {
            let named = named_origin(place);
            let (name, origin) = named.map_err(|e| Usage(format!("--features {given}: {e}")))?;
            (name, Place::Clip(origin))
        } else {
            (stem(Path::new(given)), Place::File(given.into()))
        };
        Ok(Self {
            given: given.to_owned(),
            name,
            place,
        })
    }

    /// Returns its name in the report.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads a file of features, or the files of a model but for its weights.
    pub(super) async fn open(self) -> Result<TextReader, Failure> {
        let Self { given, name, place } = self;
        let kind = match place {
            Place::Own => Kind::Own,
            Place::Clip(origin) => {
                let source = fetch(origin, Purpose::Part).await?;
                let checked = TextEncoder::check(&source);
                checked.map_err(|why| wrong(&given, &why))?;
                Kind::Clip(source)
            }
            Place::File(path) => {
                let read = tokio::task::spawn_blocking(move || {
                    read_features(&path).map(|all| Kind::File(path, all))
                });
                read.await?.map_err(|why| wrong(&given, &why))?
            }
            Place::Gguf(path) => {
                let open = tokio::task::spawn_blocking(move || PreparedTextModel::open(&path));
                Kind::Gguf(Box::new(open.await?.map_err(|why| wrong(&given, &why))?))
            }
        };
        Ok(TextReader { given, name, kind })
    }
}

impl TextReader {
    /// Tells whether it is the served model.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.kind, Kind::Own)
    }

    /// Reads texts. The reader is let go of with the last one.
    pub(super) async fn read(self, texts: Texts, device: DeviceId) -> Result<ReadTexts, Failure> {
        let Self { given, name, kind } = self;
        let label = name.clone();
        let task = match kind {
            Kind::Own => return Ok(ReadTexts::new(name, None, "the model itself".into())),
            Kind::File(path, features) => {
                let fact = path.display().to_string();
                return Ok(ReadTexts::new(name, Some(features), fact));
            }
            Kind::Gguf(model) => tokio::task::spawn_blocking(move || {
                let model = model.load().map_err(|why| wrong(&given, &why))?;
                let rows = |text: &str| {
                    let one = |(name, row)| (name, vec![row]);
                    let features = model.features(text)?.into_iter();
                    Ok::<EncoderFeatures, model::Error>(features.map(one).collect())
                };
                Ok::<_, Failure>((read_all(texts, &label, rows)?, model.name()))
            }),
            Kind::Clip(source) => tokio::task::spawn_blocking(move || {
                // Opened here: all of its tensors stay on this thread.
                let encoder = TextEncoder::load(&source, &device.open()?);
                let encoder = encoder.map_err(|why| wrong(&given, &why))?;
                let features = read_all(texts, &label, |text| encoder.features(text))?;
                let (kind, digest) = (encoder.kind(), encoder.digest());
                Ok((features, format!("{label} ({kind}, BLAKE3 {digest})")))
            }),
        };
        let (features, fact) = task.await??;
        Ok(ReadTexts::new(name, Some(features), fact))
    }
}

/// What a reader has made of the texts.
pub(super) struct ReadTexts {
    /// Its name in the report.
    pub(super) name: String,
    /// `None` where the served model reads them.
    pub(super) features: Option<Vec<Features>>,
    /// Says who it is.
    pub(super) fact: String,
}

impl ReadTexts {
    fn new(name: String, features: Option<Vec<Features>>, fact: String) -> Self {
        Self {
            name,
            features,
            fact,
        }
    }
}

fn wrong(given: &str, why: &dyn std::fmt::Display) -> String {
    format!("--features {given}: {why}")
}

/// Reads texts one by one: names of features, and one row of each for a text.
fn read_all(
    texts: Texts,
    name: &str,
    read: impl Fn(&str) -> Result<EncoderFeatures, model::Error>,
) -> Result<Vec<Features>, Failure> {
    let progress = Progress::new(None, "texts");
    progress.note(name.to_owned());
    let mut all: Vec<Features> = Vec::new();
    for item in texts {
        let (id, text) = item?;
        let found = read(&text).map_err(|e| format!("item {id}: {e}"))?;
        for (i, (name, rows)) in found.into_iter().enumerate() {
            match all.get_mut(i) {
                Some(known) => known.rows.extend(rows),
                None => all.push(Features { name, rows }),
            }
        }
        progress.advance();
    }
    progress.finish();
    Ok(all)
}

/// Reads the arrays `(items, dimensions)` of a file.
fn read_features(path: &Path) -> Result<Vec<Features>, String> {
    let tensors: BTreeMap<String, Tensor> = match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => {
            let arrays = Tensor::read_npz(path).map_err(|e| e.to_string())?;
            arrays.into_iter().collect()
        }
        Some("safetensors") => {
            let arrays = candle_core::safetensors::load(path, &Device::Cpu);
            // Sorted below: candle returns a HashMap, whose order is another one in each run.
            arrays.map_err(|e| e.to_string())?.into_iter().collect()
        }
        _ => {
            let valid =
                "a name that ends in .npz or .safetensors, gguf:FILE, clip:PLACE or own is needed";
            return Err(valid.into());
        }
    };
    let mut all = Vec::new();
    for (name, tensor) in tensors {
        // (items, dimensions); another rank is `to_vec2`'s error.
        let rows = tensor.to_dtype(DType::F32).and_then(|t| t.to_vec2());
        let rows = rows.map_err(|e| format!("{name}: {e}"))?;
        all.push(Features { name, rows });
    }
    Ok(all)
}
