//! The engine's loop: who takes part in the next step.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use metrics::{counter, gauge, histogram};
use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError};

use super::active::Request;
use super::cache::prefix::Prefixes;
use super::encoder::{Look, Pictures};
use super::model_runner::{self, Part};
use super::reuse::planner::Rectangle;
use super::sequence::{Meters, Run, Stage};
use super::{Admission, Client, Command, Error, Limits, parity};
use crate::model::{ImageTokens, Model};
use crate::nn::{DecodeSlots, MemoryTracker, NoHooks, Stack};
use crate::telemetry::names;

/// Owns all requests.
pub(super) struct Scheduler {
    inbox: UnboundedReceiver<Command>,
    admission: Arc<Admission>,
    limits: Limits,
    requests: VecDeque<Request>,
    /// (row, layer) pairs that each client with work has had; who has had least is next.
    served: HashMap<Client, u64>,
    meters: Meters,
    pictures: Pictures,
    prefixes: Prefixes,
    lanes: Vec<(Weak<Model>, DecodeSlots)>,
    /// (row, layer) pairs a second, the best so far.
    speed: f64,
}

impl Scheduler {
    pub(super) fn new(
        inbox: UnboundedReceiver<Command>,
        admission: Arc<Admission>,
        limits: Limits,
    ) -> Self {
        let meters = Meters {
            kv: MemoryTracker::default(),
            rows: MemoryTracker::default(),
        };
        let pictures = Pictures::new(limits.picture_bytes, &meters.rows);
        Self {
            inbox,
            admission,
            limits,
            requests: VecDeque::new(),
            served: HashMap::new(),
            meters,
            pictures,
            prefixes: Prefixes::default(),
            lanes: Vec::new(),
            speed: 0.0,
        }
    }

    /// Until all handles are gone and all requests done.
    pub(super) fn run(mut self) {
        while self.receive() {
            self.shed();
            self.report();
            self.step();
        }
    }

    /// Takes what has come; waits where there is nothing else to do. False at the end of all work.
    fn receive(&mut self) -> bool {
        loop {
            let command = if self.requests.is_empty() {
                self.report();
                match self.inbox.blocking_recv() {
                    Some(command) => command,
                    None => return false,
                }
            } else {
                match self.inbox.try_recv() {
                    Ok(command) => command,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
                }
            };
            match command {
                Command::Run(request) => {
                    // Who comes new starts level with who has had least, not with a claim on the
                    // past.
                    let least = self.served.values().copied().min().unwrap_or(0);
                    self.served.entry(request.client.clone()).or_insert(least);
                    self.requests.push_back(*request);
                }
                Command::Parity(model, goldens, case, reply) => {
                    let compare = || goldens.compare(&model, &goldens.cases[case]);
                    let result = catch_unwind(AssertUnwindSafe(compare));
                    let panicked = |_| Err(parity::Error::Set("the forward pass panicked".into()));
                    let _ = reply.send(result.unwrap_or_else(panicked));
                }
                Command::Encode(model, pixels, tokens, reply) => {
                    let _ = reply.send(guarded(|| encode(&model, &pixels, &tokens)));
                }
                Command::Attention(model, pixels, head, reply) => {
                    let _ = reply.send(guarded(|| attention(&model, &pixels, head)));
                }
            }
        }
    }

    /// Lets go of those that are done, cancelled or late, and of those that cannot be done in time.
    fn shed(&mut self) {
        let now = Instant::now();
        let (speed, admission) = (self.speed, &self.admission);
        let before = self.requests.len();
        self.requests.retain_mut(|request| {
            if let Some(deadline) = request.deadline {
                let left = deadline.saturating_duration_since(now).as_secs_f64();
                let hopeless =
                    !request.started && speed > 0.0 && request.price as f64 / speed > left;
                if left <= 0.0 || hopeless {
                    let tokens = request
                        .runs
                        .iter()
                        .flatten()
                        .map(|r| r.answer.len())
                        .max()
                        .unwrap_or(0);
                    request.fail(|| Error::Deadline { tokens });
                }
            }
            let over = request.is_over();
            if over {
                admission.leave(request.price, request.started);
            }
            !over
        });
        if self.requests.len() < before {
            let requests = &self.requests;
            self.served
                .retain(|client, _| requests.iter().any(|r| r.client == *client));
            self.prefixes.sweep();
        }
    }

