//! Loads models and projectors at a client's wish, and takes models away.

use std::path::Path;
use std::sync::Arc;

use super::error::Error;
use super::model_registry::LoadOptions;
use super::runtime::Runtime;
use crate::engine::Engine;
use crate::field_path::shown;
use crate::model::{self, Model, Origin};

/// Asks for a model to be made resident.
#[derive(Debug)]
pub struct LoadRequest {
    /// Names it in requests.
    pub name: String,
    /// Says where its files are.
    pub origin: Origin,
    /// Says where the files of an adapter are that is merged into its weights.
    pub adapter: Option<Origin>,
    /// Says how it is loaded.
    pub options: LoadOptions,
}

/// Reports how far a load has come.
#[derive(Debug, Clone, Copy)]
pub struct LoadProgress<'a> {
    /// Names the file that is fetched; empty once the tensors are loaded.
    pub file: &'a str,
    /// Counts bytes so far.
    pub done: u64,
    /// Counts bytes in all.
    pub total: u64,
}

/// Waits for the last holder of a model that was taken away.
#[derive(Debug)]
pub struct Unloading {
    model: Arc<Model>,
    /// Frees what it holds.
    engine: Engine,
}

impl Runtime {
    /// Fetches what is not there and loads it; blocks.
    pub fn load_model(
        &self,
        request: LoadRequest,
        progress: &dyn Fn(LoadProgress<'_>),
    ) -> Result<Arc<Model>, Error> {
        // Before the files are fetched, which may be many gigabytes.
        check_name(&request.name)?;
        let mut fetched = |file: &str, done, total| progress(LoadProgress { file, done, total });
        let source = request.origin.fetch_with(request.adapter, &mut fetched);
        let source = source.map_err(Error::load("place"))?;
        // Bytes of all files together.
        let file = "";
        let loaded = |done, total| progress(LoadProgress { file, done, total });
        self.models
            .load(&request.name, &source, &request.options, &loaded)
    }

    /// Takes a model away from new requests.
    pub fn unload_model(&self, name: &str) -> Result<Unloading, Error> {
        if name.is_empty() {
            return Err(Error::invalid("model", "empty; say which model"));
        }
        let model = self.models.remove(name)?;
        let engine = self.engine(&model).clone();
        Ok(Unloading { model, engine })
    }

    /// Makes one more projector of a model resident under `name`; returns its file as it was loaded.
    /// Blocks.
    pub fn load_projector(&self, model: &Model, name: &str, file: &str) -> Result<String, Error> {
        if name == model::DEFAULT_PROJECTOR {
            let message = format!("{}; a name other than default is needed", shown(name));
            return Err(Error::invalid("name", message));
        }
        check_name(name)?;
        // Before the look at the disk, which would tell what is there.
        let file = self.models.placement().places.file("file", file)?;
        if !Path::new(&file).is_file() {
            let message = format!("{} is no file of the server", shown(&file));
            return Err(Error::invalid("file", message));
        }
        self.models.add_projector(model, name, Path::new(&file))?;
        Ok(file)
    }
}

/// Characters of the name of a model or a projector.
const MOST_NAME: usize = 128;

/// Fails on a name that a line of the log, a label or a message could not hold as it is.
fn check_name(name: &str) -> Result<(), Error> {
    let is_long = name.chars().count() > MOST_NAME;
    if name.is_empty() || is_long || name.chars().any(char::is_control) {
        let message = format!(
            "{}; 1 to {MOST_NAME} characters are needed, none of them a line break or another \
             control character",
            shown(name)
        );
        return Err(Error::invalid("name", message));
    }
    Ok(())
}

impl Unloading {
    /// Returns the name of the model.
    pub fn name(&self) -> &str {
        &self.model.name
    }

    /// Waits until the last request that runs on the model has ended, and returns the bytes that
    /// it held.
    pub async fn finish(self) -> u64 {
        let (name, bytes) = (self.model.name.clone(), self.model.held_bytes());
        let ended = self.model.lifetime.ended();
        // Or this would be the holder that it waits for.
        drop(self.model);
        // Requests that run hold the model by `Arc`, and end in their own time.
        ended.await;
        // Its tensors have gone home; the bytes are free once they are freed there.
        self.engine.settled().await;
        tracing::info!(model = name, "unloaded");
        bytes
    }
}
