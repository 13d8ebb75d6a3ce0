//! Everything that a request runs on: models, engines, stores and limits.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::gauge;

use super::budget::{Budget, Flags, Share};
use super::error::Error;
use super::model_registry::ModelRegistry;
use super::owned_store::{OwnedStore, Shares};
use super::state_folder::StateFolder;
use super::stores::{Activations, Uploads};
use super::turns::{QueuePlace, TurnLimits, Turns};
use crate::engine::{ClientId, Engine, QueueLength};
use crate::model::{LoadTo, Model, SaliencyModel, Source};
use crate::nn::DeviceGroup;
use crate::telemetry::names;

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
    /// Bytes of messages that are read or decoded.
    pub pending_bytes: Share,
    /// Pixels of pictures that are decoded.
    pub decoding_pixels: Share,
    /// Bytes of captured activations that clients have not read.
    pub unread_bytes: Share,
    /// Requests that are open, each until its stream ends.
    pub streams: Share,
    /// Bytes that benchmarks keep of their items and verdicts until they end.
    pub evaluation_bytes: Share,
}

const PENDING: Flags = Flags {
    all: "--pending-mib",
    one: "--pending-mib-per-key",
};
const UNREAD: Flags = Flags {
    all: "--unread-mib",
    one: "--unread-mib-per-key",
};
const STREAMS: Flags = Flags {
    all: "--max-streams",
    one: "--max-streams-per-key",
};

const EVALUATIONS: Flags = Flags {
    all: "--evaluation-mib",
    one: "--evaluation-mib-per-key",
};

/// Bytes of records that are kept.
const RECORD_BYTES: u64 = 64 << 20;

/// Runs requests. Shared by all services.
#[derive(Debug)]
pub struct Runtime {
    /// The resident models.
    pub models: ModelRegistry,
    /// The engines, one for each device, or for several that hold models together.
    pub engines: Vec<(DeviceGroup, Engine)>,
    /// The bounds of a request.
    pub limits: RequestLimits,
    /// Models whose attention says which patches are salient.
    saliency: RwLock<Vec<Arc<SaliencyModel>>>,
    /// Pictures that clients have uploaded.
    pub uploads: Uploads,
    /// Activations that captures keep.
    pub(super) activations: Activations,
    /// Records of answers, as JSON, for those who are told their digests alone.
    pub records: OwnedStore<Arc<str>>,
    /// Keeps what outlives the process; `None`: nothing does.
    pub(super) state: Option<Arc<StateFolder>>,
    /// Cores of this machine.
    pub(super) cores: usize,
    /// Lets clients take turns at the work beside the engine.
    pub turns: Turns,
    /// Counts the bytes of messages until they are decoded and prepared.
    pub messages: Budget,
    /// Counts the bytes of activations that clients have not read.
    pub(super) unread: Budget,
    /// Counts the requests that are open.
    pub streams: Budget,
    /// Counts the bytes that benchmarks keep of their items and verdicts.
    pub evaluations: Budget,
}

