//! The engine's thread: receives requests, runs the steps that the scheduler decides on, and lets
//! the results out.
//!
//! Here is its loop; `batch.rs` chooses the rows of a step, `start.rs` starts sequences, and
//! `failures.rs` counts what fails and opens a lost device anew.

mod batch;
mod failures;
mod start;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Instant;

use metrics::{counter, gauge};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};

use crate::engine::active::{ActiveRequest, Outcome};
use crate::engine::admission::Admission;
use crate::engine::auxiliary::AuxiliaryRequest;
use crate::engine::cache::prefix::PrefixCache;
use crate::engine::deadline::Deadline;
use crate::engine::encoder::Encoder;
use crate::engine::error::Error;
use crate::engine::fault::{DeviceState, StepCheck};
use crate::engine::limits::Limits;
use crate::engine::load::Load;
use crate::engine::model_runner::{self, BatchEntry};
use crate::engine::owned::Owned;
use crate::engine::sampler::Reading;
use crate::engine::scheduler::{Scheduler, Shares};
use crate::engine::sequence::{Memory, Sequence, State};
use crate::model::Model;
use crate::nn::DecodeSlots;
use crate::telemetry::names;

/// A message to the engine's thread.
pub(super) enum Command {
    /// Run the sequences of a request.
    Run(Box<ActiveRequest>),
    /// Do an auxiliary request.
    Auxiliary(AuxiliaryRequest),
    /// Load something to the device.
    Load(Load),
    /// Drop what is remembered of requests that have ended.
    Forget,
    /// Free what nobody holds any more.
    Collect,
    /// Reply once that is done.
    Settle(oneshot::Sender<()>),
}

/// A sequence of a request. Valid until requests leave, which they do between steps alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct SequenceId {
    request: usize,
    sequence: usize,
}

impl SequenceId {
    fn new(request: usize, sequence: usize) -> Self {
        Self { request, sequence }
    }
}

/// A sequence with the rows of its prefill that the next step reads.
struct Scheduled {
    id: SequenceId,
    rows: Range<usize>,
}

/// Owns all requests and caches.
pub(super) struct Worker {
    inbox: UnboundedReceiver<Command>,
    admission: Arc<Admission>,
    limits: Limits,
    /// The device, whose tensors live and die on this thread.
    owned: Owned,
    device: Arc<watch::Sender<DeviceState>>,
    /// Says by which error the device was lost, until it is restarted.
    lost: Option<String>,
    check: StepCheck,
    /// One runs at a time, between steps of requests.
    loads: VecDeque<Load>,
    requests: VecDeque<ActiveRequest>,
    auxiliary: VecDeque<AuxiliaryRequest>,
    scheduler: Scheduler,
    /// Shares of the clients in the step that is being composed.
    shares: Shares,
    memory: Memory,
    encoder: Encoder,
    prefixes: PrefixCache,
    /// The decode slots of each model that is alive.
    slots: Vec<(Weak<Model>, DecodeSlots)>,
}

impl Worker {
    pub(super) fn new(
        inbox: UnboundedReceiver<Command>,
        admission: Arc<Admission>,
        limits: Limits,
        (owned, device): (Owned, Arc<watch::Sender<DeviceState>>),
        check: StepCheck,
    ) -> Self {
        let memory = Memory::default();
        Self {
            encoder: Encoder::new(limits.picture_bytes, &memory.residuals),
            inbox,
            admission,
            limits,
            owned,
            device,
            lost: None,
            check,
            loads: VecDeque::new(),
            requests: VecDeque::new(),
            auxiliary: VecDeque::new(),
            scheduler: Scheduler::default(),
            shares: Shares::default(),
            memory,
            prefixes: PrefixCache::default(),
            slots: Vec::new(),
        }
    }

    /// Runs until all handles are gone and all requests done.
    pub(super) fn run(mut self) {
        self.count_nothing_yet();
        while self.receive() {
            self.turn();
            self.load_next();
            if let Some(reason) = self.lost.take() {
                self.restart(&reason);
            }
        }
        // First the caches of requests, then all that others still hold.
        let home = self.owned.home().clone();
        drop(self);
        home.clear();
    }

