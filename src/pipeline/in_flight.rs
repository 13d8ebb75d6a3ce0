//! Counts the requests that are on their way, and says whether more may come, so that the server can
//! go down behind the last one.

use std::sync::Arc;

use tokio::sync::watch;

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
}

/// Counts as one request until it is dropped.
#[derive(Debug)]
pub struct InFlightGuard(InFlight);

impl InFlight {
    /// Counts one more request while the guard, or a clone of it, is alive.
    ///
    /// A request that looks at the phase behind its guard is either waited for or refused: the
    /// count is looked at after the phase has changed.
    pub fn guard(&self) -> Arc<InFlightGuard> {
        self.count.send_modify(|count| *count += 1);
        Arc::new(InFlightGuard(self.clone()))
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
        self.phase.send_if_modified(|current| {
            let is_later = phase > *current;
            *current = phase.max(*current);
            is_later
        });
    }

    /// Returns a future that ends once the server has reached `phase`.
    pub fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        let mut phases = self.phase.subscribe();
        async move {
            // Without a sender there is no server any more.
            let _ = phases.wait_for(|current| *current >= phase).await;
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_guard_ends_the_wait() {
        let in_flight = InFlight::default();
        in_flight.idle().await;
        let (one, other) = (in_flight.guard(), in_flight.guard());
        let again = one.clone();
        drop((one, other));
        assert_eq!(in_flight.count(), 1, "a clone counts on");
        let waiting = tokio::spawn(async move { in_flight.idle().await });
        drop(again);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn phases_go_one_way() {
        let in_flight = InFlight::default();
        let waiting = tokio::spawn(in_flight.reached(Phase::Draining));
        in_flight.enter(Phase::Ending);
        in_flight.enter(Phase::Draining);
        waiting.await.unwrap();
        assert_eq!(in_flight.phase(), Phase::Ending);
    }
}
