//! Where the features of texts come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::benchmark::alignment::Features;
use crate::cli::error::Failure;
use crate::model::{PreparedTextModel, TextModel};

/// Before the file of a language model that reads the texts.
const GGUF: &str = "gguf:";

/// Says where the features of texts come from.
pub(super) enum TextReader {
    /// From the model that sees the pictures.
    Own,
    /// From a file.
    File(PathBuf, Vec<Features>),
    /// From another language model, in this process.
    Gguf(Arc<TextModel>),
}

impl TextReader {
    /// Reads a file of features, or loads the model in a GGUF file.
    pub(super) async fn load(given: Option<String>) -> Result<Self, Failure> {
        let Some(given) = given else {
            return Ok(Self::Own);
        };
        Ok(tokio::task::spawn_blocking(move || open(&given)).await??)
    }

    /// Says who reads the texts.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Own => "the model itself".into(),
            Self::File(path, _) => path.display().to_string(),
            Self::Gguf(model) => model.name(),
        }
    }
}

/// Opens what `--features` names.
fn open(given: &str) -> Result<TextReader, String> {
    let opened = match given.strip_prefix(GGUF) {
        Some(file) => read_model(Path::new(file)),
        None => read_features(Path::new(given)).map(|all| TextReader::File(given.into(), all)),
    };
    opened.map_err(|why| format!("--features {given}: {why}"))
}

fn read_model(path: &Path) -> Result<TextReader, String> {
    let model = PreparedTextModel::open(path).and_then(PreparedTextModel::load);
    let model = model.map_err(|e| e.to_string())?;
    Ok(TextReader::Gguf(Arc::new(model)))
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
            let valid = "a name that ends in .npz or .safetensors, or gguf:FILE, is needed";
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
