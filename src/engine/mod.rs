//! The engine: one thread per device owns the forward pass, and packs the rows of all requests into one batch.
//!
//! It sees token ids, pixels and plans; it must never see a prompt's text or protobuf.
//!
//! A request lives so: [`Engine::submit`] admits it or refuses it at once; it waits; a step encodes its pictures and prefills
//! its prompt beside the decode rows of those that run already; then one row a step until it ends. Whoever drops the
//! [`Events`] of a request frees its rows at the next step; deadlines are looked at before every step.

mod cost;
mod job;
pub mod parity;
mod sampling;
mod scheduler;
mod step;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use candle_core::Tensor;
use tokio::sync::{mpsc, oneshot};

pub use cost::Cost;
pub use job::{Event, Finish, Job, Prefilled, Timing, Token, Work};
pub use sampling::Sampling;

use parity::{Comparison, GoldenSet};

use crate::model::{ImageTokens, Model};

/// Why the engine does not run a request, or stopped running it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No room in the queue.
    #[error("the queue is full: {limit} requests wait already")]
    QueueFull {
        /// How many may wait.
        limit: usize,
    },
    /// The server is going down.
    #[error("the server is draining")]
    Draining,
    /// The deadline has passed.
    #[error("the deadline passed after {tokens} tokens")]
    Deadline {
        /// Generated so far.
        tokens: usize,
    },
    /// The forward pass made no numbers.
    #[error("the logits are not finite")]
    NotFinite,
    /// Shapes, dtypes, the device: a fault of the server.
    #[error("the forward pass failed: {0}")]
    Fault(String),
}

/// How much the engine takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests that may wait.
    pub queue: usize,
    /// Requests that run at once.
    pub running: usize,
    /// Prefill rows of one step; one request alone may exceed it.
    pub step_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 256, running: 64, step_rows: 4096 }
    }
}

/// What happens to a request, in order; the last one is a token that finishes, the scores, or an error.
pub type Events = mpsc::UnboundedReceiver<Result<Event, Error>>;

#[expect(clippy::large_enum_variant, reason = "jobs are what the channel is for")]
enum Command {
    Run(Job, mpsc::UnboundedSender<Result<Event, Error>>),
    Parity(Arc<Model>, Arc<GoldenSet>, usize, oneshot::Sender<Result<Comparison, parity::Error>>),
    Attention(Arc<Model>, Vec<Tensor>, Option<usize>, oneshot::Sender<Result<Vec<Vec<Vec<f32>>>, Error>>),
    Encode(Arc<Model>, Tensor, ImageTokens, oneshot::Sender<Result<Tensor, Error>>),
}

/// A handle to the engine's thread, which ends when the last handle is dropped and the last request done.
#[derive(Clone)]
pub struct Engine {
    commands: mpsc::UnboundedSender<Command>,
    waiting: Arc<AtomicUsize>,
    draining: Arc<AtomicBool>,
    limits: Limits,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the thread.
    pub fn start(limits: Limits) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let scheduler = scheduler::Scheduler::new(inbox, waiting.clone(), limits);
        std::thread::Builder::new().name("engine".into()).spawn(move || scheduler.run())?;
        Ok(Self { commands, waiting, draining: Arc::default(), limits })
    }

    /// Admits `job`, or refuses it at once.
    pub fn submit(&self, job: Job) -> Result<Events, Error> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Error::Draining);
        }
        let limit = self.limits.queue;
        self.waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < limit).then_some(n + 1))
            .map_err(|_| Error::QueueFull { limit })?;
        let (sender, events) = mpsc::unbounded_channel();
        self.commands.send(Command::Run(job, sender)).map_err(|_| Error::Draining)?;
        Ok(events)
    }

    /// The attention that the tower's CLS token pays to each patch of each view of each picture, of one head or the mean over
    /// heads; see `VisionTower::attention`.
    pub async fn attention(
        &self,
        model: Arc<Model>,
        pixels: Vec<Tensor>,
        head: Option<usize>,
    ) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let (sender, reply) = oneshot::channel();
        self.commands.send(Command::Attention(model, pixels, head, sender)).map_err(|_| Error::Draining)?;
        reply.await.map_err(|_| Error::Draining)?
    }

    /// The visual tokens `(N, D)` of a picture, by the unchanged model.
    pub async fn encode(&self, model: Arc<Model>, pixels: Tensor, tokens: ImageTokens) -> Result<Tensor, Error> {
        let (sender, reply) = oneshot::channel();
        self.commands.send(Command::Encode(model, pixels, tokens, sender)).map_err(|_| Error::Draining)?;
        reply.await.map_err(|_| Error::Draining)?
    }

    /// Compares case `case` of a golden set with the reference.
    pub async fn parity(
        &self,
        model: Arc<Model>,
        goldens: Arc<GoldenSet>,
        case: usize,
    ) -> Result<Result<Comparison, parity::Error>, Error> {
        let (sender, reply) = oneshot::channel();
        self.commands.send(Command::Parity(model, goldens, case, sender)).map_err(|_| Error::Draining)?;
        reply.await.map_err(|_| Error::Draining)
    }

    /// From now on nothing is admitted; what runs goes on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// How long a refused caller should wait: longer the more wait already.
    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(100 + 10 * self.waiting.load(Ordering::Relaxed) as u64)
    }
}
