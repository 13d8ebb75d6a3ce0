//! Admits requests or refuses them at once, by what is admitted already.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::error::Error;
use super::limits::Limits;

/// Counts the requests that are admitted and not done.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Requests of which nothing has run yet.
    waiting: AtomicUsize,
    /// (row, layer) pairs of all that is not done.
    rows: AtomicU64,
    /// Notified when there may be more room.
    freed: Notify,
}

impl Admission {
    /// Admits a request of `price` (row, layer) pairs.
    pub(super) fn enter(&self, price: u64, limits: &Limits) -> Result<(), Error> {
        let limit = limits.queue;
        let admitted = self.rows.load(Ordering::Acquire);
        // A request that exceeds the limit alone runs when nothing else is admitted.
        if admitted > 0 && admitted + price > limits.queue_rows {
            return Err(Error::Backlog {
                admitted,
                limit: limits.queue_rows,
            });
        }
        self.waiting
            // Checked and counted at once: callers come from many threads.
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < limit).then_some(n + 1)
            })
            .map_err(|_| Error::QueueFull { limit })?;
        // Apart from the check above: two that come at once may exceed the limit together, by one
        // request.
        self.rows.fetch_add(price, Ordering::AcqRel);
        Ok(())
    }

    /// Counts a request as started.
    pub(super) fn start(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_waiters();
    }

    /// Counts a request as gone.
    pub(super) fn leave(&self, price: u64, started: bool) {
        self.rows.fetch_sub(price, Ordering::AcqRel);
        if !started {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        self.freed.notify_waiters();
    }

    /// Waits until another request would be admitted.
    pub(super) async fn room(&self, limits: &Limits) {
        loop {
            // Created before the look: what is freed after it is not missed.
            let freed = self.freed.notified();
            if self.has_room(limits) {
                return;
            }
            freed.await;
        }
    }

    /// Returns whether another request would be admitted now.
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        let admitted = self.rows.load(Ordering::Acquire);
        // Half, so that a sweep leaves room for others.
        self.waiting() < limits.queue && admitted < limits.queue_rows / 2
    }

    /// Returns how many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}
