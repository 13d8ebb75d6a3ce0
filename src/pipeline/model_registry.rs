//! Which models are resident, and how they come and go.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use candle_core::{DType, Device};
use metrics::gauge;

use super::error::Error;
use crate::model::{self, ChatTemplate, Model, Source, device_name};
use crate::telemetry::names;
use crate::vision::ProcessorBackend;

/// Where models go, and how much of them.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Where models can be; at least one.
    pub devices: Vec<Device>,
    /// What the tensors are, unless a request says otherwise; unsaid f32 on a CPU and bf16
    /// elsewhere.
    pub dtype: Option<DType>,
    /// Bytes that all models may hold together.
    pub budget: u64,
    /// Whether clients may load and unload.
    pub open: bool,
}

/// How one model is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// As `ModelInfo.device` has it; empty: the one on which models hold least.
    pub device: String,
    /// What the tensors are; `None`: what the placement says.
    pub dtype: Option<DType>,
    /// Whose arithmetic makes pixels of pictures; `None`: that of the class which the checkpoint
    /// names.
    pub image_processor: Option<ProcessorBackend>,
    /// In place of the model's own chat template.
    pub chat_template: Option<ChatTemplate>,
}

/// The resident models, in the order of loading.
#[derive(Debug)]
pub struct ModelRegistry {
    models: RwLock<Vec<Arc<Model>>>,
    /// One model is loaded at a time, so that the budget holds.
    turn: Mutex<()>,
    placement: Placement,
}

impl ModelRegistry {
    /// Nothing is resident yet.
    pub fn new(placement: Placement) -> Self {
        Self {
            models: RwLock::default(),
            turn: Mutex::default(),
            placement,
        }
    }

    /// Where models go.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// All models.
    pub fn all(&self) -> Vec<Arc<Model>> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The model of that name; the first one where it is empty.
    pub fn get(&self, name: &str) -> Result<Arc<Model>, Error> {
        let models = self.all();
        models
            .iter()
            .find(|m| name.is_empty() || m.name == name)
            .cloned()
            .ok_or_else(|| Error::UnknownModel {
                field: "model".into(),
                name: name.to_owned(),
                resident: models.iter().map(|m| m.name.clone()).collect(),
            })
    }

    /// The device of that name, which must be one of the server's; the one on which models hold
    /// least where it is empty.
    fn device(&self, name: &str, resident: &[Arc<Model>]) -> Result<&Device, Error> {
        let devices = &self.placement.devices;
        if !name.is_empty() {
            let names = || {
                devices
                    .iter()
                    .map(device_name)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let unknown =
                || Error::invalid("device", format!("{name:?}; the server has {}", names()));
            return devices
                .iter()
                .find(|d| device_name(d) == name)
                .ok_or_else(unknown);
        }
        let held = |device: &Device| -> u64 {
            resident
                .iter()
                .filter(|m| m.device.same_device(device))
                .map(|m| m.resident_bytes)
                .sum()
        };
        devices
            .iter()
            .min_by_key(|d| held(d))
            .ok_or_else(|| Error::Fault("the server has no device".into()))
    }

    /// Loads a model, which takes as long as it takes. Parts that a resident model has already are
    /// shared. `progress` hears of bytes loaded and bytes in all. What fails leaves the others as
    /// they are.
    pub fn load(
        &self,
        name: &str,
        source: &Source,
        options: &LoadOptions,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Arc<Model>, Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let resident = self.all();
        if resident.iter().any(|m| m.name == name) {
            return Err(Error::SameName {
                name: name.to_owned(),
            });
        }
        let start = Instant::now();
        let held: u64 = resident.iter().map(|m| m.resident_bytes).sum();
        let device = self.device(&options.device, &resident)?;
        let usual = if device.is_cpu() {
            DType::F32
        } else {
            DType::BF16
        };
        let load = model::Load {
            dtype: options.dtype.or(self.placement.dtype).unwrap_or(usual),
            device,
            budget: self.placement.budget.saturating_sub(held),
            image_processor: options.image_processor,
            chat_template: options.chat_template.as_ref(),
            resident: &resident,
            progress,
        };
        let model = Model::load_with(name, source, &load).map_err(Error::load("place"))?;
        let model = Arc::new(model);
        let seconds = start.elapsed().as_secs_f64();
        gauge!(names::MODEL_RESIDENT_BYTES, "model" => name.to_owned())
            .set(model.resident_bytes as f64);
        gauge!(names::MODEL_LOAD_DURATION, "model" => name.to_owned()).set(seconds);
        tracing::info!(model = name, digest = %model.digest, bytes = model.resident_bytes, seconds, "resident");
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
}
