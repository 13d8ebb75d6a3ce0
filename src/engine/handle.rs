//! The handle to the engine's thread.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::active::ActiveRequest;
use super::admission::{Admission, QueueLength};
use super::auxiliary::{
    AuxiliaryRequest, AuxiliaryTask, EncodeImage, Parity, Replying, SaliencyAttention,
    TowerAttention,
};
use super::cost::Cost;
use super::deadline::Deadline;
use super::error::Error;
use super::event::Events;
use super::fault::{DeviceState, StepCheck};
use super::limits::Limits;
use super::load::{Load, LoadReport};
use super::measure_rows::MeasureRows;
use super::owned::Owned;
use super::parity::{self, CaseComparison, GoldenSet, ParityCheck};
use super::request::{ClientId, Request};
use super::reuse::Rectangle;
use super::sequence::Sequence;
use super::worker::{Command, Worker};
use crate::intervention::RowsProcessed;
use crate::model::{
    self, GradientPass, Gradients, ImageTokens, LoadTo, MeasuredRows, Model, SaliencyModel,
};
use crate::nn::{DeviceGroup, DeviceId, Home, HostTensor, Stack};

/// A handle to the engine's thread, which ends when the last handle is dropped and the last request
/// done.
#[derive(Clone)]
pub struct Engine {
    commands: mpsc::UnboundedSender<Command>,
    admission: Arc<Admission>,
    limits: Limits,
    device: Arc<watch::Sender<DeviceState>>,
    client: ClientId,
    deadline: Deadline,
    /// Waits where there is no room, in place of being refused.
    is_patient: bool,
}

/// A request that is planned and priced, and not yet admitted.
pub struct PlannedRequest {
    request: Request,
    sequences: Vec<Sequence>,
    price: u64,
}

impl PlannedRequest {
    /// Returns the (row, layer) pairs that reading its prompts takes.
    pub fn price(&self) -> u64 {
        self.price
    }

    /// Returns what it takes where nothing is remembered of other requests but the pictures in
    /// `seen`, to which it adds its own. A picture climbs the tower whole; what plans share there
    /// shows only when they run.
    pub fn cost(&self, seen: &mut HashSet<blake3::Hash>) -> Cost {
        let model = &self.request.model;
        let mut cost = Cost::default();
        for sequence in &self.sequences {
            let rows = sequence.program.cells(sequence.own);
            // As if each were read in one piece.
            let keys = rows * sequence.ids.len() as u64;
            cost += Cost::of_passed(model, Stack::LanguageModel, RowsProcessed { rows, keys });
            cost += Cost::of_head(model, sequence.readings());
            for image in sequence.images.iter() {
                cost += image.cost(model, seen);
            }
        }
        cost
    }

    /// Returns the cells of `variant` that may differ from those of the variants before it; `None`
    /// where it is the same as one of them.
    pub fn dirty(&self, variant: usize) -> Option<Rectangle> {
        // Variants that are the same share a sequence, which is the first one's own.
        let first = |s: &&Sequence| s.variants.first().is_some_and(|of| of.0 == variant);
        self.sequences.iter().find(first).map(|s| s.own)
    }
}

