//! The engine: one thread per device owns the forward pass, and packs the rows of all requests into
//! one batch.
//!
//! It sees token ids, pixels and plans; it must never see a prompt's text or protobuf.
//!
//! A job lives so: [`Engine::submit`] plans its runs (see [`planner`](reuse::planner)) and admits it or refuses it
//! at once; in every step, chunks of prompts are read beside the decode rows of those that write
//! already, fairly among clients; a run that others start from lets them start once it is read.
//! Whoever drops the [`Events`] of a job frees its rows at the next step; deadlines are looked at
//! before every step.

mod active;
mod cache;
mod cost;
mod encoder;
mod model_runner;
pub mod parity;
mod processors;
mod request;
pub mod reuse;
mod sampler;
mod scheduler;
mod sequence;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use tokio::sync::{mpsc, oneshot};

pub use cost::Cost;
pub use request::{Client, Event, Finish, Job, Pixels, Prefilled, Timing, Token, Variant, Work};
pub use sampler::Sampling;

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
    /// Too much work is admitted and not done.
    #[error(
        "too much is to be done already: {admitted} (row, layer) pairs; at most {limit} are admitted"
    )]
    Backlog {
        /// What is to be done.
        admitted: u64,
        /// What may be.
        limit: u64,
    },
    /// Keys and values of one sequence take more than there is.
    #[error("keys and values of one sequence would take {needed} bytes; the cache holds {limit}")]
    KvBudget {
        /// Bytes.
        needed: usize,
        /// Bytes.
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
    /// The processors of a request suppress all tokens.
    #[error("no token is left to choose: penalties and suppressed tokens leave none")]
    NothingLeft,
    /// Shapes, dtypes, the device: a fault of the server.
    #[error("the forward pass failed: {0}")]
    Fault(String),
}

/// How much the engine takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests that may wait.
    pub queue: usize,
    /// (row, layer) pairs that may be admitted and not yet done.
    pub queue_rows: u64,
    /// Sequences that run at once.
    pub running: usize,
    /// Rows of one step; what cannot be cut may exceed it.
    pub step_rows: usize,
    /// Bytes of keys and values; prompts that were read are remembered as long as there is room.
    pub kv_bytes: usize,
    /// Bytes of pictures that were encoded.
    pub picture_bytes: u64,
    /// Bytes of the residual stream kept for variants to start from, for each request.
    pub checkpoint_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 256,
            queue_rows: 1 << 28,
            running: 64,
            step_rows: 1024,
            kv_bytes: 4 << 30,
            picture_bytes: 1 << 30,
            checkpoint_bytes: 1 << 30,
        }
    }
}

/// What has been heard of a variant; its last event is a token that finishes, the scores, or an
/// error.
#[derive(Debug)]
pub struct Told {
    /// Its place in the job.
    pub variant: usize,
    /// What happened.
    pub event: Result<Event, Error>,
}

/// What happens to the variants of a job, in order for each of them.
pub type Events = mpsc::UnboundedReceiver<Told>;

enum Command {
    Run(Box<active::Request>),
    Parity(
        Arc<Model>,
        Arc<GoldenSet>,
        usize,
        oneshot::Sender<Result<Comparison, parity::Error>>,
    ),
    Attention(
        Arc<Model>,
        Vec<Tensor>,
        Option<usize>,
        oneshot::Sender<Result<Vec<Vec<Vec<f32>>>, Error>>,
    ),
    Encode(
        Arc<Model>,
        Tensor,
        ImageTokens,
        oneshot::Sender<Result<Tensor, Error>>,
    ),
}

/// What has been admitted.
#[derive(Debug, Default)]
struct Admission {
    /// Requests of which nothing has run yet.
    waiting: AtomicUsize,
    /// (row, layer) pairs of all that is not done.
    rows: AtomicU64,
}

