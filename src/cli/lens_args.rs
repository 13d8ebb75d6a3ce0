//! `--lens`: tuned lenses beside a model.

use std::path::PathBuf;

use clap::Args;

use super::device::MODEL;
use super::error::Usage;
use super::named::once_each;

/// The tuned lenses of a model in this process.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct LensArgs {
    /// Tuned lens of a model in this process, as `serve --lens` takes it
    #[arg(
        help_heading = MODEL,
        long,
        env = "SCOTOMA_LENS",
        value_name = "NAME=FOLDER",
        value_delimiter = ','
    )]
    lens: Vec<String>,
}

impl LensArgs {
    /// Returns the name and the folder of each.
    pub(super) fn places(&self) -> Result<Vec<(String, PathBuf)>, Usage> {
        named_lenses(&self.lens).map_err(Usage)
    }
}

/// Parses `NAME=FOLDER` of each; the folder must be there, and a name stands for one.
pub(super) fn named_lenses(texts: &[String]) -> Result<Vec<(String, PathBuf)>, String> {
    once_each("--lens", texts, named_lens)
}

fn named_lens(text: &str) -> Result<(String, PathBuf), String> {
    let parts = text.split_once('=');
    let Some((name, folder)) =
        parts.filter(|(name, folder)| !name.is_empty() && !folder.is_empty())
    else {
        return Err("NAME=FOLDER is needed".into());
    };
    let folder = PathBuf::from(folder);
    if !folder.is_dir() {
        return Err(format!("no folder {}", folder.display()));
    }
    Ok((name.to_owned(), folder))
}