    fn report(&self) {
        let waiting = self.requests.iter().filter(|r| !r.started).count();
        gauge!(names::REQUESTS_RUNNING).set((self.requests.len() - waiting) as f64);
        gauge!(names::REQUESTS_WAITING).set(waiting as f64);
        gauge!(names::KV_CACHE_BYTES).set(self.meters.kv.bytes() as f64);
        gauge!(names::CHECKPOINT_BYTES).set(self.meters.rows.bytes() as f64);
        gauge!(names::IMAGE_CACHE_BYTES).set(self.pictures.bytes() as f64);
    }

    /// One packed step of each model that has work.
    fn step(&mut self) {
        let mut models: Vec<Arc<Model>> = Vec::new();
        for request in &self.requests {
            if !models.iter().any(|m| Arc::ptr_eq(m, &request.model)) {
                models.push(request.model.clone());
            }
        }
        for model in models {
            let mut batch = self.choose(&model);
            if batch.is_empty() {
                continue;
            }
            let start = Instant::now();
            let before: u64 = batch.iter().map(|(_, p)| p.run.cost.rows).sum();
            let (places, mut parts): (Vec<(usize, usize)>, Vec<Part>) = batch.drain(..).unzip();
            let result = guarded(|| model_runner::run(&model, &mut parts));
            let rows: u64 = parts
                .iter()
                .map(|p| p.run.cost.rows)
                .sum::<u64>()
                .saturating_sub(before);
            self.speed = self.speed.max(rows as f64 / start.elapsed().as_secs_f64());
            match result {
                Ok(()) => self.advance(&model, places, parts),
                Err(error) => {
                    tracing::error!(%error, runs = parts.len(), "a step failed");
                    let reason = error.to_string();
                    for (request, _) in places {
                        self.requests[request].fail(|| Error::Fault(reason.clone()));
                    }
                }
            }
        }
    }

    /// Puts the runs of a step back, tells what they found and lets others start from them.
    fn advance(&mut self, model: &Arc<Model>, places: Vec<(usize, usize)>, parts: Vec<Part>) {
        let lanes = self.lanes_of(model);
        for (
            (at, index),
            Part {
                mut run, readings, ..
            },
        ) in places.into_iter().zip(parts)
        {
            let request = &mut self.requests[at];
            let was_read = run.stage == Stage::Decode;
            request.advance(&mut run, readings);
            if run.is_read() && !was_read {
                for &child in &run.children {
                    if let Some(Some(child)) = request.runs.get_mut(child) {
                        child.begin_from(model, &lanes, &run);
                        child.visuals.clone_from(&run.visuals);
                    }
                }
                run.finish_prefill();
                if index == 0 {
                    self.prefixes.remember(&request.client.tenant, model, &run);
                }
            }
            if run.stage == Stage::Done {
                // What others took from it is theirs now.
                run.cache = None;
            }
            request.runs[index] = Some(run);
        }
    }

    /// Where those that write with `model` keep it, for as long as anybody does.
    fn lanes_of(&mut self, model: &Arc<Model>) -> DecodeSlots {
        self.lanes.retain(|(of, _)| of.strong_count() > 0);
        if let Some((_, lanes)) = self
            .lanes
            .iter()
            .find(|(of, _)| of.as_ptr() == Arc::as_ptr(model))
        {
            return lanes.clone();
        }
        let lanes = DecodeSlots::new(&self.meters.kv);
        self.lanes.push((Arc::downgrade(model), lanes.clone()));
        lanes
    }

