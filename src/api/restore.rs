//! Restores what clients have loaded and checked, from one life of a server to the next.

use std::sync::{Mutex, PoisonError};

use metrics::gauge;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::loaded::{CommandLineModel, LoadedModel};
use super::{Error, State, convert, v1};
use crate::model::Model;
use crate::pipeline::{Places, StateFolder};
use crate::telemetry::{model_label, names};

/// The document that lists models.
const MODELS: &str = "models";
/// The document that lists models of the command line that clients have unloaded.
const UNLOADED: &str = "unloaded";
/// The document that holds the last parity report of each model.
const PARITY: &str = "parity";

/// Returns which models of `command_line` clients had unloaded when the server went down.
pub fn unloaded(folder: &StateFolder, command_line: &[CommandLineModel]) -> Vec<CommandLineModel> {
    let mut unloaded = entries::<CommandLineModel>(folder.document(UNLOADED));
    // What the command line names no more, or names anew, is not remembered.
    unloaded.retain(|model| command_line.contains(model));
    let loaded = entries::<LoadedModel>(folder.document(MODELS));
    // One that a client has loaded again under the name is served, and not missed.
    let is_loaded = |name: &str| loaded.iter().any(|own| own.request.name == name);
    for model in unloaded.iter().filter(|model| !is_loaded(&model.name)) {
        tracing::warn!(
            model = model.name,
            "a client has unloaded it, so it is not served; LoadModel brings it back"
        );
    }
    unloaded
}

impl State {
    /// Says what the command line names, and what of it clients have unloaded before.
    pub fn set_command_line(
        &mut self,
        models: Vec<CommandLineModel>,
        unloaded: Vec<CommandLineModel>,
    ) {
        self.loaded.command_line = models;
        self.loaded.unloaded = Mutex::new(unloaded);
    }

    /// Loads the models that clients had loaded when the server went down, and recalls how far they
    /// were from the reference; blocks. What does not load is left out with a warning.
    pub fn restore(&self) {
        let Some(folder) = self.state_folder() else {
            return;
        };
        for loaded in entries::<LoadedModel>(folder.document(MODELS)) {
            self.restore_model(loaded);
        }
        let resident = self.models.all();
        let mut reports = entries::<v1::ParityReport>(folder.document(PARITY));
        // A report on other weights says nothing of these.
        reports.retain(|report| resident.iter().any(|model| is_of(report, model)));
        for report in &reports {
            gauge!(names::PARITY_MAX_RELATIVE_ERROR, "model" => model_label(&report.model))
                .set(report.max_relative_error);
        }
        *lock(&self.loaded.parity) = reports;
    }

    fn restore_model(&self, loaded: LoadedModel) {
        let name = loaded.request.name.clone();
        if self.models.all().iter().any(|model| model.name == name) {
            tracing::warn!(model = name, "the command line has a model of this name");
            return;
        }
        if let Err(error) = self.try_restore(&loaded) {
            tracing::warn!(model = name, %error, "it does not load again");
        }
        // One that did not load is tried again at the next start.
        lock(&self.loaded.models).push(loaded);
    }

    fn try_restore(&self, loaded: &LoadedModel) -> Result<(), Error> {
        // Without --allow-load nobody wants the models of clients, those of an earlier run neither.
        if !self.models.placement().open {
            return Err(Error::Closed);
        }
        // Held against the bounds of now: those of an earlier run may have been wider.
        let places = &self.models.placement().places;
        let request = convert::placed(places, loaded.request.clone())?;
        let request = convert::load_request(request)?;
        let model = self.runtime.load_model(request, &|_| {})?;
        if model.digest != loaded.digest {
            // Answers would go on under the name of another model.
            self.models.remove(&model.name)?;
            return Err(Error::fault("its files have changed since it was loaded"));
        }
        for projector in &loaded.projectors {
            if let Err(error) = self.add_projector(&model, places, projector) {
                let (model, projector) = (&model.name, &projector.name);
                tracing::warn!(model, projector, %error, "it does not load again");
            }
        }
        Ok(())
    }

