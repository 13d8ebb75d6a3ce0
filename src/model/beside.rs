//! What sparse autoencoders and tuned lenses have in common: a folder of a configuration and one file
//! of weights, read beside a model and kept in the memory of the process.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::Error;
use crate::weights::Checkpoint;

/// Returns the first of the files `names` that is in `folder`.
pub(super) fn file_in(folder: &Path, names: &[&str]) -> Result<PathBuf, String> {
    let mut paths = names.iter().map(|name| folder.join(name));
    let found = paths.find(|path| path.is_file());
    found.ok_or_else(|| format!("{} is not there", names.join(" or ")))
}

/// Fails where the weights, in f32, take more than `left` bytes.
pub(super) fn check_budget(weights: &Checkpoint, left: u64) -> Result<(), Error> {
    let needed = weights.floats_bytes();
    if needed > left {
        return Err(Error::Budget { needed, left });
    }
    Ok(())
}

/// Returns the BLAKE3 (hex) of weights and configuration, which records hold.
pub(super) fn digest(weights: &Checkpoint, json: &Value) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(weights.digest(&[""]).as_bytes());
    hasher.update(json.to_string().as_bytes());
    hasher.finalize().to_hex().to_string()
}