    fn turn(&mut self) {
        // While a load is at work, what it has made so far is on the device that was lost.
        if self.lost.is_some() {
            return;
        }
        // Late and cancelled requests leave before a step, so that none is run for them.
        self.drop_finished();
        self.report();
        self.step();
    }

    /// Does the load that waits longest, with a turn of requests between any two tensors.
    fn load_next(&mut self) {
        let Some(load) = self.loads.pop_front() else {
            return;
        };
        let owned = self.owned.clone();
        // A load calls back through `&dyn Fn()`, which cannot borrow the worker mutably by itself.
        let worker = RefCell::new(&mut *self);
        let failed = load.run(&owned, &|| {
            let mut worker = worker.borrow_mut();
            worker.take_commands();
            worker.turn();
        });
        if let Some(error) = failed {
            // Whoever loads is told; no step has failed, which is what alerts watch.
            self.note_loss(&error);
        }
    }

    /// Takes the requests that have come; waits where there is nothing else to do. Returns false at
    /// the end of all work.
    fn receive(&mut self) -> bool {
        while self.is_idle() {
            // The gauges would show the last step for as long as nothing comes.
            self.report();
            match self.inbox.blocking_recv() {
                Some(command) => self.take(command),
                None => return false,
            }
        }
        self.take_commands();
        true
    }

    fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.auxiliary.is_empty() && self.loads.is_empty()
    }

    /// Takes the requests that have come.
    fn take_commands(&mut self) {
        while let Ok(command) = self.inbox.try_recv() {
            self.take(command);
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            // One that was sent as the device was lost may come after.
            Command::Run(mut request) if !request.model.is_live() => {
                request.output.fail(|| Error::Restarting);
                self.admission.leave(&request.client, request.price, false);
            }
            Command::Auxiliary(mut request) if !request.task.is_live() => {
                request.task.fail(Error::Restarting);
                self.admission.leave(&request.client, request.price, false);
            }
            Command::Run(request) => {
                self.scheduler.join(&request.client);
                self.requests.push_back(*request);
            }
            Command::Auxiliary(request) => {
                self.scheduler.join(&request.client);
                self.auxiliary.push_back(request);
            }
            Command::Load(load) => self.loads.push_back(load),
            Command::Forget => self.forget(),
            Command::Collect => self.collect(),
            Command::Settle(reply) => {
                self.collect();
                // A caller that has gone needs no reply.
                let _ = reply.send(());
            }
        }
    }

    fn forget(&mut self) {
        self.prefixes = PrefixCache::default();
        self.encoder = Encoder::new(self.limits.picture_bytes, &self.memory.residuals);
    }

    /// Frees what nobody holds any more, and what was kept for models that have gone.
    fn collect(&mut self) {
        self.prefixes.remove_stale();
        self.slots.retain(|(of, _)| of.strong_count() > 0);
        self.owned.home().collect();
    }

    /// Drops requests that are done, cancelled or late.
    fn drop_finished(&mut self) {
        let now = Instant::now();
        // By the clock alone. Whether one that waits would be done in time is not guessed: its
        // price says neither what the caches hold of it, nor how full the steps will be that it
        // runs in.
        let is_late = |deadline: &Deadline| deadline.get().is_some_and(|deadline| deadline <= now);
        let before = self.requests.len() + self.auxiliary.len();
        // Between steps alone, since a `SequenceId` is a place in this list.
        self.requests.retain_mut(|request| {
            if is_late(&request.deadline) {
                let generated = request.sequences.iter().map(Sequence::generated);
                let tokens = generated.max().unwrap_or(0);
                request.output.fail(|| Error::Deadline { tokens });
            }
            let over = request.is_over();
            if over {
                self.admission
                    .leave(&request.client, request.price, request.started);
            }
            !over
        });
        self.auxiliary.retain_mut(|request| {
            if is_late(&request.deadline) {
                request.task.fail(Error::Deadline { tokens: 0 });
            }
            let over = request.task.is_over();
            if over {
                self.admission
                    .leave(&request.client, request.price, request.started);
            }
            !over
        });
        if self.requests.len() + self.auxiliary.len() < before {
            let (requests, auxiliary) = (&self.requests, &self.auxiliary);
            self.scheduler.retain(|client| {
                requests.iter().any(|r| r.client == *client)
                    || auxiliary.iter().any(|r| r.client == *client)
            });
            self.prefixes.remove_stale();
        }
    }

    fn report(&self) {
        let started = self.requests.iter().map(|r| r.started);
        let started = started.chain(self.auxiliary.iter().map(|r| r.started));
        let (running, waiting): (Vec<bool>, Vec<bool>) = started.partition(|started| *started);
        gauge!(names::REQUESTS_RUNNING).set(running.len() as f64);
        gauge!(names::REQUESTS_WAITING).set(waiting.len() as f64);
        gauge!(names::KV_CACHE_BYTES).set(self.memory.kv.bytes() as f64);
        gauge!(names::CHECKPOINT_BYTES).set(self.memory.residuals.bytes() as f64);
        gauge!(names::IMAGE_CACHE_BYTES).set(self.encoder.bytes() as f64);
    }

    /// Runs one packed step of each model that has work, and one step of an auxiliary request.
    fn step(&mut self) {
        self.drop_stale_error();
        let mut models: Vec<Arc<Model>> = Vec::new();
        for request in &self.requests {
            if !models.iter().any(|m| Arc::ptr_eq(m, &request.model)) {
                models.push(request.model.clone());
            }
        }
        for model in models {
            if self.lost.is_some() {
                return;
            }
            let batch = self.schedule(&model);
            if !batch.is_empty() {
                self.run_batch(&model, &batch);
            }
        }
        if self.lost.is_none() {
            self.step_auxiliary();
        }
    }

    /// Runs a step; where it fails, each of its sequences once more, alone.
    fn run_batch(&mut self, model: &Arc<Model>, batch: &[Scheduled]) {
        let Err((error, intact)) = self.attempt(model, batch) else {
            return;
        };
        // One bad sequence cannot fail its company.
        for (scheduled, is_intact) in batch.iter().zip(intact) {
            let at = scheduled.id.request;
            if self.lost.is_some() || self.requests[at].is_over() {
                continue;
            }
            // One that cannot be rewound has no second try, and ends with the first error.
            let mut failed = Err((error.clone(), Vec::new()));
            if is_intact {
                failed = self.attempt(model, std::slice::from_ref(scheduled));
            }
            match failed {
                Ok(()) => counter!(names::STEPS_RETRIED).increment(1),
                Err(_) if self.lost.is_some() => {}
                Err((error, _)) => self.requests[at].output.fail(|| error.clone()),
            }
        }
    }

    /// Runs a step and reports its results. Where it fails nothing was reported; returns the error,
    /// and which sequences could run the step again.
    fn attempt(
        &mut self,
        model: &Arc<Model>,
        batch: &[Scheduled],
    ) -> Result<(), (Error, Vec<bool>)> {
        self.drop_stale_error();
        let mut entries = entries(&mut self.requests, batch);
        let result = model_runner::execute(model, &mut entries, &self.check);
        let intact = entries.iter().map(|entry| entry.is_intact).collect();
        let readings: Vec<Vec<Reading>> = entries.into_iter().map(|e| e.readings).collect();
        if let Err(error) = result {
            tracing::error!(%error, sequences = batch.len(), "a step failed");
            self.count_failure(&error);
            return Err((error, intact));
        }
        for (scheduled, readings) in batch.iter().zip(readings) {
            self.advance(model, scheduled.id, readings);
        }
        Ok(())
    }

    /// Reports the results of a sequence's step, and lets others start from it.
    fn advance(&mut self, model: &Arc<Model>, id: SequenceId, readings: Vec<Reading>) {
        let slots = self.slots_of(model);
        let request = &mut self.requests[id.request];
        let ActiveRequest {
            sequences, output, ..
        } = request;
        let outcome = output.advance(model, &mut sequences[id.sequence], readings);
        if outcome == Outcome::Reading {
            return;
        }
        // Before the state moves on: `push` drops the checkpoints that children start from.
        if let State::Prefill(_) = sequences[id.sequence].state {
            let children = std::mem::take(&mut sequences[id.sequence].children);
            for child in children {
                // A child stands after its parent in the list.
                if let Ok([parent, child]) = sequences.get_disjoint_mut([id.sequence, child]) {
                    child.begin_from(model, &slots, parent);
                }
            }
            // Of a sweep the first variant, which the others mostly are like.
            if id.sequence == 0 {
                let tenant = &request.client.tenant;
                self.prefixes.insert(tenant, model, &sequences[0]);
            }
        }
        match outcome {
            Outcome::Token(token) => sequences[id.sequence].push(token),
            Outcome::Ended(more) => sequences[id.sequence].end(more),
            Outcome::Reading => {}
        }
    }

    /// Returns the decode slots of a model, which live as long as it does.
    fn slots_of(&mut self, model: &Arc<Model>) -> DecodeSlots {
        self.slots.retain(|(of, _)| of.strong_count() > 0);
        let known = self
            .slots
            .iter()
            // By address: the `Weak` keeps it from being another model's.
            .find(|(of, _)| of.as_ptr() == Arc::as_ptr(model));
        if let Some((_, slots)) = known {
            return slots.clone();
        }
        let slots = DecodeSlots::new(&self.memory.kv);
        self.slots.push((Arc::downgrade(model), slots.clone()));
        slots
    }

    fn sequence(&self, id: SequenceId) -> &Sequence {
        &self.requests[id.request].sequences[id.sequence]
    }

    /// Does one step of the auxiliary request whose client has had least, unless a sequence of a
    /// client that has had less waits to read: it comes first, in the next step.
    fn step_auxiliary(&mut self) {
        let candidates = self.auxiliary.iter().enumerate();
        let candidates = candidates
            .filter(|(_, request)| !request.task.is_over())
            .map(|(at, request)| (&request.client, at));
        let Some((served, at)) = self.scheduler.next(candidates) else {
            return;
        };
        let has_room = self.running() < self.limits.running;
        // Over all models: they share the device's time, whichever of them is next.
        let waiting = self.requests.iter().filter(|r| !r.is_over());
        let waiting = waiting.filter(|r| r.ready(has_room, |_| false).is_some());
        let waiting = waiting.map(|r| (&r.client, ()));
        if self
            .scheduler
            .next(waiting)
            .is_some_and(|(least, ())| least < served)
        {
            return;
        }
        let request = &mut self.auxiliary[at];
        if !request.started {
            request.started = true;
            self.admission.start(&request.client);
        }
        // Charged before: a step that fails has cost as much.
        let cells = request.task.next_cells();
        self.scheduler.charge(&request.client, cells);
        if let Err(error) = request.task.step() {
            let first = !std::mem::replace(&mut request.failed, true);
            self.count_failure(&error);
            // A step is done once more, unless all that runs is about to end.
            if !first && self.lost.is_none() {
                self.auxiliary[at].task.fail(error);
            }
        }
    }
}

/// Borrows the sequences of a batch, in its order.
fn entries<'a>(
    requests: &'a mut VecDeque<ActiveRequest>,
    batch: &[Scheduled],
) -> Vec<BatchEntry<'a>> {
    // Collected in one walk, since no two mutable borrows of `requests` can live at once.
    let mut by_id: HashMap<SequenceId, &mut Sequence> = HashMap::new();
    for (at, request) in requests.iter_mut().enumerate() {
        for (index, sequence) in request.sequences.iter_mut().enumerate() {
            if sequence.is_running() {
                by_id.insert(SequenceId::new(at, index), sequence);
            }
        }
    }
    let mut entries = Vec::with_capacity(batch.len());
    for scheduled in batch {
        if let Some(sequence) = by_id.remove(&scheduled.id) {
            entries.push(BatchEntry {
                sequence,
                rows: scheduled.rows.clone(),
                readings: Vec::new(),
                is_intact: true,
            });
        }
    }
    entries
}
