//! Everything that a request runs on: models, engines, stores and limits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::error::Error;
use super::model_registry::ModelRegistry;
use super::stores::{Activations, Uploads};
use crate::engine::Engine;
use crate::model::{Model, SaliencyModel};
use crate::nn::DeviceId;

/// Bounds a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Pictures of one request.
    pub images: usize,
    /// Pixels of one picture.
    pub image_pixels: u64,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Bytes of all activations of one capture.
    pub capture_bytes: u64,
    /// Bytes of all activations that are kept for later requests.
    pub kept_bytes: u64,
    /// Bytes of all pictures that are kept for later requests.
    pub upload_bytes: u64,
}

/// Runs requests. Shared by all services.
#[derive(Debug)]
pub struct Runtime {
    /// The resident models.
    pub models: ModelRegistry,
    /// The engines, one for each device.
    pub engines: Vec<(DeviceId, Engine)>,
    /// The bounds of a request.
    pub limits: RequestLimits,
    /// Models whose attention says which patches are salient.
    pub saliency: Vec<Arc<SaliencyModel>>,
    /// Pictures that clients have uploaded.
    pub uploads: Uploads,
    /// Activations that captures keep.
    pub(super) activations: Activations,
    /// Cores of this machine.
    pub(super) cores: usize,
    /// Bounds the work beside the engine: as many pieces at once as there are cores.
    workers: Semaphore,
}

impl Runtime {
    /// Creates a runtime for `models` and the engines that they are placed on.
    pub fn new(models: ModelRegistry, limits: RequestLimits) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            engines: models.placement().engines.clone(),
            models,
            limits,
            saliency: Vec::new(),
            uploads: Uploads::new(limits.upload_bytes),
            activations: Activations::new(limits.kept_bytes),
            cores,
            workers: Semaphore::new(cores),
        }
    }

    /// Returns the engine of the device that `model` is on.
    pub fn engine(&self, model: &Model) -> &Engine {
        let own = self
            .engines
            .iter()
            .find(|(device, _)| *device == model.device);
        &own.unwrap_or(&self.engines[0]).1
    }

    /// Returns how long a refused caller should wait, by the busiest engine.
    pub fn retry_after(&self) -> Duration {
        self.engines
            .iter()
            .map(|(_, engine)| engine.retry_after())
            .max()
            .unwrap_or_default()
    }

    /// Admits nothing from now on; what runs goes on.
    pub fn drain(&self) {
        self.engines.iter().for_each(|(_, engine)| engine.drain());
    }

    /// Runs `work` on the pool beside the engine, as many at once as there are cores.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        model: &Arc<Model>,
        work: impl FnOnce(&Model) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _permit = self
            .workers
            .acquire()
            .await
            .map_err(|e| Error::Fault(e.to_string()))?;
        let model = model.clone();
        tokio::task::spawn_blocking(move || work(&model))
            .await
            .map_err(|e| Error::Fault(e.to_string()))?
    }
}