    /// Who takes part in the next step of `model`: all that write, and of those that read as many
    /// rows as a step holds.
    fn choose(&mut self, model: &Arc<Model>) -> Vec<((usize, usize), Part)> {
        let mut batch = Vec::new();
        let mut active = 0;
        for (at, request) in self.requests.iter_mut().enumerate() {
            let own = Arc::ptr_eq(&request.model, model);
            for (index, slot) in request.runs.iter_mut().enumerate() {
                match slot {
                    Some(run) if run.stage == Stage::Prefill => active += 1,
                    Some(run) if run.stage == Stage::Decode => {
                        active += 1;
                        if own && let Some(run) = slot.take() {
                            batch.push((
                                (at, index),
                                Part {
                                    run,
                                    rows: 0..1,
                                    readings: Vec::new(),
                                },
                            ));
                        }
                    }
                    _ => {}
                }
            }
        }
        for ((at, _), part) in &batch {
            let layers = part.run.program.slots.len() as u64;
            *self
                .served
                .entry(self.requests[*at].client.clone())
                .or_default() += layers;
        }
        let mut left = self.limits.step_rows.saturating_sub(batch.len());
        let mut room = self.limits.running.saturating_sub(active);
        let mut passed_over: Vec<usize> = Vec::new();
        let mut encoded = 0;
        while left > 0 {
            let Some((at, index)) = self.next(model, &passed_over, room) else {
                break;
            };
            let fresh =
                matches!(&self.requests[at].runs[index], Some(run) if run.stage == Stage::Waiting);
            if fresh {
                if !self.has_memory(model, at, index, active) {
                    // Nobody else takes the room that it waits for.
                    room = 0;
                    continue;
                }
                match self.begin(model, at, index, &mut encoded, left) {
                    Ok(true) => {
                        room -= 1;
                        active += 1;
                    }
                    Ok(false) => {
                        passed_over.push(at);
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(%error, "pictures failed");
                        let reason = error.to_string();
                        self.requests[at].fail(|| Error::Fault(reason.clone()));
                        passed_over.push(at);
                        continue;
                    }
                }
            }
            let request = &mut self.requests[at];
            let Some(run) = request.runs[index].take() else {
                break;
            };
            let rest = run.rows.len() - run.read;
            let count = if run.program.whole {
                rest
            } else {
                rest.min(left)
            };
            if run.program.whole && rest > left && !batch.is_empty() {
                request.runs[index] = Some(run);
                passed_over.push(at);
                continue;
            }
            left = left.saturating_sub(count);
            let layers = (run.program.slots.len() - run.own.slot) as u64;
            *self.served.entry(request.client.clone()).or_default() += count as u64 * layers;
            let rows = run.read..run.read + count;
            batch.push((
                (at, index),
                Part {
                    run,
                    rows,
                    readings: Vec::new(),
                },
            ));
        }
        batch
    }

    /// The next run that reads: of the client that has had least, of its oldest request.
    fn next(
        &self,
        model: &Arc<Model>,
        passed_over: &[usize],
        room: usize,
    ) -> Option<(usize, usize)> {
        let mut best: Option<(u64, usize, usize)> = None;
        for (at, request) in self.requests.iter().enumerate() {
            if !Arc::ptr_eq(&request.model, model) || passed_over.contains(&at) || request.is_over()
            {
                continue;
            }
            let served = self.served.get(&request.client).copied().unwrap_or(0);
            if best.is_some_and(|(least, ..)| least <= served) {
                continue;
            }
            let is_ready = |run: &Run| match run.stage {
                Stage::Prefill => true,
                Stage::Waiting => {
                    let parent = run.parent.and_then(|p| request.runs[p].as_ref());
                    room > 0 && (run.parent.is_none() || parent.is_some_and(Run::is_prefilled))
                }
                Stage::Decode | Stage::Done => false,
            };
            // Those that have begun come first: what they hold is freed sooner.
            let ready = |stage: Stage| {
                request
                    .runs
                    .iter()
                    .position(|r| r.as_ref().is_some_and(|r| r.stage == stage && is_ready(r)))
            };
            if let Some(index) = ready(Stage::Prefill).or_else(|| ready(Stage::Waiting)) {
                best = Some((served, at, index));
            }
        }
        best.map(|(_, at, index)| (at, index))
    }

