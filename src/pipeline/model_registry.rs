//! Keeps the resident models.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use candle_core::{DType, Device};
use metrics::gauge;

use super::error::Error;
use crate::model::{self, ChatTemplate, Model, Source, device_name};
use crate::telemetry::names;
use crate::vision::ProcessorBackend;
use crate::weights::default_dtype;

/// Says where models go, and how much of them.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Lists the devices that models can be on; at least one.
    pub devices: Vec<Device>,
    /// Sets the type of tensors where a request does not; `None`: f32 on a CPU and bf16 elsewhere.
    pub dtype: Option<DType>,
    /// Bounds the bytes that all models hold together.
    pub budget: u64,
    /// Lets clients load and unload.
    pub open: bool,
}

/// Says how one model is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Names the device, as `ModelInfo.device` does; empty: the one on which models hold least.
    pub device: String,
    /// Sets the type of its tensors; `None`: the placement's.
    pub dtype: Option<DType>,
    /// Chooses the arithmetic that makes pixels of pictures; `None`: that of the class which the
    /// checkpoint names.
    pub image_processor: Option<ProcessorBackend>,
    /// Replaces the model's own chat template.
    pub chat_template: Option<ChatTemplate>,
}

/// Keeps the resident models, in the order of loading.
#[derive(Debug)]
pub struct ModelRegistry {
    models: RwLock<Vec<Arc<Model>>>,
    /// Is held by the load that runs: one at a time, so that the budget holds.
    turn: Mutex<()>,
    placement: Placement,
}

impl ModelRegistry {
    /// Creates a registry without models.
    pub fn new(placement: Placement) -> Self {
        Self {
            models: RwLock::default(),
            turn: Mutex::default(),
            placement,
        }
    }

    /// Returns where models go.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Returns all models.
    pub fn all(&self) -> Vec<Arc<Model>> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the model of that name; the first one where it is empty.
    pub fn get(&self, name: &str) -> Result<Arc<Model>, Error> {
        let models = self.all();
        let found = models.iter().find(|m| name.is_empty() || m.name == name);
        found.cloned().ok_or_else(|| Error::UnknownModel {
            field: "model".into(),
            name: name.to_owned(),
            resident: models.iter().map(|m| m.name.clone()).collect(),
        })
    }

    /// Loads a model, which blocks as long as it takes. It shares the parts that a resident model
    /// has already; a load that fails leaves the others as they are. `progress` takes the bytes
    /// loaded and the bytes in all.
    pub fn load(
        &self,
        name: &str,
        source: &Source,
        options: &LoadOptions,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Arc<Model>, Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let resident = self.all();
        // Again after the wait for the turn: the load before this one may have taken the name.
        if resident.iter().any(|m| m.name == name) {
            return Err(Error::SameName {
                name: name.to_owned(),
            });
        }
        let start = Instant::now();
        let held: u64 = resident.iter().map(|m| m.resident_bytes).sum();
        let device = self.device(&options.device, &resident)?;
        let load = model::Load {
            dtype: options.dtype.unwrap_or_else(|| self.dtype(device)),
            device,
            budget: self.placement.budget.saturating_sub(held),
            image_processor: options.image_processor,
            chat_template: options.chat_template.as_ref(),
            resident: &resident,
            progress,
        };
        let model = Model::load_with(name, source, &load).map_err(Error::load("place"))?;
        let model = Arc::new(model);
        record(&model, start.elapsed().as_secs_f64());
        self.models
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(model.clone());
        Ok(model)
    }

    /// Takes a model away from new requests; those that run hold it until they end.
    pub fn remove(&self, name: &str) -> Result<Arc<Model>, Error> {
        let model = self.get(name)?;
        self.models
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|m| !Arc::ptr_eq(m, &model));
        gauge!(names::MODEL_RESIDENT_BYTES, "model" => model.name.clone()).set(0.0);
        Ok(model)
    }

    /// Returns the device of that name, or where it is empty the one on which models hold least.
    fn device(&self, name: &str, resident: &[Arc<Model>]) -> Result<&Device, Error> {
        let devices = &self.placement.devices;
        if name.is_empty() {
            let freest = devices.iter().min_by_key(|d| bytes_on(d, resident));
            return freest.ok_or_else(|| Error::Fault("the server has no device".into()));
        }
        let found = devices.iter().find(|d| device_name(d) == name);
        found.ok_or_else(|| {
            let names: Vec<String> = devices.iter().map(device_name).collect();
            let message = format!("{name:?}; the server has {}", names.join(", "));
            Error::invalid("device", message)
        })
    }

    /// Returns the type of tensors on `device` where nobody says another.
    fn dtype(&self, device: &Device) -> DType {
        let own = self.placement.dtype;
        own.unwrap_or_else(|| default_dtype(device))
    }
}

fn bytes_on(device: &Device, resident: &[Arc<Model>]) -> u64 {
    let there = resident.iter().filter(|m| m.device.same_device(device));
    there.map(|m| m.resident_bytes).sum()
}

fn record(model: &Model, seconds: f64) {
    let (name, bytes) = (&model.name, model.resident_bytes);
    gauge!(names::MODEL_RESIDENT_BYTES, "model" => name.clone()).set(bytes as f64);
    gauge!(names::MODEL_LOAD_DURATION, "model" => name.clone()).set(seconds);
    tracing::info!(model = name, digest = %model.digest, bytes, seconds, "resident");
}
