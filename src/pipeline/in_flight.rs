//! Counts the requests that are on their way, and says whether more may come, so that the server can
//! go down behind the last one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use metrics::{SharedString, gauge};
use tokio::sync::watch;

use crate::telemetry::names;

/// Says how far a server is on its way down. A phase never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// Takes requests.
    #[default]
    Serving,
    /// Refuses new requests; those that run go on to their end.
    Draining,
    /// Ends whatever still runs.
    Ending,
}

/// Counts guards that are alive.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    count: Arc<watch::Sender<usize>>,
    phase: Arc<watch::Sender<Phase>>,
    /// Counts them by method.
    methods: Arc<Mutex<BTreeMap<SharedString, usize>>>,
    /// Set once the server goes down.
    draining_since: Arc<OnceLock<Instant>>,
}

/// Counts as one request until it is dropped.
#[derive(Debug)]
pub struct InFlightGuard {
    in_flight: InFlight,
    method: SharedString,
}

impl InFlight {
    /// Counts one more request while the guard, or a clone of it, is alive.
    ///
    /// A request that looks at the phase behind its guard is either waited for or refused: the
    /// count is looked at after the phase has changed.
    pub fn guard(&self, method: SharedString) -> Arc<InFlightGuard> {
        // Before the method, as its end comes after: the count is never less than the methods' sum.
        self.count.send_modify(|count| *count += 1);
        self.change(&method, |open| *open += 1);
        Arc::new(InFlightGuard {
            in_flight: self.clone(),
            method,
        })
    }

    fn change(&self, method: &SharedString, change: impl FnOnce(&mut usize)) {
        let mut methods = self.methods();
        let open = methods.entry(method.clone()).or_default();
        change(open);
        gauge!(names::REQUESTS_OPEN, "method" => method.clone()).set(*open as f64);
    }

    fn methods(&self) -> MutexGuard<'_, BTreeMap<SharedString, usize>> {
        self.methods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is on its way in words, such as `Evaluate 2, Sweep 1`.
    pub fn methods_in_words(&self) -> String {
        let methods = self.methods();
        let open = methods.iter().filter(|(_, open)| **open > 0);
        let words: Vec<String> = open
            .map(|(method, open)| format!("{method} {open}"))
            .collect();
        words.join(", ")
    }

    /// Returns for how long the server has been going down; zero while it serves.
    pub fn draining_for(&self) -> Duration {
        self.draining_since
            .get()
            .map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Returns how many requests are on their way.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until no request is on its way.
    pub async fn idle(&self) {
        // The sender lives as long as `self`, so this ends for no other reason.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Returns the phase that the server is in.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Moves on to `phase`, unless it is past it.
    pub fn enter(&self, phase: Phase) {
        if phase > Phase::Serving {
            self.draining_since.get_or_init(Instant::now);
        }
        self.phase.send_if_modified(|current| {
            // Receivers are woken by a change alone: a phase that was entered before tells nothing
            // new.
            let is_later = phase > *current;
            *current = phase.max(*current);
            is_later
        });
    }

    /// Returns a future that ends once the server has reached `phase`.
    pub fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        // Subscribed here: the future then borrows nothing of `self`.
        let mut phases = self.phase.subscribe();
        async move {
            // Without a sender there is no server any more.
            let _ = phases.wait_for(|current| *current >= phase).await;
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.in_flight.change(&self.method, |open| *open -= 1);
        // Last: who waits for zero finds nothing of any method.
        self.in_flight.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_guard_ends_the_wait() {
        let in_flight = InFlight::default();
        in_flight.idle().await;
        let guard = |method: &'static str| in_flight.guard(method.into());
        let (one, other) = (guard("Sweep"), guard("Evaluate"));
        assert_eq!(in_flight.methods_in_words(), "Evaluate 1, Sweep 1");
        let again = one.clone();
        drop((one, other));
        assert_eq!(in_flight.count(), 1, "a clone counts on");
        assert_eq!(in_flight.methods_in_words(), "Sweep 1");
        let waiting = tokio::spawn(async move { in_flight.idle().await });
        drop(again);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn phases_go_one_way() {
        let in_flight = InFlight::default();
        assert_eq!(in_flight.draining_for(), Duration::ZERO);
        let waiting = tokio::spawn(in_flight.reached(Phase::Draining));
        in_flight.enter(Phase::Ending);
        in_flight.enter(Phase::Draining);
        waiting.await.unwrap();
        assert_eq!(in_flight.phase(), Phase::Ending);
        assert!(in_flight.draining_for() > Duration::ZERO);
    }
}
