//! Counts the requests that are on their way, so that the server can wait for the last one.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts guards that are alive.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<watch::Sender<usize>>);

/// Counts as one request until it is dropped.
#[derive(Debug)]
pub struct InFlightGuard(InFlight);

impl InFlight {
    /// Counts one more request while the guard, or a clone of it, is alive.
    pub fn guard(&self) -> Arc<InFlightGuard> {
        self.0.send_modify(|count| *count += 1);
        Arc::new(InFlightGuard(self.clone()))
    }

    /// Returns how many requests are on their way.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until no request is on its way.
    pub async fn idle(&self) {
        // The sender lives as long as `self`, so this ends for no other reason.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
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
}