    /// Remembers that a client has loaded a model, once it is resident.
    pub(super) async fn remember_model(&self, request: v1::LoadModelRequest, model: &Model) {
        let loaded = LoadedModel {
            // Where the client gave none, the place has given one.
            request: v1::LoadModelRequest {
                name: model.name.clone(),
                ..request
            },
            digest: model.digest.clone(),
            projectors: Vec::new(),
        };
        self.change_models(|models| {
            // Loaded anew, without the projectors that were added to the one before.
            models.retain(|known| known.request.name != loaded.request.name);
            models.push(loaded);
        })
        .await;
    }

    /// Remembers a projector of a model that a client has loaded. Those of other models are the
    /// command line's.
    pub(super) async fn remember_projector(&self, model: &str, request: v1::LoadProjectorRequest) {
        self.change_models(|models| {
            let mut own = models.iter_mut();
            if let Some(own) = own.find(|known| known.request.name == model) {
                // One of the same name has taken its place.
                own.projectors.retain(|known| known.name != request.name);
                own.projectors.push(request);
            }
        })
        .await;
    }

    /// Forgets a model that was unloaded. One of the command line is remembered as such: it would
    /// take the room of what was loaded in its place.
    pub(super) async fn forget_model(&self, name: &str) {
        self.change(UNLOADED, &self.loaded.unloaded, |unloaded| {
            let own = self.loaded.command_line.iter().find(|own| own.name == name);
            if let Some(own) = own.filter(|own| !unloaded.contains(own)) {
                unloaded.push(own.clone());
            }
        })
        .await;
        self.change_models(|models| models.retain(|known| known.request.name != name))
            .await;
    }

    /// Remembers the last report of a model.
    pub(super) async fn remember_parity(&self, report: v1::ParityReport) {
        self.change(PARITY, &self.loaded.parity, |reports| {
            reports.retain(|known| known.model != report.model);
            reports.push(report);
        })
        .await;
    }

    async fn change_models(&self, change: impl FnOnce(&mut Vec<LoadedModel>)) {
        self.change(MODELS, &self.loaded.models, change).await;
    }

    /// Changes a list, and waits until its document is on the disk: what was answered survives.
    async fn change<T: Serialize>(
        &self,
        name: &'static str,
        list: &Mutex<Vec<T>>,
        change: impl FnOnce(&mut Vec<T>),
    ) {
        {
            let mut list = lock(list);
            change(&mut list);
            // Handed over under the lock: of two changes the later one is written last.
            match (self.state_folder(), serde_json::to_value(&*list)) {
                (Some(folder), Ok(document)) => folder.write_document(name, document),
                (Some(_), Err(error)) => {
                    tracing::error!(%error, name, "it is not kept for a restart");
                }
                (None, _) => {}
            }
        }
        // Unlocked before the wait for the disk.
        if let Some(folder) = self.state_folder() {
            folder.flush().await;
        }
    }

    /// Adds a projector as clients do, with its file held against `places`.
    fn add_projector(
        &self,
        model: &Model,
        places: &Places,
        projector: &v1::LoadProjectorRequest,
    ) -> Result<(), Error> {
        let file = places.file("file", &projector.file)?;
        Ok(self
            .models
            .add_projector(model, &projector.name, file.as_ref())?)
    }
}

fn is_of(report: &v1::ParityReport, model: &Model) -> bool {
    report.model == model.name
        && report.model_digest == model.digest
        // The same weights in another precision are as far from the reference as that lets them be.
        && report.dtype == model.weight_format().name()
}

/// Reads a list; an entry that another version has written otherwise is left out.
fn entries<T: for<'a> Deserialize<'a>>(document: Option<Value>) -> Vec<T> {
    let Some(Value::Array(entries)) = document else {
        return Vec::new();
    };
    let mut read = Vec::new();
    for entry in entries {
        match serde_json::from_value(entry) {
            Ok(entry) => read.push(entry),
            Err(error) => tracing::warn!(%error, "an entry of --state is dropped"),
        }
    }
    read
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