impl Admission {
    fn enter(&self, price: u64, limits: &Limits) -> Result<(), Error> {
        let limit = limits.queue;
        let admitted = self.rows.load(Ordering::Acquire);
        if admitted > 0 && admitted + price > limits.queue_rows {
            return Err(Error::Backlog {
                admitted,
                limit: limits.queue_rows,
            });
        }
        self.waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < limit).then_some(n + 1)
            })
            .map_err(|_| Error::QueueFull { limit })?;
        self.rows.fetch_add(price, Ordering::AcqRel);
        Ok(())
    }

    /// One of those that wait has been started.
    fn start(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// One has gone.
    fn leave(&self, price: u64, started: bool) {
        self.rows.fetch_sub(price, Ordering::AcqRel);
        if !started {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A handle to the engine's thread, which ends when the last handle is dropped and the last request
/// done.
#[derive(Clone)]
pub struct Engine {
    commands: mpsc::UnboundedSender<Command>,
    admission: Arc<Admission>,
    draining: Arc<AtomicBool>,
    limits: Limits,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the thread.
    pub fn start(limits: Limits) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let admission = Arc::new(Admission::default());
        let scheduler = scheduler::Scheduler::new(inbox, admission.clone(), limits);
        std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || scheduler.run())?;
        Ok(Self {
            commands,
            admission,
            draining: Arc::default(),
            limits,
        })
    }

    /// Plans `job` and admits it, or refuses it at once.
    pub fn submit(&self, job: Job) -> Result<Events, Error> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Error::Draining);
        }
        let runs = sequence::Run::of_job(&job, self.limits.checkpoint_bytes)
            .map_err(|e| Error::Fault(e.to_string()))?;
        let needed = runs
            .iter()
            .map(|r| r.kv_bytes(&job.model))
            .max()
            .unwrap_or(0);
        if needed > self.limits.kv_bytes {
            return Err(Error::KvBudget {
                needed,
                limit: self.limits.kv_bytes,
            });
        }
        let price = runs.iter().map(|r| r.program.cells(r.own)).sum();
        self.admission.enter(price, &self.limits)?;
        let (sender, events) = mpsc::unbounded_channel();
        let request = active::Request::new(job, runs, price, sender);
        self.commands
            .send(Command::Run(Box::new(request)))
            .map_err(|_| Error::Draining)?;
        Ok(events)
    }

    /// Whether another job would be admitted now.
    pub fn has_room(&self) -> bool {
        let admitted = self.admission.rows.load(Ordering::Acquire);
        self.admission.waiting.load(Ordering::Acquire) < self.limits.queue
            && admitted < self.limits.queue_rows / 2
    }

    /// How much the engine takes on.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The attention that the tower's CLS token pays to each patch of each view of each picture, of
    /// one head or the mean over heads; see `VisionTower::attention`.
    pub async fn attention(
        &self,
        model: Arc<Model>,
        pixels: Vec<Tensor>,
        head: Option<usize>,
    ) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let (sender, reply) = oneshot::channel();
        self.commands
            .send(Command::Attention(model, pixels, head, sender))
            .map_err(|_| Error::Draining)?;
        reply.await.map_err(|_| Error::Draining)?
    }

    /// The visual tokens `(N, D)` of a picture, by the unchanged model.
    pub async fn encode(
        &self,
        model: Arc<Model>,
        pixels: Tensor,
        tokens: ImageTokens,
    ) -> Result<Tensor, Error> {
        let (sender, reply) = oneshot::channel();
        self.commands
            .send(Command::Encode(model, pixels, tokens, sender))
            .map_err(|_| Error::Draining)?;
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
        self.commands
            .send(Command::Parity(model, goldens, case, sender))
            .map_err(|_| Error::Draining)?;
        reply.await.map_err(|_| Error::Draining)
    }

    /// From now on nothing is admitted; what runs goes on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// How long a refused caller should wait: longer the more wait already.
    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(100 + 10 * self.admission.waiting.load(Ordering::Relaxed) as u64)
    }
}

/// BLAKE3 of numbers as little-endian f32.
fn digest(values: impl Iterator<Item = f32>) -> blake3::Hash {
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    blake3::hash(&bytes)
}

/// The same of a tensor's numbers.
fn digest_of(tensor: &Tensor) -> candle_core::Result<blake3::Hash> {
    let values = tensor
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    Ok(digest(values.into_iter()))
}

/// One digest for several: of one it is that one.
pub fn digest_of_digests(digests: impl Iterator<Item = String>) -> String {
    let mut digests: Vec<String> = digests.filter(|d| !d.is_empty()).collect();
    match digests.len() {
        0 => String::new(),
        1 => digests.swap_remove(0),
        _ => blake3::hash(digests.concat().as_bytes())
            .to_hex()
            .to_string(),
    }
}
