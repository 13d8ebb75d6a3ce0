//! The engine's loop: who runs in the next step.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use metrics::{counter, gauge, histogram};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, error::TryRecvError};

use super::sampling::{likeliest, log_softmax};
use super::step::{self, Rows};
use super::{Command, Cost, Error, Event, Finish, Job, Limits, Timing, Token, Work, parity};
use crate::intervention::Observed;
use crate::model::{ImageTokens, Model};
use crate::nn::{Meter, NoHooks, Stack, Track};
use crate::telemetry::names;

/// A request that is admitted.
pub(super) struct Request {
    pub(super) job: Job,
    events: UnboundedSender<Result<Event, Error>>,
    admitted: Instant,
    queued: Duration,
    pub(super) cost: Cost,
    pub(super) observed: Observed,
    /// Keys and values; none before the prefill.
    pub(super) cache: Option<Track>,
    kv_bytes: usize,
    /// What has been generated.
    pub(super) answer: Vec<u32>,
    done: bool,
}

impl Request {
    fn new(mut job: Job, events: UnboundedSender<Result<Event, Error>>) -> Self {
        Self {
            observed: std::mem::take(&mut job.observed),
            job,
            events,
            admitted: Instant::now(),
            queued: Duration::ZERO,
            cost: Cost::default(),
            cache: None,
            kv_bytes: 0,
            answer: Vec::new(),
            done: false,
        }
    }

    /// Rows of its prefill.
    pub(super) fn rows(&self) -> usize {
        let prompt = self.job.prompt.ids.len();
        match &self.job.work {
            Work::Generate { .. } => prompt,
            Work::Score(continuations) => continuations.iter().map(|c| prompt + c.len()).sum(),
        }
    }

    fn send(&mut self, event: Result<Event, Error>) {
        let goes_on = |event: &Event| match event {
            Event::Token(token) => token.finish.is_none(),
            Event::Captured(_) | Event::Prefilled(_) => true,
            Event::Scored { .. } => false,
        };
        self.done |= !event.as_ref().is_ok_and(goes_on);
        // A receiver that is gone is found before the next step.
        let _ = self.events.send(event);
    }

    fn timing(&self) -> Timing {
        Timing { queued: self.queued, elapsed: self.admitted.elapsed(), cost: self.cost }
    }

    /// Whether it goes on; says so to the client where its deadline has passed.
    fn goes_on(&mut self, now: Instant) -> bool {
        if self.job.deadline.is_some_and(|d| d <= now) && !self.done {
            let tokens = self.answer.len();
            self.send(Err(Error::Deadline { tokens }));
        }
        !self.done && !self.events.is_closed()
    }
}

/// Owns all requests.
pub(super) struct Scheduler {
    inbox: UnboundedReceiver<Command>,
    waiting_count: Arc<AtomicUsize>,
    limits: Limits,
    waiting: VecDeque<Request>,
    running: Vec<Request>,
}

impl Scheduler {
    pub(super) fn new(inbox: UnboundedReceiver<Command>, waiting_count: Arc<AtomicUsize>, limits: Limits) -> Self {
        Self { inbox, waiting_count, limits, waiting: VecDeque::new(), running: Vec::new() }
    }

    /// Until all handles are gone and all requests done.
    pub(super) fn run(mut self) {
        while self.receive() {
            self.shed();
            self.admit();
            self.report();
            if !self.running.is_empty() {
                self.step();
            }
        }
    }

