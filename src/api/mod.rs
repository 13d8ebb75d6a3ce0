//! The contract: validates, converts, serves, and maps errors to statuses. The only folder that
//! knows prost and tonic.
//!
//! A request lives so: [`inference`] takes it, `prepare` turns pictures and text into a job (on a
//! pool beside the engine), the engine admits it, and its events are turned into messages until the
//! stream ends, where its metrics are recorded.

mod answer;
mod call;
mod capture;
mod convert;
mod error;
pub mod evaluate;
pub mod inference;
mod judge;
pub mod models;
mod parity;
mod prepare;
mod prompt;
mod provenance;
mod registry;
mod residency;
mod rpc;
mod sample;
mod sampling;
mod score;
mod status;
mod sweep;
mod uploads;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use tokio::sync::{Semaphore, watch};
use tonic_health::server::HealthReporter;

pub use convert::interventions_from_json;
pub use error::Error;
pub use judge::Judging;
pub use registry::{LoadOptions, Placement, Registry};
pub use sample::sample;

pub use scotoma_proto::v1;

use crate::engine::Engine;
use crate::model::{Model, SaliencyModel};
use capture::Kept;
use judge::Judge;
use uploads::Uploads;

/// What a request may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
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

/// What all services share.
#[derive(Debug)]
pub struct State {
    /// Resident.
    pub models: Registry,
    /// What the health service says.
    pub health: HealthReporter,
    /// Run them, one on each device.
    pub engines: Vec<(Device, Engine)>,
    /// What a request may hold.
    pub limits: Limits,
    /// Say where to look.
    pub saliency: Vec<Arc<SaliencyModel>>,
    /// Judges answers that no rule can.
    judge: Option<Judge>,
    /// Activations that captures keep.
    activations: Kept,
    /// Pictures that clients have sent to be named later.
    uploads: Uploads,
    /// Cores of this machine.
    cores: usize,
    /// Pictures that may be decoded at once.
    decoders: Semaphore,
    /// Whether the server goes down.
    draining: watch::Sender<bool>,
}

impl State {
    /// `models` are on the devices of `engines`, of which there is at least one.
    pub fn new(
        models: Registry,
        engines: Vec<(Device, Engine)>,
        limits: Limits,
        health: HealthReporter,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            models,
            health,
            engines,
            limits,
            saliency: Vec::new(),
            judge: None,
            activations: Kept::new(limits.kept_bytes),
            uploads: Uploads::new(limits.upload_bytes),
            cores,
            decoders: Semaphore::new(cores),
            draining: watch::Sender::new(false),
        }
    }

    /// Lets `judging` judge.
    pub fn judge_by(&mut self, judging: Judging) {
        self.judge = Some(Judge::new(judging));
    }

    /// The engine of the device that `model` is on.
    pub fn engine(&self, model: &Model) -> &Engine {
        let own = self
            .engines
            .iter()
            .find(|(device, _)| device.same_device(&model.device));
        &own.unwrap_or(&self.engines[0]).1
    }

    /// How long a refused caller should wait: as the busiest engine says.
    pub fn retry_after(&self) -> Duration {
        self.engines
            .iter()
            .map(|(_, engine)| engine.retry_after())
            .max()
            .unwrap_or_default()
    }

    /// Admits nothing from now on; what runs goes on, and runs of many requests end once those on
    /// their way are done.
    pub fn drain(&self) {
        self.engines.iter().for_each(|(_, engine)| engine.drain());
        self.draining.send_replace(true);
    }

    /// Waits until the server goes down.
    async fn drained(&self) {
        // The sender lives as long as the state.
        let _ = self
            .draining
            .subscribe()
            .wait_for(|draining| *draining)
            .await;
    }
}
