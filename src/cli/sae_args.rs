//! `--sae`: sparse autoencoders beside a model.

use clap::Args;

use super::device::MODEL;
use super::error::Usage;
use super::named::once_each;
use crate::model::SaePlace;

/// The sparse autoencoders of a model in this process.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SaeArgs {
    /// Sparse autoencoder of a model in this process, as `serve --sae` takes it
    #[arg(
        help_heading = MODEL,
        long,
        env = "SCOTOMA_SAE",
        value_name = "NAME=FOLDER[@POINT]",
        value_delimiter = ','
    )]
    sae: Vec<String>,
}

impl SaeArgs {
    /// Returns the name and the place of each.
    pub(super) fn places(&self) -> Result<Vec<(String, SaePlace)>, Usage> {
        named_saes(&self.sae).map_err(Usage)
    }
}

/// Parses the name and the place of each; a name stands for one.
pub(super) fn named_saes(texts: &[String]) -> Result<Vec<(String, SaePlace)>, String> {
    once_each("--sae", texts, named_sae)
}

/// Parses `NAME=FOLDER` or `NAME=FOLDER@HOOK_POINT`; the folder must be there.
fn named_sae(text: &str) -> Result<(String, SaePlace), String> {
    let Some((name, place)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err("NAME=FOLDER or NAME=FOLDER@HOOK_POINT is needed".into());
    };
    let place: SaePlace = place.parse()?;
    if !place.folder.is_dir() {
        return Err(format!("no folder {}", place.folder.display()));
    }
    Ok((name.to_owned(), place))
}