    /// Takes what has come; waits where there is nothing else to do. False at the end of all work.
    fn receive(&mut self) -> bool {
        loop {
            let idle = self.waiting.is_empty() && self.running.is_empty();
            let command = if idle {
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
                Command::Run(job, events) => self.waiting.push_back(Request::new(job, events)),
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

    /// Lets go of those that are done, cancelled or late.
    fn shed(&mut self) {
        let now = Instant::now();
        self.running.retain_mut(|r| r.goes_on(now));
        let before = self.waiting.len();
        self.waiting.retain_mut(|r| r.goes_on(now));
        self.waiting_count.fetch_sub(before - self.waiting.len(), Ordering::AcqRel);
    }

    /// Moves waiting requests to the batch, first come first served, while there is room.
    fn admit(&mut self) {
        let mut rows = 0;
        while self.running.len() < self.limits.running {
            let Some(next) = self.waiting.front() else { break };
            if rows > 0 && rows + next.rows() > self.limits.step_rows {
                break;
            }
            rows += next.rows();
            let Some(mut request) = self.waiting.pop_front() else { break };
            self.waiting_count.fetch_sub(1, Ordering::AcqRel);
            request.queued = request.admitted.elapsed();
            histogram!(names::QUEUE_DURATION).record(request.queued);
            if let Work::Generate { max_tokens, .. } = request.job.work {
                let positions = request.job.prompt.ids.len() + max_tokens;
                let model = &request.job.model;
                let config = model.decoder.config();
                request.cache =
                    Some(Track::new(request.job.prompt.ids.len(), max_tokens, &Meter::default(), &Meter::default()));
                request.kv_bytes = 2
                    * positions
                    * request.job.plan.path(Stack::LanguageModel, config.num_hidden_layers).len()
                    * config.kv_heads()
                    * config.head_width()
                    * model.dtype.size_in_bytes();
            }
            self.running.push(request);
        }
    }

    fn report(&self) {
        gauge!(names::REQUESTS_RUNNING).set(self.running.len() as f64);
        gauge!(names::REQUESTS_WAITING).set(self.waiting.len() as f64);
        gauge!(names::KV_CACHE_BYTES).set(self.running.iter().map(|r| r.kv_bytes).sum::<usize>() as f64);
    }

    /// One packed step of each model that has work.
    fn step(&mut self) {
        let mut models: Vec<Arc<Model>> = Vec::new();
        for request in &self.running {
            if !models.iter().any(|m| Arc::ptr_eq(m, &request.job.model)) {
                models.push(request.job.model.clone());
            }
        }
        for model in models {
            let mut batch: Vec<&mut Request> =
                self.running.iter_mut().filter(|r| Arc::ptr_eq(&r.job.model, &model)).collect();
            match guarded(|| step::run(&model, &mut batch)) {
                Ok(rows) => batch.iter_mut().zip(rows).for_each(|(request, rows)| advance(request, rows)),
                Err(error) => {
                    tracing::error!(%error, requests = batch.len(), "a step failed");
                    let reason = error.to_string();
                    for request in &mut batch {
                        request.send(Err(Error::Fault(reason.clone())));
                    }
                }
            }
        }
    }
}

/// Runs `work`; a panic in it is an error, and the engine goes on.
fn guarded<T>(work: impl FnOnce() -> Result<T, crate::model::Error>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|e| Error::Fault(e.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(Error::Fault(text.unwrap_or_else(|| "panic".into())))
        }
    }
}

fn attention(model: &Model, pixels: &[Tensor], head: Option<usize>) -> Result<Vec<Vec<Vec<f32>>>, crate::model::Error> {
    let mass = model.tower.attention(&Tensor::cat(pixels, 0)?, head)?;
    let mut views = mass.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec2()?.into_iter();
    pixels.iter().map(|p| Ok(views.by_ref().take(p.dim(0)?).collect())).collect()
}

fn encode(model: &Model, pixels: &Tensor, tokens: &ImageTokens) -> Result<Tensor, crate::model::Error> {
    let owners: Vec<_> = (0..pixels.dim(0)?).map(|view| (0, (0, view))).collect();
    let (features, layout) = model.tower.forward(pixels, &owners, &mut NoHooks)?;
    let projected = model.own_projector().forward(&features, &layout, &mut NoHooks)?;
    model.pack(&projected, std::iter::once((0, tokens)), &mut NoHooks)
}

/// What the logits of a request's rows mean for it.
fn advance(request: &mut Request, rows: Rows) {
    for captured in std::mem::take(&mut request.observed.captured) {
        request.send(Ok(Event::Captured(captured)));
    }
    if let Some(prefilled) = rows.prefilled {
        request.send(Ok(Event::Prefilled(prefilled)));
    }
    let effects = request.observed.effects.clone();
    let Some(logprobs) = rows.logits.iter().map(|l| log_softmax(l)).collect::<Option<Vec<_>>>() else {
        return request.send(Err(Error::NotFinite));
    };
    match &mut request.job.work {
        Work::Score(continuations) => {
            let mut rows = logprobs.iter();
            let scores = continuations
                .iter()
                .map(|ids| ids.iter().zip(&mut rows).map(|(&id, row)| row[id as usize]).collect())
                .collect();
            let timing = request.timing();
            request.send(Ok(Event::Scored { scores, timing, effects }));
        }
        Work::Generate { sampling, max_tokens, top_logprobs } => {
            let Some(logprobs) = logprobs.first() else { return };
            let id = sampling.choose(logprobs);
            let top = likeliest(logprobs, *top_logprobs);
            let length = request.answer.len() + 1 == *max_tokens;
            request.answer.push(id);
            counter!(names::GENERATION_TOKENS).increment(1);
            let finish = match (request.job.model.eos.contains(&id), length) {
                (true, _) => Some(Finish::Eos),
                (false, true) => Some(Finish::Length),
                (false, false) => None,
            };
            let token = Token { id, logprob: logprobs[id as usize], top, finish, timing: request.timing(), effects };
            request.send(Ok(Event::Token(token)));
        }
    }
}
