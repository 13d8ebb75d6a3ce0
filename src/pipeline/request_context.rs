//! Accompanies a request: who asks, until when, and what is recorded of it.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use jiff::civil::DateTime;

use super::account::Account;
use super::in_flight::InFlightGuard;
use super::turns::Place;
use crate::engine::ClientId;

/// Accompanies a request from the server's first layer to its last event.
///
/// Each layer fills in the field that it is named after; services find the whole in the request's
/// extensions. A clone is the same request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Names the request in errors, logs and the first message of a stream.
    pub id: String,
    /// Says who asks. The engine shares its time fairly between clients.
    pub client: ClientId,
    /// Holds what the caller's key may do; `None` where no key is needed, and everybody may do
    /// everything.
    pub account: Option<Arc<Account>>,
    /// Says when the client stops waiting.
    pub deadline: Option<Instant>,
    /// Takes what only the handler knows and the metrics layer records.
    pub metrics: RequestMetrics,
    /// Keeps the server up while anything that belongs to the request goes on.
    pub in_flight: Option<Arc<InFlightGuard>>,
    /// Counts it as waiting, until the engine has it.
    pub place: Option<Arc<Place>>,
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
            deadline: None,
            metrics: RequestMetrics::default(),
            in_flight: None,
            place: None,
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
    // A new hasher's key is drawn from the operating system's entropy.
    let drawn = RandomState::new().hash_one(SystemTime::now());
    format!("{drawn:016x}")
}

/// Holds what a handler learns of a request; clones share it.
#[derive(Debug, Clone, Default)]
pub struct RequestMetrics(Arc<Learned>);

#[derive(Debug, Default)]
struct Learned {
    model: OnceLock<String>,
    tokens: AtomicUsize,
}

impl RequestMetrics {
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
        self.0.tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many tokens the answer has so far.
    pub fn tokens(&self) -> usize {
        self.0.tokens.load(Ordering::Relaxed)
    }
}
