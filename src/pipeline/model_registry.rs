//! Keeps the resident models.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Instant;

use candle_core::DType;
use metrics::gauge;

use super::error::Error;
use super::places::Places;
use super::request_context::RequestContext;
use crate::engine::{self, Engine};
use crate::field_path::shown;
use crate::model::{self, ChatTemplate, Model, SaePlace, Source};
use crate::nn::DeviceGroup;
use crate::telemetry::{model_label, names};
use crate::vision::ProcessorBackend;
use crate::weights::{Matrices, WeightFormat};

/// Says where models go, and how much of them.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Lists the engines that models can be on, each with its device, or several that hold models
    /// together; at least one.
    pub engines: Vec<(DeviceGroup, Engine)>,
    /// Sets the format of weights where a request does not; `None`: f32 on a CPU and bf16 elsewhere.
    pub dtype: Option<WeightFormat>,
    /// Bounds the bytes that all models, and a judge beside them, hold together.
    pub budget: u64,
    /// Lets clients load and unload.
    pub open: bool,
    /// Says from where they may.
    pub places: Places,
}

/// Says how one model is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Names the device, as `ModelInfo.device` does; empty: the one on which models hold least.
    pub device: String,
    /// Sets the format of its weights; `None`: the placement's.
    pub dtype: Option<WeightFormat>,
    /// Chooses the arithmetic that makes pixels of pictures; `None`: that of the class which the
    /// checkpoint names.
    pub image_processor: Option<ProcessorBackend>,
    /// Replaces the model's own chat template.
    pub chat_template: Option<ChatTemplate>,
}

/// Holds a model with what is needed to load it again.
#[derive(Debug, Clone)]
struct Entry {
    model: Arc<Model>,
    options: LoadOptions,
}

/// Keeps the resident models, in the order of loading.
#[derive(Debug)]
pub struct ModelRegistry {
    models: RwLock<Vec<Entry>>,
    /// Is held by the load that runs: one at a time, so that the budget holds.
    turn: Mutex<()>,
    /// Counts the bytes of the budget that something else than models holds.
    beside: AtomicU64,
    placement: Placement,
}

impl ModelRegistry {
    /// Creates a registry without models.
    pub fn new(placement: Placement) -> Self {
        Self {
            models: RwLock::default(),
            turn: Mutex::default(),
            beside: AtomicU64::new(0),
            placement,
        }
    }

    /// Returns where models go.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Returns all models.
    pub fn all(&self) -> Vec<Arc<Model>> {
        let entries = self.entries().into_iter();
        entries.map(|entry| entry.model).collect()
    }