    /// Whether the keys and values of a run fit; forgets prompts until they do. What would never
    /// fit goes alone.
    fn has_memory(&mut self, model: &Arc<Model>, at: usize, index: usize, active: usize) -> bool {
        let Some(Some(run)) = self.requests[at].runs.get(index) else {
            return false;
        };
        let needed = run.kv_bytes(model);
        while self.meters.kv.bytes() + needed > self.limits.kv_bytes {
            if !self.prefixes.forget_one() {
                return active == 0;
            }
        }
        true
    }

    /// Gets a run ready: its pictures, and what it takes from others. False where its pictures have
    /// to wait for the next step.
    fn begin(
        &mut self,
        model: &Arc<Model>,
        at: usize,
        index: usize,
        encoded: &mut usize,
        left: usize,
    ) -> Result<bool, Error> {
        let lanes = self.lanes_of(model);
        let tenant = self.requests[at].client.tenant.clone();
        let request = &self.requests[at];
        let Some(run) = request.runs[index].as_ref() else {
            return Ok(false);
        };
        let looks = run.looks.clone();
        let mut known = run.visuals.clone();
        // Those that will start above the bottom need rows that this run computes itself.
        let waits = |c: &usize| {
            request.runs[*c]
                .as_ref()
                .map(|c| c.own)
                .filter(|own| own.slot > 0)
        };
        let above: Vec<Rectangle> = run.children.iter().filter_map(waits).collect();
        let most = above
            .iter()
            .map(|own| own.position)
            .min()
            .unwrap_or(u32::MAX);
        let found = if run.parent.is_none() {
            self.prefixes.find(&tenant, model, run, most)
        } else {
            None
        };
        let taken = found.map(|(prefix, position)| {
            known.extend_from_slice(&prefix.visuals);
            (
                prefix.cache.share_prefix(0, position, 0, 0),
                position,
                prefix.cells.clone(),
            )
        });
        let (mut visuals, mut captured) = (Vec::new(), Vec::new());
        let missing: Vec<Look> = looks
            .iter()
            .filter(|look| {
                !known.iter().any(|v| v.key == look.key) && self.pictures.get(look).is_none()
            })
            .cloned()
            .collect();
        if !missing.is_empty() {
            // Pictures of those that may start in this step go up the tower together.
            let most = self.limits.step_rows;
            if *encoded > 0 && *encoded >= most {
                return Ok(false);
            }
            let mut all = missing.clone();
            let mut rows: usize = all.iter().map(|l| l.rows(model)).sum();
            for look in self.upcoming(model, left, (at, index)) {
                let known =
                    all.iter().any(|l| l.key == look.key) || self.pictures.get(&look).is_some();
                if !known && rows + look.rows(model) <= most {
                    rows += look.rows(model);
                    all.push(look);
                }
            }
            *encoded += rows;
            let done = guarded(|| self.pictures.encode(model, &all, most))?;
            for (visual, own) in done.into_iter().take(missing.len()) {
                captured.extend(own);
                visuals.push(visual);
            }
        }
        let request = &mut self.requests[at];
        if !request.started {
            request.started = true;
            self.admission.start();
            histogram!(names::QUEUE_DURATION).record(request.admitted.elapsed());
        }
        let admitted = request.admitted;
        let Some(mut run) = request.runs[index].take() else {
            return Ok(false);
        };
        run.mark_started(admitted);
        run.visuals = looks
            .iter()
            .filter_map(|look| {
                let at_hand = visuals
                    .iter()
                    .chain(&known)
                    .find(|v| v.key == look.key)
                    .cloned();
                at_hand.or_else(|| self.pictures.get(look))
            })
            .collect();
        for visual in &run.visuals {
            run.observed.adopt(&visual.cells);
            let cost = visual.take_cost();
            if cost == super::Cost::default() {
                counter!(names::IMAGE_CACHE_HITS).increment(1);
            }
            run.cost += cost;
        }
        run.captured = captured;
        if run.parent.is_none() {
            let hit = taken.is_some();
            let name = if hit {
                names::PREFIX_CACHE_HITS
            } else {
                names::PREFIX_CACHE_MISSES
            };
            counter!(name).increment(1);
            if let Some((_, position, cells)) = &taken {
                run.observed
                    .inherit(cells, Stack::LanguageModel, 0, *position);
            }
            run.begin(
                model,
                &self.meters,
                &lanes,
                taken
                    .as_ref()
                    .map(|(cache, position, _)| (cache, *position)),
            );
        }
        if let Some(cache) = &mut run.cache {
            above
                .iter()
                .for_each(|own| cache.request_checkpoint(own.slot, own.position));
        }
        let whole = run.program.cells(Rectangle {
            slot: 0,
            position: 0,
        });
        counter!(names::ROWS_REUSED).increment(whole.saturating_sub(run.program.cells(run.own)));
        run.stage = Stage::Prefill;
        self.requests[at].runs[index] = Some(run);
        Ok(true)
    }

