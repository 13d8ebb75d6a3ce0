//! Models by name and place, fetched with a progress bar.

use clap::Args;

use super::device::MODEL;
use super::error::{Failure, Usage};
use super::progress::FetchProgress;
use crate::model::{self, Origin, Purpose, Source};

/// `--adapter` of the commands that run one model in this process.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct AdapterArgs {
    /// LoRA adapter to merge into the model's weights: a folder or a hub id
    ///
    /// In the format of PEFT or of the original LLaVA.
    #[arg(help_heading = MODEL, long, value_name = "PLACE")]
    adapter: Option<String>,
}

impl AdapterArgs {
    /// Fetches a model's files with the adapter that the flag names.
    pub(super) async fn fetch(&self, origin: Origin) -> Result<Source, Failure> {
        let adapter = match &self.adapter {
            Some(text) => {
                let wrong = |e| Usage(format!("--adapter {text}: {e}"));
                Some(text.parse().map_err(wrong)?)
            }
            None => None,
        };
        fetch_with(origin, adapter).await
    }
}

/// Parses `PLACE` or `NAME=PLACE`.
pub(super) fn named_origin(text: &str) -> Result<(String, Origin), String> {
    // Neither ids of the hub nor usual folders have an equals sign.
    let (name, place) = match text.split_once('=') {
        Some((name, place)) => (name.to_owned(), place),
        None => (Origin::default_name(text), text),
    };
    Ok((name, place.parse()?))
}

/// Fetches the files of a model and of its adapter; a bar shows files that come from the hub.
pub(super) async fn fetch_with(origin: Origin, adapter: Option<Origin>) -> Result<Source, Failure> {
    with_bar(move |progress| origin.fetch_with(adapter, progress)).await
}

/// Fetches the files of a CLIP or of a saliency model.
pub(super) async fn fetch(origin: Origin, purpose: Purpose) -> Result<Source, Failure> {
    with_bar(move |progress| origin.fetch(purpose, progress)).await
}

/// Takes a file's name, the bytes that have come, and those of the whole file.
type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64);

async fn with_bar(
    fetch: impl FnOnce(Progress<'_>) -> Result<Source, model::Error> + Send + 'static,
) -> Result<Source, Failure> {
    // Fetching blocks: it waits for the hub, and reads and writes files.
    let task = tokio::task::spawn_blocking(move || {
        let mut progress = FetchProgress::new();
        let source = fetch(&mut |file, done, total| progress.show(file, done, total));
        progress.finish();
        source
    });
    Ok(task.await??)
}