    fn entries(&self) -> Vec<Entry> {
        let entries = self.models.read();
        // A copy of handles, so that no lock is held while somebody works with the models.
        entries.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn entries_mut(&self) -> RwLockWriteGuard<'_, Vec<Entry>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
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

    /// Returns the model that a request names, where it names none the first one that its caller may
    /// ask, and labels the request's metrics with it.
    pub fn resident(&self, context: &RequestContext, name: &str) -> Result<Arc<Model>, Error> {
        let name = match &context.account {
            // Before the look, so that nobody learns of models that are not for them.
            Some(account) if !name.is_empty() => account.check_model(name).map(|()| name.into())?,
            Some(_) => self.first_of(context)?,
            None => name.to_owned(),
        };
        let model = self.get(&name).map_err(|error| match error {
            // It lists what is resident: for this caller.
            Error::UnknownModel { field, name, .. } => Error::UnknownModel {
                field,
                name,
                resident: self
                    .open_to(context)
                    .iter()
                    .map(|m| m.name.clone())
                    .collect(),
            },
            other => other,
        })?;
        context.metrics.set_model(&model.name);
        Ok(model)
    }

    /// Returns the name of the first model that the caller may ask.
    fn first_of(&self, context: &RequestContext) -> Result<String, Error> {
        let all = self.open_to(context);
        let first = all.first().map(|model| model.name.clone());
        first.ok_or_else(|| Error::UnknownModel {
            field: "model".into(),
            name: String::new(),
            resident: Vec::new(),
        })
    }

    /// Returns the models that the caller may ask.
    pub fn open_to(&self, context: &RequestContext) -> Vec<Arc<Model>> {
        let mut all = self.all();
        if let Some(account) = &context.account {
            all.retain(|model| account.may_ask(&model.name));
        }
        all
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
        // A load that panicked has added nothing: the next one may go on.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let resident = self.all();
        // Again after the wait for the turn: the load before this one may have taken the name.
        if resident.iter().any(|m| m.name == name) {
            return Err(Error::SameName {
                name: name.to_owned(),
            });
        }
        // Without the lock of the list: requests are answered while it loads.
        let model = self.load_beside(&resident, name, source, options, progress)?;
        self.entries_mut().push(Entry {
            model: model.clone(),
            options: options.clone(),
        });
        Ok(model)
    }

    /// Loads a model that may share parts of those that are `resident`.
    fn load_beside(
        &self,
        resident: &[Arc<Model>],
        name: &str,
        source: &Source,
        options: &LoadOptions,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Arc<Model>, Error> {
        let start = Instant::now();
        let (device, engine) = self.engine(&options.device, resident)?;
        let (dtype, matrices) = format_on(device, options.dtype.or(self.placement.dtype))?;
        let load = model::Load {
            dtype,
            matrices,
            // What is resident already holds its part.
            device: device.clone(),
            budget: self.bytes_left(resident),
            keys_and_values: engine.limits().kv_bytes as u64,
            image_processor: options.image_processor,
            chat_template: options.chat_template.as_ref(),
            resident,
        };
        // Files are read and digested here; what goes to the device is loaded by its engine.
        let prepared = Model::prepare(name, source, &load).map_err(Error::load("place"))?;
        // The outer error is the engine's, the inner one the load's.
        let loaded = engine.load(move |to| prepared.load(to), progress)?;
        let model = Arc::new(loaded.map_err(Error::load("place"))?);
        // The device was restarted meanwhile, and has lost what was loaded.
        if !model.is_live() {
            return Err(engine::Error::Restarting.into());
        }
        record(&model, start.elapsed().as_secs_f64());
        Ok(model)
    }

    /// Loads the models of `device` again, which was restarted and has lost them; blocks. One that
    /// does not load is taken away.
    pub fn reload(&self, device: &DeviceGroup) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for lost in self.entries() {
            let old = &lost.model;
            // Another device's, or one that was loaded after the restart.
            if old.device != *device || old.is_live() {
                continue;
            }
            // Anew for each: those that were just loaded can be shared.
            let others: Vec<Arc<Model>> = self.all();
            // Lost ones have nothing on the device that could be shared, and hold none of the
            // budget.
            let others: Vec<Arc<Model>> = others.into_iter().filter(|m| m.is_live()).collect();
            let mut options = lost.options.clone();
            // Where it was, though another device may hold less by now.
            options.device = device.to_string();
            let loaded = self.load_beside(&others, &old.name, &old.source, &options, &|_, _| {});
            // Behind the load: readers are not kept waiting while one goes on.
            let mut entries = self.entries_mut();
            // A client may have unloaded it meanwhile.
            let Some(at) = entries.iter().position(|e| Arc::ptr_eq(&e.model, old)) else {
                continue;
            };
            match loaded {
                Ok(model) => {
                    if model.digest != old.digest {
                        let model = &old.name;
                        tracing::warn!(model, "its files have changed since it was loaded");
                    }
                    // Clients have loaded these by name; nobody would load them again.
                    model.adopt_projectors(old);
                    model.adopt_saes(old);
                    model.adopt_lenses(old);
                    record_bytes(&model);
                    entries[at].model = model;
                }
                Err(error) => {
                    tracing::error!(model = old.name, %error, "it does not load again");
                    entries.remove(at);
                    record_gone(old);
                }
            }
        }
    }

    /// Makes a sparse autoencoder resident beside `model`, as far as the budget of all models goes.
    pub fn add_sae(&self, model: &Model, name: &str, place: &SaePlace) -> Result<(), Error> {
        let added = model.add_sae(name, place, self.bytes_left(&self.all()));
        added.map_err(Error::load("sae"))?;
        record_bytes(model);
        Ok(())
    }

    /// Makes one more projector of `model` resident, as far as the budget of all models goes.
    pub fn add_projector(&self, model: &Model, name: &str, path: &Path) -> Result<(), Error> {
        // Clients may ask for several at once: one after the other, so that none is counted late.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let added = model.add_projector(name, path, self.bytes_left(&self.all()));
        added.map_err(Error::load("file"))?;
        record_bytes(model);
        Ok(())
    }

    /// Makes a tuned lens resident beside `model`, as far as the budget of all models goes.
    pub fn add_lens(&self, model: &Model, name: &str, folder: &Path) -> Result<(), Error> {
        let added = model.add_lens(name, folder, self.bytes_left(&self.all()));
        added.map_err(Error::load("lens"))?;
        record_bytes(model);
        Ok(())
    }

    /// Makes room for `bytes` that are no model's, and counts them as held from now on.
    pub fn hold(&self, bytes: u64) -> Result<(), model::Error> {
        // With loads, which are bounded by the same bytes.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.bytes_left(&self.all());
        if bytes > left {
            return Err(model::Error::Budget {
                needed: bytes,
                left,
            });
        }
        // Relaxed, as the turn orders the look and the count.
        self.beside.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the bytes of the budget that are held.
    pub fn held_bytes(&self) -> u64 {
        self.held_with(&self.all())
    }

    fn held_with(&self, resident: &[Arc<Model>]) -> u64 {
        let models = resident.iter().map(|m| m.held_bytes());
        models.sum::<u64>() + self.beside.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the budget that are left beside the models that are `resident`.
    fn bytes_left(&self, resident: &[Arc<Model>]) -> u64 {
        let held = self.held_with(resident);
        self.placement.budget.saturating_sub(held)
    }

    /// Takes a model away from new requests; those that run hold it until they end.
    pub fn remove(&self, name: &str) -> Result<Arc<Model>, Error> {
        let model = self.get(name)?;
        self.entries_mut()
            // The instance and not the name, which another load may have taken meanwhile.
            .retain(|entry| !Arc::ptr_eq(&entry.model, &model));
        record_gone(&model);
        Ok(model)
    }

    /// Returns the device of that name with its engine, or where it is empty the one on which models
    /// hold least.
    fn engine(&self, name: &str, resident: &[Arc<Model>]) -> Result<&(DeviceGroup, Engine), Error> {
        let engines = &self.placement.engines;
        if name.is_empty() {
            // Of equals the first, which is the order that the server was started with.
            let freest = engines.iter().min_by_key(|(d, _)| bytes_on(d, resident));
            return freest.ok_or_else(|| Error::Fault("the server has no device".into()));
        }
        let found = engines.iter().find(|(d, _)| d.to_string() == name);
        found.ok_or_else(|| {
            let names: Vec<String> = engines.iter().map(|(d, _)| d.to_string()).collect();
            let message = format!("{}; the server has {}", shown(name), names.join(", "));
            Error::invalid("device", message)
        })
    }
}

/// Returns the type of tensors on `device`, and how matrices are kept there, where `named` is asked
/// for.
pub fn format_on(
    device: &DeviceGroup,
    named: Option<WeightFormat>,
) -> Result<(DType, Matrices), Error> {
    match named.map(WeightFormat::parts) {
        // Whoever names a type gets it; else files are kept as they are.
        None if device.is_cpu() => Ok((device.default_dtype(), Matrices::Blocks)),
        None => Ok((device.default_dtype(), Matrices::Numbers)),
        Some((dtype, None)) => Ok((dtype, Matrices::Numbers)),
        Some((dtype, Some(blocks))) if device.is_cpu() => Ok((dtype, Matrices::Quantized(blocks))),
        Some(_) => {
            let message = "quantised weights are multiplied on a CPU; f32, bf16 or f16 on a GPU";
            Err(Error::invalid("dtype", message))
        }
    }
}

fn bytes_on(device: &DeviceGroup, resident: &[Arc<Model>]) -> u64 {
    let there = resident.iter().filter(|m| m.device == *device);
    there.map(|m| m.held_bytes()).sum()
}

fn record_bytes(model: &Model) {
    let bytes = model.held_bytes() as f64;
    gauge!(names::MODEL_RESIDENT_BYTES, "model" => model_label(&model.name)).set(bytes);
}

fn record_gone(model: &Model) {
    // A gauge stays once it is there, so that 0 says that the model is gone.
    gauge!(names::MODEL_RESIDENT_BYTES, "model" => model_label(&model.name)).set(0.0);
}

fn record(model: &Model, seconds: f64) {
    let (name, bytes) = (&model.name, model.held_bytes());
    record_bytes(model);
    gauge!(names::MODEL_LOAD_DURATION, "model" => model_label(name)).set(seconds);
    let (device, digest) = (&model.device, &model.digest);
    tracing::info!(model = name, %device, digest, bytes, seconds, "resident");
}