impl Runtime {
    /// Creates a runtime for `models` and the engines that they are placed on.
    pub fn new(models: ModelRegistry, limits: RequestLimits) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let engines = models.placement().engines.clone();
        let queue = engines.first().map(|(_, engine)| engine.limits().queue);
        let turns = TurnLimits {
            // More than one client has, so that somebody else's small work need not wait for one's
            // large pictures.
            pieces: 2 * cores,
            pieces_of_one: cores,
            pixels: limits.decoding_pixels.all,
            pixels_of_one: limits.decoding_pixels.one,
            // The same bound as of an engine's queue: a request waits in one of them.
            queue: queue.unwrap_or_default(),
        };
        Self {
            engines,
            models,
            limits,
            saliency: RwLock::default(),
            uploads: Uploads::new(limits.upload_bytes),
            activations: Activations::new(limits.kept_bytes),
            records: OwnedStore::new(RECORD_BYTES),
            state: None,
            cores,
            turns: Turns::new(turns),
            messages: Budget::new("message_bytes", PENDING, limits.pending_bytes),
            unread: Budget::new("unread_bytes", UNREAD, limits.unread_bytes),
            streams: Budget::new("streams", STREAMS, limits.streams),
            evaluations: Budget::new("evaluations", EVALUATIONS, limits.evaluation_bytes),
        }
    }

    /// Parts the stores of uploads and of kept activations between the keys, and that of records
    /// equally.
    pub fn set_shares(&self, uploads: Shares, kept: Shares) {
        self.records.set_shares(kept.equal(RECORD_BYTES));
        self.uploads.store.set_shares(uploads);
        self.activations.store.set_shares(kept);
    }

    /// Takes back what `folder` has kept, and keeps there what comes; blocks.
    pub fn keep_in(&mut self, folder: StateFolder) {
        let folder = Arc::new(folder);
        self.uploads.keep_in(&folder);
        self.activations.keep_in(&folder);
        self.state = Some(folder);
    }

    /// Returns the folder of what outlives the process.
    pub fn state_folder(&self) -> Option<&StateFolder> {
        self.state.as_deref()
    }

    /// Waits until all that is kept is kept on the disk, too: what was answered outlives the
    /// process.
    pub(super) async fn settle(&self) {
        if let Some(folder) = &self.state {
            folder.flush().await;
        }
    }

    /// Sets the metrics of what is kept between requests, and of the queue.
    pub fn report_budgets(&self) {
        let (here, queue) = self.turns.queue();
        let engines = self.engines.iter();
        let engines = engines.map(|(_, engine)| engine.queue(&ClientId::default()).all);
        let (uploads, kept) = (&self.uploads.store, &self.activations.store);
        let budgets = [
            // A request waits here or in an engine, under one bound.
            (
                "queue",
                (here + engines.sum::<usize>()) as u64,
                queue as u64,
            ),
            ("uploads", uploads.bytes(), uploads.max_bytes()),
            ("kept_activations", kept.bytes(), kept.max_bytes()),
            (
                "models",
                self.models.held_bytes(),
                self.models.placement().budget,
            ),
        ];
        for (budget, used, limit) in budgets {
            gauge!(names::BUDGET_USED, "budget" => budget).set(used as f64);
            if limit < u64::MAX {
                gauge!(names::BUDGET_LIMIT, "budget" => budget).set(limit as f64);
            }
        }
    }

    /// Returns the engine of the device that `model` is on.
    pub fn engine(&self, model: &Model) -> &Engine {
        let own = self
            .engines
            .iter()
            .find(|(device, _)| *device == model.device);
        // Models are loaded by these engines alone, so that one of them is always found.
        &own.unwrap_or(&self.engines[0]).1
    }

    /// Returns the models whose attention says which patches are salient. They are on the device of
    /// the first engine.
    pub fn saliency_models(&self) -> Vec<Arc<SaliencyModel>> {
        let models = self.saliency.read();
        models.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads a saliency model, in place of one of that name; blocks.
    pub fn load_saliency(&self, name: &str, source: &Source) -> Result<(), Error> {
        let (own, from) = (name.to_owned(), source.clone());
        let load = move |to: &LoadTo<'_>| SaliencyModel::load_to(&own, &from, to);
        let model = self.engines[0].1.load(load, &|_, _| {})??;
        let mut models = self
            .saliency
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // In its place, as a device that was restarted has lost it there.
        match models.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = Arc::new(model),
            None => models.push(Arc::new(model)),
        }
        Ok(())
    }

    /// Loads all that a device has lost which was restarted; blocks.
    pub fn reload(&self, device: &DeviceGroup) {
        self.models.reload(device);
        for lost in self.saliency_models().iter().filter(|m| !m.is_live()) {
            if let Err(error) = self.load_saliency(&lost.name, &lost.source) {
                tracing::error!(model = lost.name, %error, "it does not load again");
            }
        }
    }

    /// Returns how long a refused caller should wait, by the busiest engine.
    pub fn retry_after(&self) -> Duration {
        self.engines
            .iter()
            .map(|(_, engine)| engine.retry_after())
            .max()
            .unwrap_or_default()
    }

    /// Lets a request of `client` wait, or refuses it where the queue is full.
    pub fn enter(&self, client: &ClientId) -> Result<Arc<QueuePlace>, Error> {
        let mut waiting = QueueLength::default();
        for (_, engine) in &self.engines {
            let queue = engine.queue(client);
            waiting.all += queue.all;
            waiting.own += queue.own;
            // Not the sum: a client may wait at several engines.
            waiting.clients = waiting.clients.max(queue.clients);
        }
        Ok(self.turns.enter(client, waiting)?)
    }
}