impl std::fmt::Debug for PlannedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedRequest")
            .field("price", &self.price)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the thread, for models in the memory of the process.
    pub fn start(limits: Limits) -> std::io::Result<Self> {
        Self::on(DeviceId::Cpu, limits)
    }

    /// Starts the thread, which opens `device`, or several, and owns all that is there.
    pub fn on(device: impl Into<DeviceGroup>, limits: Limits) -> std::io::Result<Self> {
        Self::with_check(device, limits, StepCheck::default())
    }

    /// Starts it with a check that may fail steps.
    pub fn with_check(
        device: impl Into<DeviceGroup>,
        limits: Limits,
        check: StepCheck,
    ) -> std::io::Result<Self> {
        let device: DeviceGroup = device.into();
        let name = device.to_string();
        // Unbounded, since admission bounds what is sent.
        let (commands, inbox) = mpsc::unbounded_channel();
        let admission = Arc::new(Admission::default());
        let (opened, result) = std::sync::mpsc::channel();
        // A weak one: what is left on the device does not keep the thread alive.
        let waker = commands.downgrade();
        let admitted = admission.clone();
        let state = Arc::new(watch::Sender::new(DeviceState::Serving));
        let reported = state.clone();
        let start = move |owned| Worker::new(inbox, admitted, limits, (owned, reported), check);
        compute_threads()?.spawn(move || own_device(&device, waker, &opened, start));
        let ended = || std::io::Error::other(format!("{name}: the engine's thread ended"));
        // The outer error: the thread has ended unheard. The inner one: the device does not open.
        result.recv().map_err(|_| ended())??;
        Ok(Self {
            commands,
            admission,
            limits,
            device: state,
            // Whoever asks without a name shares with all others who do.
            client: ClientId::default(),
            deadline: Deadline::default(),
            is_patient: false,
        })
    }

    /// Returns a handle whose [`attention`](Self::attention), [`encode`](Self::encode) and
    /// [`parity`](Self::parity) are charged to `client` and given up at `deadline`.
    #[must_use]
    pub fn on_behalf_of(&self, client: &ClientId, deadline: &Deadline) -> Self {
        Self {
            client: client.clone(),
            deadline: deadline.clone(),
            ..self.clone()
        }
    }

    /// Returns a handle whose [`attention`](Self::attention) and its like wait where there is no
    /// room: parts of something that has begun, which a refusal would end midway.
    #[must_use]
    pub fn patiently(&self) -> Self {
        Self {
            is_patient: true,
            ..self.clone()
        }
    }

    /// Plans `request` and admits it, or refuses it at once.
    pub fn submit(&self, request: Request) -> Result<Events, Error> {
        self.admit(self.plan(request)?)
    }

    /// Plans and prices `request`, on the caller's thread: the engine's thread has better things to
    /// do.
    pub fn plan(&self, request: Request) -> Result<PlannedRequest, Error> {
        self.check_ready()?;
        // Prepared before the device was lost, against a model that has gone with it.
        if !request.model.is_live() {
            return Err(Error::Restarting);
        }
        // Planning compares programs and touches no tensor of the device, so any thread may do it.
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
        Ok(PlannedRequest {
            request,
            sequences,
            price,
        })
    }

    /// Admits a planned request, or refuses it at once.
    pub fn admit(&self, planned: PlannedRequest) -> Result<Events, Error> {
        // Again: it may have waited since it was planned.
        self.check_ready()?;
        let client = &planned.request.client;
        self.admission.enter(client, planned.price, &self.limits)?;
        self.begin(planned)
    }

    /// Admits a planned request, and waits as long as there is no room.
    pub async fn admit_patiently(&self, planned: PlannedRequest) -> Result<Events, Error> {
        self.check_ready()?;
        let client = &planned.request.client;
        let entering = self
            .admission
            .enter_patiently(client, planned.price, &self.limits);
        entering.await;
        // Where the device was lost meanwhile, the worker finds a model that has gone with it.
        self.begin(planned)
    }

    /// Hands a request that is admitted to the worker, which from here on counts it as gone,
    /// whichever way it ends.
    fn begin(&self, planned: PlannedRequest) -> Result<Events, Error> {
        let PlannedRequest {
            request,
            sequences,
            price,
        } = planned;
        // Unbounded: a receiver that is slow must not hold up the step of all others.
        let (sender, events) = mpsc::unbounded_channel();
        let active = ActiveRequest::new(request, sequences, price, sender);
        self.commands
            .send(Command::Run(Box::new(active)))
            .map_err(|_| Error::Draining)?;
        Ok(events)
    }

    /// Returns whether another request of `client` would be admitted now.
    pub fn has_room(&self, client: &ClientId) -> bool {
        self.admission.has_room(client, &self.limits)
    }

    /// Waits until another request of `client` would be admitted; it may then be refused all the
    /// same, where several wait.
    pub async fn room(&self, client: &ClientId) {
        self.admission.room(client, &self.limits).await;
    }

    /// Returns how many requests wait, and how many of `client`.
    pub fn queue(&self, client: &ClientId) -> QueueLength {
        self.admission.queue(client)
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
        pixels: Vec<HostTensor>,
        head: Option<usize>,
    ) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let task = TowerAttention::new(model, pixels, head);
        self.run(task.price(), |reply| Replying::new(task, reply))
            .await?
    }

    /// Computes where a saliency model looks in each picture; see [`SaliencyModel::attention`].
    pub async fn saliency(
        &self,
        model: Arc<SaliencyModel>,
        pixels: Vec<HostTensor>,
        head: Option<usize>,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let task = SaliencyAttention::new(model, pixels, head);
        self.run(task.price(), |reply| Replying::new(task, reply))
            .await?
    }

    /// Computes the visual tokens `(N, D)` of a picture, by the unchanged model.
    pub async fn encode(
        &self,
        model: Arc<Model>,
        pixels: HostTensor,
        tokens: ImageTokens,
    ) -> Result<HostTensor, Error> {
        let task = EncodeImage::new(model, pixels, tokens);
        self.run(task.price(), |reply| Replying::new(task, reply))
            .await?
    }

    /// Computes rows of the model without interventions.
    pub async fn measure_rows(&self, work: MeasureRows) -> Result<MeasuredRows, Error> {
        self.run(work.price(), |reply| Replying::new(work, reply))
            .await?
    }

    /// Computes gradients, a layer a step; see [`GradientPass`].
    pub async fn gradients(&self, pass: GradientPass) -> Result<Gradients, Error> {
        self.run(pass.price(), |reply| Replying::new(pass, reply))
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
        // Priced by what was read: the length of the reference's answer is not known before.
        let task = Parity::new(model, check);
        self.run(task.price(), |reply| Replying::new(task, reply))
            .await?
    }

    /// Admits an auxiliary task and waits for its reply.
    async fn run<T, R: AuxiliaryTask + 'static>(
        &self,
        price: u64,
        task: impl FnOnce(oneshot::Sender<T>) -> R,
    ) -> Result<T, Error> {
        self.check_ready()?;
        // By the price of all steps, though each is charged when it runs.
        let (admission, limits) = (&self.admission, &self.limits);
        if self.is_patient {
            admission.enter_patiently(&self.client, price, limits).await;
        } else {
            admission.enter(&self.client, price, limits)?;
        }
        let (sender, reply) = oneshot::channel();
        let request = AuxiliaryRequest {
            client: self.client.clone(),
            deadline: self.deadline.clone(),
            price,
            started: false,
            failed: false,
            task: Box::new(task(sender)),
        };
        self.commands
            .send(Command::Auxiliary(request))
            .map_err(|_| Error::Draining)?;
        // Without a reply the thread has ended.
        reply.await.map_err(|_| Error::Draining)
    }

    /// Does `work` on the thread that owns the device, such as loading a model there, and waits for
    /// it; blocks. Steps of requests run whenever `work` reports progress, of which `progress`
    /// hears.
    pub fn load<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LoadTo<'_>) -> Result<T, model::Error> + Send + 'static,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Result<T, model::Error>, Error> {
        // Not `check_ready`: a device that is restarted waits for just this, its models.
        let (sender, reports) = std::sync::mpsc::channel();
        // Not admitted, since it has no price: loads run one at a time, with steps in between.
        let load = Load::new(work, sender);
        self.commands
            .send(Command::Load(load))
            .map_err(|_| Error::Draining)?;
        for report in reports {
            match report {
                LoadReport::Progress(done, total) => progress(done, total),
                LoadReport::Done(result) => return result,
            }
        }
        // Without a result the thread has ended.
        Err(Error::Draining)
    }

    /// Drops what is remembered of requests that have ended: prompts and pictures.
    pub fn forget(&self) {
        // Where the thread has ended, nothing is left.
        let _ = self.commands.send(Command::Forget);
    }

    /// Waits until the engine's thread has freed all that nobody holds any more.
    pub async fn settled(&self) {
        let (sender, done) = oneshot::channel();
        if self.commands.send(Command::Settle(sender)).is_ok() {
            // Where the thread has ended, nothing is left.
            let _ = done.await;
        }
    }

    /// Watches the state of the device.
    pub fn states(&self) -> watch::Receiver<DeviceState> {
        self.device.subscribe()
    }

    /// Takes requests again, once the models of a device that was restarted are loaded.
    pub fn resume(&self) {
        // Only from there: the device may have been lost again while its models were loaded.
        self.device.send_if_modified(|state| {
            let is_due = *state == DeviceState::Restarted;
            if is_due {
                *state = DeviceState::Serving;
            }
            is_due
        });
    }

    /// Fails where no request can be taken now.
    fn check_ready(&self) -> Result<(), Error> {
        match *self.device.borrow() {
            DeviceState::Serving => Ok(()),
            DeviceState::Restarting | DeviceState::Restarted => Err(Error::Restarting),
        }
    }

    /// Returns how long a refused caller should wait: longer the more requests wait already, and as
    /// long as small models take to load where the device is restarted.
    pub fn retry_after(&self) -> Duration {
        if *self.device.borrow() != DeviceState::Serving {
            return Duration::from_secs(2);
        }
        Duration::from_millis(100 + 10 * self.admission.waiting() as u64)
    }
}

