//! The engine's thread: receives requests, runs the steps that the scheduler decides on, and lets
//! the results out.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};

use super::active::{ActiveRequest, Outcome};
use super::admission::Admission;
use super::auxiliary::AuxiliaryRequest;
use super::cache::prefix::PrefixCache;
use super::cost::Cost;
use super::encoder::{EncodedImage, Encoder, EncoderInput};
use super::error::Error;
use super::fault::{DeviceState, FaultKind, StepCheck};
use super::guard::guarded;
use super::limits::Limits;
use super::load::Load;
use super::model_runner::{self, BatchEntry};
use super::owned::Owned;
use super::reuse::program::Rectangle;
use super::sampler::Reading;
use super::scheduler::{Scheduler, StepBudget};
use super::sequence::{Memory, Sequence, State, WHOLE};
use crate::intervention::{Captured, EffectRecord};
use crate::model::Model;
use crate::nn::{DecodeSlots, SequenceCache, Stack};
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

/// The beginning that a sequence takes from a prompt that was read before.
struct PrefixHit {
    cache: SequenceCache,
    position: u32,
    cells: Vec<EffectRecord>,
    images: Vec<Arc<EncodedImage>>,
}

/// The images of a sequence that was not encoded before, with what was captured on the way.
type FreshImages = (Vec<Arc<EncodedImage>>, Vec<Captured>);

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
    memory: Memory,
    encoder: Encoder,
    prefixes: PrefixCache,
    /// The decode slots of each model that is alive.
    slots: Vec<(Weak<Model>, DecodeSlots)>,
    /// (row, layer) pairs a second, the best so far.
    peak_throughput: f64,
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
            memory,
            prefixes: PrefixCache::default(),
            slots: Vec::new(),
            peak_throughput: 0.0,
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
            self.count_failure(&error);
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
                self.admission.leave(request.price, false);
            }
            Command::Auxiliary(mut request) if !request.task.is_live() => {
                request.task.fail(Error::Restarting);
                self.admission.leave(request.price, false);
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

    /// Drops requests that are done, cancelled or late, and those that cannot be done in time.
    fn drop_finished(&mut self) {
        let (now, throughput) = (Instant::now(), self.peak_throughput);
        let late = |deadline, price, started| is_late(deadline, now, price, started, throughput);
        let before = self.requests.len() + self.auxiliary.len();
        self.requests.retain_mut(|request| {
            if late(request.deadline, request.price, request.started) {
                let generated = request.sequences.iter().map(Sequence::generated);
                let tokens = generated.max().unwrap_or(0);
                request.output.fail(|| Error::Deadline { tokens });
            }
            let over = request.is_over();
            if over {
                self.admission.leave(request.price, request.started);
            }
            !over
        });
        self.auxiliary.retain_mut(|request| {
            if late(request.deadline, request.price, request.started) {
                request.task.fail(Error::Deadline { tokens: 0 });
            }
            let over = request.task.is_over();
            if over {
                self.admission.leave(request.price, request.started);
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
        let start = Instant::now();
        let mut entries = entries(&mut self.requests, batch);
        let before = rows(&entries);
        let result = model_runner::execute(model, &mut entries, &self.check);
        let done = rows(&entries).saturating_sub(before) as f64;
        let intact = entries.iter().map(|entry| entry.is_intact).collect();
        let readings: Vec<Vec<Reading>> = entries.into_iter().map(|e| e.readings).collect();
        if let Err(error) = result {
            tracing::error!(%error, sequences = batch.len(), "a step failed");
            self.count_failure(&error);
            return Err((error, intact));
        }
        // The peak, not the mean: a request is given up only if even the best could not do it.
        let throughput = done / start.elapsed().as_secs_f64();
        self.peak_throughput = self.peak_throughput.max(throughput);
        for (scheduled, readings) in batch.iter().zip(readings) {
            self.advance(model, scheduled.id, readings);
        }
        Ok(())
    }

    /// Begins the counts of failures at 0: a rate needs a number to grow from.
    fn count_nothing_yet(&self) {
        let device = self.owned.id().to_string();
        for kind in [FaultKind::Work, FaultKind::Device, FaultKind::Lost] {
            counter!(names::STEPS_FAILED, "kind" => kind.name()).increment(0);
        }
        counter!(names::STEPS_RETRIED).increment(0);
        counter!(names::DEVICE_RESTARTS, "device" => device.clone()).increment(0);
        counter!(names::DEVICE_STALE_ERRORS, "device" => device).increment(0);
    }

    /// Counts a failure, and remembers it where the device was lost by it.
    fn count_failure(&mut self, error: &Error) {
        let kind = FaultKind::of(error);
        counter!(names::STEPS_FAILED, "kind" => kind.name()).increment(1);
        if kind == FaultKind::Lost {
            self.lost.get_or_insert_with(|| error.to_string());
        }
    }

    /// Takes an error that an earlier call has left, so that no step is blamed for it.
    fn drop_stale_error(&mut self) {
        let Some(error) = self.owned.take_stale_error() else {
            return;
        };
        let device = self.owned.id().to_string();
        tracing::error!(device, error, "an earlier call has left an error");
        counter!(names::DEVICE_STALE_ERRORS, "device" => device).increment(1);
        let error = Error::Fault(error);
        if FaultKind::of(&error) == FaultKind::Lost {
            self.lost.get_or_insert_with(|| error.to_string());
        }
    }

    /// Opens the device anew. What runs ends, and what was on the device is gone.
    fn restart(&mut self, reason: &str) {
        let device = self.owned.id().to_string();
        tracing::error!(device, reason, "the device is lost");
        counter!(names::DEVICE_RESTARTS, "device" => device.clone()).increment(1);
        self.device.send_replace(DeviceState::Restarting);
        self.abandon();
        self.owned.close();
        let mut wait = Duration::from_millis(100);
        while let Err(error) = self.owned.reopen() {
            tracing::error!(device, %error, "the device does not open");
            std::thread::sleep(wait);
            // A driver that resets is back in seconds; one that is gone waits for somebody, who
            // must not find a log full of this.
            wait = (2 * wait).min(Duration::from_secs(30));
            self.take_commands();
            self.abandon();
            // Nobody is left who could ask: without this the thread would try for ever.
            if self.inbox.is_closed() {
                return;
            }
        }
        tracing::warn!(device, "the device is open again");
        self.device.send_replace(DeviceState::Restarted);
    }

    /// Ends all requests, and drops all that is kept for them.
    fn abandon(&mut self) {
        for mut request in self.requests.drain(..) {
            request.output.fail(|| Error::Restarting);
            self.admission.leave(request.price, request.started);
        }
        for mut request in self.auxiliary.drain(..) {
            request.task.fail(Error::Restarting);
            self.admission.leave(request.price, request.started);
        }
        self.scheduler = Scheduler::default();
        self.slots.clear();
        self.forget();
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
            .find(|(of, _)| of.as_ptr() == Arc::as_ptr(model));
        if let Some((_, slots)) = known {
            return slots.clone();
        }
        let slots = DecodeSlots::new(&self.memory.kv);
        self.slots.push((Arc::downgrade(model), slots.clone()));
        slots
    }

    /// Decides on the next step of `model`: all sequences that decode, and as many prefill rows as
    /// a step holds.
    fn schedule(&mut self, model: &Arc<Model>) -> Vec<Scheduled> {
        // All of them, whatever the clients have had: a stream that pauses is worse than one that
        // starts late, and a decode row is cheap.
        let mut batch = self.decoding(model);
        let mut running = self.running();
        let mut budget = StepBudget {
            rows: self.limits.step_rows.saturating_sub(batch.len()),
            sequences: self.limits.running.saturating_sub(running),
        };
        let mut passed_over: Vec<usize> = Vec::new();
        let mut encoded_rows = 0;
        while budget.rows > 0 {
            let has_room = budget.sequences > 0;
            let Some(id) = self.next_prefill(model, &batch, &passed_over, has_room) else {
                break;
            };
            if self.sequence(id).is_waiting() {
                if !self.can_allocate(model, id, running) {
                    // Nobody else may take the memory that it waits for.
                    budget.sequences = 0;
                    continue;
                }
                match self.start(model, id, &mut encoded_rows, budget.rows) {
                    Ok(true) => {
                        budget.sequences -= 1;
                        running += 1;
                    }
                    Ok(false) => {
                        passed_over.push(id.request);
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(%error, "pictures failed");
                        if self.lost.is_some() {
                            // All requests end when the device is restarted.
                            return Vec::new();
                        }
                        let output = &mut self.requests[id.request].output;
                        output.fail(|| error.clone());
                        passed_over.push(id.request);
                        continue;
                    }
                }
            }
            match self.prefill_rows(id, &mut budget, batch.is_empty()) {
                Some(rows) => batch.push(Scheduled { id, rows }),
                None => passed_over.push(id.request),
            }
        }
        batch
    }

    /// Returns all sequences of `model` that decode, charged to their clients.
    fn decoding(&mut self, model: &Arc<Model>) -> Vec<Scheduled> {
        let mut batch = Vec::new();
        for (at, request) in self.requests.iter().enumerate() {
            if !Arc::ptr_eq(&request.model, model) {
                continue;
            }
            for (index, sequence) in request.sequences.iter().enumerate() {
                if sequence.is_decoding() {
                    // The last entry stands for what comes after all layers: the head.
                    let layers = sequence.program.layers.len() as u64;
                    self.scheduler.charge(&request.client, layers);
                    batch.push(Scheduled {
                        id: SequenceId::new(at, index),
                        rows: 0..1,
                    });
                }
            }
        }
        batch
    }

    /// Returns how many sequences run, of all models.
    fn running(&self) -> usize {
        // Of all models, since they share the bytes of keys and values.
        let sequences = self.requests.iter().flat_map(|r| &r.sequences);
        sequences.filter(|s| s.is_running()).count()
    }

    fn sequence(&self, id: SequenceId) -> &Sequence {
        &self.requests[id.request].sequences[id.sequence]
    }

    /// Returns the next sequence that reads: of the client that has had least, of its oldest
    /// request.
    fn next_prefill(
        &self,
        model: &Arc<Model>,
        batch: &[Scheduled],
        passed_over: &[usize],
        has_room: bool,
    ) -> Option<SequenceId> {
        let candidates = self
            .requests
            .iter()
            .enumerate()
            .filter_map(|(at, request)| {
                let is_candidate = Arc::ptr_eq(&request.model, model)
                    && !passed_over.contains(&at)
                    && !request.is_over();
                if !is_candidate {
                    return None;
                }
                let is_scheduled = |i| batch.iter().any(|s| s.id == SequenceId::new(at, i));
                let sequence = request.ready(has_room, is_scheduled)?;
                Some((&request.client, SequenceId::new(at, sequence)))
            });
        self.scheduler.next(candidates).map(|(_, id)| id)
    }

    /// Returns whether the keys and values of a sequence fit; evicts prompts until they do. A
    /// sequence that would never fit runs alone.
    fn can_allocate(&mut self, model: &Arc<Model>, id: SequenceId, running: usize) -> bool {
        let needed = self.sequence(id).kv_bytes(model);
        while self.memory.kv.bytes() + needed > self.limits.kv_bytes {
            if !self.prefixes.evict_lru() {
                return running == 0;
            }
        }
        true
    }

    /// Takes rows of a prefill from the budget, and charges its client.
    fn prefill_rows(
        &mut self,
        id: SequenceId,
        budget: &mut StepBudget,
        is_first: bool,
    ) -> Option<Range<usize>> {
        let request = &self.requests[id.request];
        let sequence = &request.sequences[id.sequence];
        let State::Prefill(prefill) = &sequence.state else {
            return None;
        };
        let left = prefill.rows.len() - prefill.done;
        let count = budget.take(left, sequence.program.unchunkable, is_first)?;
        let layers = (sequence.program.layers.len() - sequence.own.depth) as u64;
        self.scheduler
            .charge(&request.client, count as u64 * layers);
        Some(prefill.done..prefill.done + count)
    }

    /// Starts a sequence: gets its pictures, and what it takes from others. Returns false where its
    /// pictures have to wait for the next step.
    fn start(
        &mut self,
        model: &Arc<Model>,
        id: SequenceId,
        encoded_rows: &mut usize,
        rows_left: usize,
    ) -> Result<bool, Error> {
        // Before the pictures: a prefix that is found brings some of them along.
        let above = self.children_above(id);
        let hit = self.find_prefix(model, id, &above);
        let mut known = self.sequence(id).encoded.clone();
        known.extend(hit.iter().flat_map(|hit| hit.images.iter().cloned()));
        let fresh = self.encode_missing(model, id, &known, encoded_rows, rows_left)?;
        let Some((images, captured)) = fresh else {
            return Ok(false);
        };
        known.splice(0..0, images);
        self.mark_started(id);
        self.attach_images(id, &known, captured);
        let slots = self.slots_of(model);
        let sequence = &mut self.requests[id.request].sequences[id.sequence];
        if sequence.parent.is_none() {
            let name = if hit.is_some() {
                names::PREFIX_CACHE_HITS
            } else {
                names::PREFIX_CACHE_MISSES
            };
            counter!(name).increment(1);
            if let Some(hit) = &hit {
                let stack = Stack::LanguageModel;
                sequence
                    .observed
                    .inherit_prefix(&hit.cells, stack, 0, hit.position);
            }
            let with = hit.as_ref().map(|hit| (&hit.cache, hit.position));
            sequence.begin(model, &self.memory, &slots, with);
        }
        sequence.start(&above);
        let program = &sequence.program;
        let reused = program
            .cells(WHOLE)
            .saturating_sub(program.cells(sequence.own));
        counter!(names::ROWS_REUSED).increment(reused);
        Ok(true)
    }

    /// Returns the rectangles of the children that start above the bottom. They need rows that this
    /// sequence computes itself.
    fn children_above(&self, id: SequenceId) -> Vec<Rectangle> {
        let sequences = &self.requests[id.request].sequences;
        sequences[id.sequence]
            .children
            .iter()
            .map(|&child| sequences[child].own)
            .filter(|own| own.depth > 0)
            .collect()
    }

    fn find_prefix(
        &mut self,
        model: &Arc<Model>,
        id: SequenceId,
        above: &[Rectangle],
    ) -> Option<PrefixHit> {
        let request = &self.requests[id.request];
        let sequence = &request.sequences[id.sequence];
        if sequence.parent.is_some() {
            return None;
        }
        // Children need residual rows from these positions on, which a prefix does not have.
        let most = above.iter().map(|own| own.position).min();
        let (prefix, position) = self.prefixes.find(
            &request.client.tenant,
            model,
            &sequence.program,
            most.unwrap_or(u32::MAX),
        )?;
        Some(PrefixHit {
            cache: prefix.cache.share_prefix(0, position, 0, 0),
            position,
            cells: prefix.cells.clone(),
            images: prefix.images.clone(),
        })
    }

    /// Encodes the pictures of a sequence that are neither known nor cached, together with those of
    /// sequences that may start in this step too. `None` where the step has encoded enough.
    fn encode_missing(
        &mut self,
        model: &Arc<Model>,
        id: SequenceId,
        known: &[Arc<EncodedImage>],
        encoded_rows: &mut usize,
        rows_left: usize,
    ) -> Result<Option<FreshImages>, Error> {
        let images = self.sequence(id).images.clone();
        let mut missing: Vec<EncoderInput> = Vec::new();
        for image in images.iter() {
            if !known.iter().any(|v| v.key == image.key) && self.encoder.get(image).is_none() {
                missing.push(image.clone());
            }
        }
        if missing.is_empty() {
            return Ok(Some((Vec::new(), Vec::new())));
        }
        let most = self.limits.step_rows;
        if *encoded_rows > 0 && *encoded_rows >= most {
            return Ok(None);
        }
        let own = missing.len();
        let mut rows: usize = missing.iter().map(EncoderInput::rows).sum();
        // One tower pass for several pictures costs less than one for each.
        for image in self.upcoming_images(model, rows_left, id) {
            let is_known =
                missing.iter().any(|i| i.key == image.key) || self.encoder.get(&image).is_some();
            if !is_known && rows + image.rows() <= most {
                rows += image.rows();
                missing.push(image);
            }
        }
        *encoded_rows += rows;
        let mut encoded = guarded(|| self.encoder.encode(model, &missing, most));
        if let Err(error) = &encoded {
            self.count_failure(error);
            // Once more, without the pictures of others.
            if self.lost.is_none() {
                encoded = guarded(|| self.encoder.encode(model, &missing[..own], most));
                let kind = encoded.as_ref().map_err(|error| self.count_failure(error));
                counter!(names::STEPS_RETRIED).increment(u64::from(kind.is_ok()));
            }
        }
        let encoded = encoded?;
        let (mut fresh, mut captured) = (Vec::new(), Vec::new());
        for (image, of_image) in encoded.into_iter().take(own) {
            fresh.push(image);
            captured.extend(of_image);
        }
        Ok(Some((fresh, captured)))
    }

    /// Returns the pictures of other sequences that may start in this step, as far as `left` rows
    /// go.
    fn upcoming_images(
        &self,
        model: &Arc<Model>,
        mut left: usize,
        id: SequenceId,
    ) -> Vec<EncoderInput> {
        let mut images = Vec::new();
        for (at, request) in self.requests.iter().enumerate() {
            if !Arc::ptr_eq(&request.model, model) {
                continue;
            }
            for (index, sequence) in request.sequences.iter().enumerate() {
                let is_same = (at, index) == (id.request, id.sequence);
                // A sequence that captures has to encode its pictures for itself.
                if is_same || !sequence.is_waiting() || sequence.program.no_reuse {
                    continue;
                }
                let rows = sequence.ids.len() - sequence.own.position as usize;
                if rows > left {
                    return images;
                }
                left -= rows;
                images.extend(sequence.images.iter().cloned());
            }
        }
        images
    }

    fn mark_started(&mut self, id: SequenceId) {
        let request = &mut self.requests[id.request];
        let admitted = request.output.admitted;
        if !request.started {
            request.started = true;
            self.admission.start();
            histogram!(names::QUEUE_DURATION).record(admitted.elapsed());
        }
        request.sequences[id.sequence].mark_started(admitted);
    }

    /// Gives a sequence its pictures, of `at_hand` or of the cache, with their effects and cost.
    fn attach_images(
        &mut self,
        id: SequenceId,
        at_hand: &[Arc<EncodedImage>],
        captured: Vec<Captured>,
    ) {
        let sequence = &mut self.requests[id.request].sequences[id.sequence];
        sequence.encoded.clear();
        for image in sequence.images.iter() {
            let known = at_hand.iter().find(|v| v.key == image.key).cloned();
            sequence
                .encoded
                .extend(known.or_else(|| self.encoder.get(image)));
        }
        for image in &sequence.encoded {
            sequence.observed.extend(&image.cells);
            let cost = image.take_cost();
            // Somebody else has paid for it.
            if cost == Cost::default() {
                counter!(names::IMAGE_CACHE_HITS).increment(1);
            }
            sequence.cost += cost;
        }
        sequence.captured = captured;
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
            self.admission.start();
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

/// Returns whether a request is late, or would be if it started now.
fn is_late(
    deadline: Option<Instant>,
    now: Instant,
    price: u64,
    started: bool,
    throughput: f64,
) -> bool {
    let Some(deadline) = deadline else {
        return false;
    };
    let left = deadline.saturating_duration_since(now).as_secs_f64();
    // One that has started goes on: its work would be lost.
    let is_hopeless = !started && throughput > 0.0 && price as f64 / throughput > left;
    left <= 0.0 || is_hopeless
}

/// Counts the (row, layer) pairs that the sequences of a batch have had and not been charged for.
fn rows(entries: &[BatchEntry<'_>]) -> u64 {
    entries.iter().map(|e| e.sequence.cost.rows).sum()
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