    /// Pictures of runs that may start in this step too, as far as `left` rows go.
    fn upcoming(&self, model: &Arc<Model>, mut left: usize, but: (usize, usize)) -> Vec<Look> {
        let mut looks = Vec::new();
        for (at, request) in self
            .requests
            .iter()
            .enumerate()
            .filter(|(_, r)| Arc::ptr_eq(&r.model, model))
        {
            for (index, run) in request.runs.iter().enumerate() {
                let Some(run) = run
                    .as_ref()
                    .filter(|r| r.stage == Stage::Waiting && !r.program.alone)
                else {
                    continue;
                };
                if (at, index) == but {
                    continue;
                }
                let rows = run.ids.len() - run.own.position as usize;
                if rows > left {
                    return looks;
                }
                left -= rows;
                looks.extend(run.looks.iter().cloned());
            }
        }
        looks
    }
}

/// Runs `work`; a panic in it is an error, and the engine goes on.
fn guarded<T, E: std::fmt::Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|e| Error::Fault(e.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(Error::Fault(text.unwrap_or_else(|| "panic".into())))
        }
    }
}

fn attention(
    model: &Model,
    pixels: &[Tensor],
    head: Option<usize>,
) -> Result<Vec<Vec<Vec<f32>>>, crate::model::Error> {
    let mass = model.tower.attention(&Tensor::cat(pixels, 0)?, head)?;
    let mut views = mass
        .to_dtype(DType::F32)?
        .to_device(&Device::Cpu)?
        .to_vec2()?
        .into_iter();
    pixels
        .iter()
        .map(|p| Ok(views.by_ref().take(p.dim(0)?).collect()))
        .collect()
}

fn encode(
    model: &Model,
    pixels: &Tensor,
    tokens: &ImageTokens,
) -> Result<Tensor, crate::model::Error> {
    let owners: Vec<_> = (0..pixels.dim(0)?).map(|view| (0, (0, view))).collect();
    let (features, layout) = model.tower.forward(pixels, &owners, &mut NoHooks)?;
    let projected = model
        .own_projector()
        .forward(&features, &layout, &mut NoHooks)?;
    model.pack(&projected, std::iter::once((0, 0, tokens)), &mut NoHooks)
}