/// Returns the threads that an engine computes on, of which its own is to be one.
fn compute_threads() -> std::io::Result<rayon::ThreadPool> {
    // A thread from outside would hand every product over and wait, for two threads to wake up
    // each time; a member begins at once, and shares what others are awake to take. Beside other
    // programs that is the difference between a share of the machine and waiting for it.
    rayon::ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .thread_name(|_| "engine".into())
        // As of any thread: the program goes on, and who waits for the engine is told.
        .panic_handler(drop)
        .build()
        .map_err(std::io::Error::other)
}

/// Opens `device` on this thread, says whether that went well, and runs the worker that `start`
/// makes of it.
fn own_device(
    device: &DeviceGroup,
    waker: mpsc::WeakUnboundedSender<Command>,
    opened: &std::sync::mpsc::Sender<std::io::Result<()>>,
    start: impl FnOnce(Owned) -> Worker,
) {
    // Made on this thread, which from now on owns whatever is kept there.
    let home = Home::with_wake(move || wake(&waker));
    let owned = Owned::open(device, home);
    let failed = owned.as_ref().err();
    let failed = failed.map(|error| std::io::Error::other(format!("{device}: {error}")));
    // Whoever starts the thread waits for this.
    let _ = opened.send(failed.map_or(Ok(()), Err));
    if let Ok(owned) = owned {
        start(owned).run();
    }
}

/// Tells the engine's thread that something on its device is held no more.
fn wake(commands: &mpsc::WeakUnboundedSender<Command>) {
    if let Some(commands) = commands.upgrade() {
        // Else a thread that waits for requests would free nothing before the next one comes.
        let _ = commands.send(Command::Collect);
    }
}
