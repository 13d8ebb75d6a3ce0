//! The handle to the engine's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::Tensor;
use tokio::sync::{mpsc, oneshot};

use super::active::ActiveRequest;
use super::admission::Admission;
use super::auxiliary::{AuxiliaryRequest, AuxiliaryTask, EncodeImage, Replying, TowerAttention};
use super::error::Error;
use super::event::Events;
use super::limits::Limits;
use super::parity::{self, CaseComparison, GoldenSet, ParityCheck};
use super::request::{ClientId, Request};
use super::sequence::Sequence;
use super::worker::{Command, Worker};
use crate::model::{ImageTokens, Model};

/// A handle to the engine's thread, which ends when the last handle is dropped and the last request
/// done.
#[derive(Clone)]
pub struct Engine {
    commands: mpsc::UnboundedSender<Command>,
    admission: Arc<Admission>,
    draining: Arc<AtomicBool>,
    limits: Limits,
    client: ClientId,
    deadline: Option<Instant>,
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
        let worker = Worker::new(inbox, admission.clone(), limits);
        std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || worker.run())?;
        Ok(Self {
            commands,
            admission,
            draining: Arc::default(),
            limits,
            // Whoever asks without a name shares with all others who do.
            client: ClientId::default(),
            deadline: None,
        })
    }

    /// Returns a handle whose [`attention`](Self::attention), [`encode`](Self::encode) and
    /// [`parity`](Self::parity) are charged to `client` and given up at `deadline`.
    #[must_use]
    pub fn on_behalf_of(&self, client: &ClientId, deadline: Option<Instant>) -> Self {
        Self {
            client: client.clone(),
            deadline,
            ..self.clone()
        }
    }

    /// Plans `request` and admits it, or refuses it at once.
    pub fn submit(&self, request: Request) -> Result<Events, Error> {
        self.check_draining()?;
        // Planned here, on the caller's thread: the engine's thread has better things to do.
        let sequences = Sequence::of_request(&request, self.limits.checkpoint_bytes)
            .map_err(|e| Error::Fault(e.to_string()))?;
        // Such a request would wait forever.
        let needed = sequences
            .iter()
            .map(|s| s.kv_bytes(&request.model))
            .max()
            .unwrap_or(0);
        if needed > self.limits.kv_bytes {
            return Err(Error::KvBudget {
                needed,
                limit: self.limits.kv_bytes,
            });
        }
        let price = sequences.iter().map(|s| s.program.cells(s.own)).sum();
        self.admission.enter(price, &self.limits)?;
        let (sender, events) = mpsc::unbounded_channel();
        let active = ActiveRequest::new(request, sequences, price, sender);
        self.commands
            .send(Command::Run(Box::new(active)))
            .map_err(|_| Error::Draining)?;
        Ok(events)
    }

    /// Returns whether another request would be admitted now.
    pub fn has_room(&self) -> bool {
        self.admission.has_room(&self.limits)
    }

    /// Waits until another request would be admitted; it may then be refused all the same, where
    /// several wait.
    pub async fn room(&self) {
        self.admission.room(&self.limits).await;
    }

    /// Returns how much the engine takes on.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Computes the attention that the tower's CLS token pays to each patch of each view of each
    /// picture, of one head or the mean over heads; see `VisionTower::attention`.
    pub async fn attention(
        &self,
        model: Arc<Model>,
        pixels: Vec<Tensor>,
        head: Option<usize>,
    ) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let task = TowerAttention::new(pixels, head);
        let price = task.price(&model);
        self.run(model, price, |reply| Replying::new(task, reply))
            .await?
    }

    /// Computes the visual tokens `(N, D)` of a picture, by the unchanged model.
    pub async fn encode(
        &self,
        model: Arc<Model>,
        pixels: Tensor,
        tokens: ImageTokens,
    ) -> Result<Tensor, Error> {
        let task = EncodeImage::new(pixels, tokens);
        let price = task.price(&model);
        self.run(model, price, |reply| Replying::new(task, reply))
            .await?
    }

    /// Compares case `case` of a golden set with the reference.
    pub async fn parity(
        &self,
        model: Arc<Model>,
        goldens: Arc<GoldenSet>,
        case: usize,
    ) -> Result<Result<CaseComparison, parity::Error>, Error> {
        // It reads the values of the reference from files.
        let check = tokio::task::spawn_blocking(move || ParityCheck::new(goldens, case));
        let check = match check.await.map_err(|e| Error::Fault(e.to_string()))? {
            Ok(check) => check,
            Err(error) => return Ok(Err(error)),
        };
        let price = check.price(&model);
        self.run(model, price, |reply| Replying::new(check, reply))
            .await?
    }

    /// Admits an auxiliary task and waits for its reply.
    async fn run<T, R: AuxiliaryTask + 'static>(
        &self,
        model: Arc<Model>,
        price: u64,
        task: impl FnOnce(oneshot::Sender<T>) -> R,
    ) -> Result<T, Error> {
        self.check_draining()?;
        self.admission.enter(price, &self.limits)?;
        let (sender, reply) = oneshot::channel();
        let request = AuxiliaryRequest {
            model,
            client: self.client.clone(),
            deadline: self.deadline,
            price,
            started: false,
            task: Box::new(task(sender)),
        };
        self.commands
            .send(Command::Auxiliary(request))
            .map_err(|_| Error::Draining)?;
        // Without a reply the thread has ended.
        reply.await.map_err(|_| Error::Draining)
    }

    /// Admits nothing from now on; requests that run go on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn check_draining(&self) -> Result<(), Error> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Error::Draining);
        }
        Ok(())
    }

    /// Returns how long a refused caller should wait: longer the more requests wait already.
    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(100 + 10 * self.admission.waiting() as u64)
    }
}
