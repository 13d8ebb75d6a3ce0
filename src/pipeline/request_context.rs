//! Accompanies a request: who asks, until when, and what is recorded of it.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use jiff::civil::DateTime;

use super::account::Account;
use super::budget::Arrived;
use super::in_flight::InFlightGuard;
use super::turns::QueuePlace;
use crate::engine::{ClientId, Deadline};
use crate::telemetry::{StageSpan, traces_are_exported};

/// Stages that are noted of one request.
const MAX_STAGES: usize = 256;

/// Accompanies a request from the server's first layer to its last event.
///
/// The layers fill in its fields; services find the whole in the request's extensions. A clone is
/// the same request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Names the request in errors, logs and the first message of a stream.
    pub id: String,
    /// Says who asks. The engine shares its time fairly between clients.
    pub client: ClientId,
    /// Holds what the caller's key may do; `None` where no key is needed, and everybody may do
    /// everything.
    pub account: Option<Arc<Account>>,
    /// Says when the client stops waiting; the last of several that wait for one run.
    pub deadline: Deadline,
    /// Takes what only the handler knows and the metrics layer records.
    pub metrics: RequestMetrics,
    /// Keeps the server up while anything that belongs to the request goes on.
    pub in_flight: Option<Arc<InFlightGuard>>,
    /// Counts it as waiting, until the engine has it.
    pub place: Option<Arc<QueuePlace>>,
    /// Hands on what each message of a stream holds, to whoever reads it.
    pub arrived: Arrived,
    /// Sets the time that chat templates are told; `None`: now.
    pub time: Option<DateTime>,
}

impl Default for RequestContext {
    /// Makes the context of a request that comes from the server itself, under a fresh id.
    fn default() -> Self {
        Self {
            id: fresh_id(),
            client: ClientId::default(),
            account: None,
            deadline: Deadline::default(),
            metrics: RequestMetrics::default(),
            in_flight: None,
            place: None,
            arrived: Arrived::default(),
            time: None,
        }
    }
}

impl RequestContext {
    /// Counts the request as waiting no more.
    pub fn leave_queue(&self) {
        if let Some(place) = &self.place {
            place.leave();
        }
    }
}

fn fresh_id() -> String {
    // The standard library draws a hasher's key from the operating system's entropy once in each
    // thread, and adds 1 for each further hasher. SipHash makes unrelated numbers of such keys.
    let drawn = RandomState::new().hash_one(SystemTime::now());
    format!("{drawn:016x}")
}

/// Holds what a handler learns of a request; clones share it.
#[derive(Debug, Clone, Default)]
pub struct RequestMetrics(Arc<Learned>);

#[derive(Debug, Default)]
struct Learned {
    caller: OnceLock<Arc<str>>,
    model: OnceLock<String>,
    asked: OnceLock<String>,
    tokens: AtomicUsize,
    first_token: OnceLock<Instant>,
    rows_computed: AtomicU64,
    rows_reused: AtomicU64,
    is_replayed: AtomicBool,
    stages: Mutex<Vec<StageSpan>>,
}

impl RequestMetrics {
    /// Says who asks: the name of a key, or the tenant that the metadata names.
    pub fn set_caller(&self, name: Arc<str>) {
        let _ = self.0.caller.set(name);
    }

    /// Returns who asks; empty until it is known.
    pub fn caller(&self) -> &str {
        self.0.caller.get().map_or("", |name| name)
    }

    /// Says what an admin asks for, as one line.
    pub fn set_asked(&self, what: String) {
        let _ = self.0.asked.set(what);
    }

    /// Returns what an admin asks for.
    pub fn asked(&self) -> Option<&str> {
        self.0.asked.get().map(String::as_str)
    }

    /// Notes a stage, from now until the guard is dropped.
    pub(super) fn stage(&self, name: &'static str) -> StageGuard {
        StageGuard {
            metrics: self.clone(),
            name,
            start: Instant::now(),
        }
    }

    /// Notes a stage that has ended, where anybody wants to know; of a long sweep the first ones.
    pub(super) fn add_stage(&self, name: &'static str, start: Instant, end: Instant) {
        if !traces_are_exported() {
            return;
        }
        let mut stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if stages.len() < MAX_STAGES {
            stages.push(StageSpan { name, start, end });
        }
    }

    /// Takes the stages that were noted.
    pub fn take_stages(&self) -> Vec<StageSpan> {
        let stages = self.0.stages.lock();
        std::mem::take(&mut *stages.unwrap_or_else(PoisonError::into_inner))
    }

    /// Says that the request is answered from a run that was there.
    pub fn set_replayed(&self) {
        self.0.is_replayed.store(true, Ordering::Relaxed);
    }

    /// Returns whether it is.
    pub fn is_replayed(&self) -> bool {
        self.0.is_replayed.load(Ordering::Relaxed)
    }

    /// Counts (row, layer) pairs of a part that has ended.
    pub fn count_rows(&self, computed: u64, reused: u64) {
        self.0.rows_computed.fetch_add(computed, Ordering::Relaxed);
        self.0.rows_reused.fetch_add(reused, Ordering::Relaxed);
    }

    /// Returns the (row, layer) pairs computed and reused.
    pub fn rows(&self) -> (u64, u64) {
        let read = |rows: &AtomicU64| rows.load(Ordering::Relaxed);
        (read(&self.0.rows_computed), read(&self.0.rows_reused))
    }

    /// Returns when the first token came.
    pub fn first_token(&self) -> Option<Instant> {
        self.0.first_token.get().copied()
    }

    /// Sets the label `model`. The model must be resident: labels belong to a closed set.
    pub fn set_model(&self, name: &str) {
        // A request runs on one model; what came first stays.
        let _ = self.0.model.set(name.to_owned());
    }

    /// Returns the label `model`: `none` until it is set.
    pub fn model(&self) -> &str {
        self.0.model.get().map_or("none", String::as_str)
    }

    /// Counts a token of the answer.
    pub fn count_token(&self) {
        self.0.first_token.get_or_init(Instant::now);
        self.0.tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many tokens the answer has so far.
    pub fn tokens(&self) -> usize {
        self.0.tokens.load(Ordering::Relaxed)
    }
}

/// Notes a stage when it is dropped.
#[derive(Debug)]
pub(super) struct StageGuard {
    metrics: RequestMetrics,
    name: &'static str,
    start: Instant,
}

impl Drop for StageGuard {
    fn drop(&mut self) {
        self.metrics
            .add_stage(self.name, self.start, Instant::now());
    }
}
