//! The features of one side of the comparison.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::benchmark::alignment::Features;
use crate::benchmark::report::hook_name;
use crate::cli::error::Failure;
use crate::cli::files;

/// One side of the comparison.
#[derive(Default)]
pub(super) struct Side {
    pub(super) features: Vec<Features>,
    /// The model, file or encoder of each.
    pub(super) sources: Vec<String>,
}

impl Side {
    /// Adds the features of `source`.
    pub(super) fn add(&mut self, source: &str, features: Vec<Features>) {
        let sources = std::iter::repeat_n(source.to_owned(), features.len());
        self.sources.extend(sources);
        self.features.extend(features);
    }

    /// Adds all features of another one.
    pub(super) fn append(&mut self, other: Self) {
        self.sources.extend(other.sources);
        self.features.extend(other.features);
    }

    /// Returns the features' names in words.
    pub(super) fn names(&self) -> Vec<String> {
        self.features.iter().map(|f| hook_name(&f.name)).collect()
    }
}

/// Writes all features to one file, from which they can be read again.
pub(super) fn save(path: &Path, first: &Side, second: &Side) -> Result<(), Failure> {
    let mut tensors = BTreeMap::new();
    for (side, all) in [("pictures", first), ("texts", second)] {
        for features in &all.features {
            // (items, dimensions)
            let tensor = Tensor::new(features.rows.clone(), &Device::Cpu)?;
            // One file for both sides, whose points may have the same names.
            tensors.insert(format!("{side}/{}", features.name), tensor);
        }
    }
    let bytes = safetensors::serialize(tensors.iter(), None)?;
    Ok(files::write(path, &bytes)?)
}
