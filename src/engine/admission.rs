//! Admits requests or refuses them at once, by what is admitted already.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::error::Error;
use super::limits::Limits;
use super::request::ClientId;

/// Counts the requests that are admitted and not done.
#[derive(Debug, Default)]
pub(super) struct Admission {
    admitted: Mutex<Admitted>,
    /// Notified when there may be more room.
    freed: Notify,
}

/// Counts what is admitted, of all clients and of each.
#[derive(Debug, Default)]
struct Admitted {
    all: Amount,
    clients: HashMap<ClientId, Amount>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Amount {
    /// Requests that are not done.
    requests: usize,
    /// Requests of which nothing has run yet.
    waiting: usize,
    /// (row, layer) pairs of all that is not done.
    rows: u64,
}

/// Says how many requests wait in an engine.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct QueueLength {
    /// All of them.
    pub all: usize,
    /// Requests of one client.
    pub own: usize,
    /// Clients that have requests there, the one included.
    pub clients: usize,
}

impl Admission {
    /// Admits a request of `price` (row, layer) pairs. Where there is no room, a client that has
    /// less than its share is let in all the same: none can fill the engine up for the others.
    pub(super) fn enter(
        &self,
        client: &ClientId,
        price: u64,
        limits: &Limits,
    ) -> Result<(), Error> {
        // One lock over the look and the count: two requests cannot both take the last place.
        let mut admitted = self.lock();
        let (all, own, clients) = admitted.of(client);
        let is_within = |rows: u64, limit: u64| rows.saturating_add(price) <= limit;
        // A request that exceeds the limit alone runs when nothing else is admitted.
        if all.rows > 0
            && !is_within(all.rows, limits.queue_rows)
            && !is_within(own.rows, limits.queue_rows / clients as u64)
        {
            return Err(Error::Backlog {
                admitted: all.rows,
                limit: limits.queue_rows,
            });
        }
        let limit = limits.queue;
        if all.waiting >= limit && own.waiting >= limit / clients {
            return Err(Error::QueueFull { limit });
        }
        admitted.change(client, |amount| {
            amount.requests += 1;
            amount.waiting += 1;
            amount.rows += price;
        });
        Ok(())
    }

    /// Does the same, and waits as long as there is no room.
    pub(super) async fn enter_patiently(&self, client: &ClientId, price: u64, limits: &Limits) {
        loop {
            // Created before the look: what is freed after it is not missed.
            let freed = self.freed.notified();
            if self.enter(client, price, limits).is_ok() {
                return;
            }
            freed.await;
        }
    }

    /// Counts a request as started.
    pub(super) fn start(&self, client: &ClientId) {
        self.lock().change(client, |amount| amount.waiting -= 1);
        self.freed.notify_waiters();
    }

    /// Counts a request as gone.
    pub(super) fn leave(&self, client: &ClientId, price: u64, started: bool) {
        self.lock().change(client, |amount| {
            amount.requests -= 1;
            amount.rows -= price;
            amount.waiting -= usize::from(!started);
        });
        self.freed.notify_waiters();
    }

    /// Waits until another request of `client` would be admitted.
    pub(super) async fn room(&self, client: &ClientId, limits: &Limits) {
        loop {
            // Created before the look: what is freed after it is not missed.
            let freed = self.freed.notified();
            if self.has_room(client, limits) {
                return;
            }
            freed.await;
        }
    }

    /// Returns whether another request of `client` would be admitted now.
    pub(super) fn has_room(&self, client: &ClientId, limits: &Limits) -> bool {
        let (all, own, clients) = self.lock().of(client);
        // Half, so that a sweep leaves room for others.
        let rows = limits.queue_rows / 2;
        let is_free = all.waiting < limits.queue && all.rows < rows;
        is_free || (own.waiting < limits.queue / clients && own.rows < rows / clients as u64)
    }

    /// Returns how many requests wait, and how many of `client`.
    pub(super) fn queue(&self, client: &ClientId) -> QueueLength {
        let (all, own, clients) = self.lock().of(client);
        QueueLength {
            all: all.waiting,
            own: own.waiting,
            clients,
        }
    }

    /// Returns how many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().all.waiting
    }

    fn lock(&self) -> MutexGuard<'_, Admitted> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Returns what is admitted of all and of `client`, and how many clients there are, it included.
    fn of(&self, client: &ClientId) -> (Amount, Amount, usize) {
        let own = self.clients.get(client).copied();
        let clients = self.clients.len() + usize::from(own.is_none());
        (self.all, own.unwrap_or_default(), clients)
    }

    fn change(&mut self, client: &ClientId, change: impl Fn(&mut Amount)) {
        change(&mut self.all);
        let own = self.clients.entry(client.clone()).or_default();
        change(own);
        // Else the share of each client would shrink by those that left long ago.
        if own.requests == 0 {
            self.clients.remove(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_fills_the_engine_for_others() {
        let limits = Limits {
            queue: 4,
            queue_rows: 100,
            ..Limits::default()
        };
        let admission = Admission::default();
        let (greedy, polite) = (ClientId::of_connection(1), ClientId::of_connection(2));
        for _ in 0..4 {
            admission.enter(&greedy, 25, &limits).unwrap();
        }
        assert!(admission.enter(&greedy, 0, &limits).is_err());
        assert!(!admission.has_room(&greedy, &limits));
        assert!(admission.has_room(&polite, &limits));
        admission.enter(&polite, 25, &limits).unwrap();
        let queue = admission.queue(&polite);
        assert_eq!((queue.all, queue.own, queue.clients), (5, 1, 2));
        admission.start(&polite);
        admission.leave(&polite, 25, true);
        for _ in 0..4 {
            admission.leave(&greedy, 25, false);
        }
        assert!(admission.lock().clients.is_empty(), "nobody is remembered");
        assert_eq!(admission.lock().all.rows, 0);
    }

    #[tokio::test]
    async fn whoever_is_patient_is_never_refused() {
        let limits = Limits {
            queue_rows: 100,
            ..Limits::default()
        };
        let (admission, client) = (Admission::default(), ClientId::default());
        admission.enter(&client, 40, &limits).unwrap();
        // Less than half is admitted, and yet it has no room.
        assert!(admission.has_room(&client, &limits));
        let mut patient = Box::pin(admission.enter_patiently(&client, 90, &limits));
        let now = std::time::Duration::ZERO;
        assert!(tokio::time::timeout(now, &mut patient).await.is_err());
        // Somebody else takes what is freed.
        admission.leave(&client, 40, false);
        admission.enter(&client, 50, &limits).unwrap();
        assert!(tokio::time::timeout(now, &mut patient).await.is_err());
        admission.leave(&client, 50, false);
        patient.await;
        assert_eq!(admission.lock().all.rows, 90);
    }

    #[test]
    fn what_is_too_much_by_itself_runs_alone() {
        let limits = Limits {
            queue_rows: 100,
            ..Limits::default()
        };
        let admission = Admission::default();
        admission
            .enter(&ClientId::of_connection(1), 1000, &limits)
            .unwrap();
        assert!(
            admission
                .enter(&ClientId::of_connection(1), 1, &limits)
                .is_err()
        );
        assert!(
            admission
                .enter(&ClientId::of_connection(2), 1000, &limits)
                .is_err()
        );
    }
}
