//! Bounds what is held for requests, of one client and of all together: bytes that are read, pixels
//! that are decoded, activations that nobody has read yet.
//!
//! Knows amounts and who holds them, not what they are of.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Gauge, gauge};
use tokio::sync::Notify;

use crate::engine::ClientId;
use crate::telemetry::names;

/// Bounds of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// All clients together.
    pub all: u64,
    /// One client.
    pub one: u64,
}

/// Names the flags that set a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// Bounds all clients together.
    pub all: &'static str,
    /// Bounds one client.
    pub one: &'static str,
}

/// Bounds an amount, of one client and of all together. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    name: &'static str,
    flags: Flags,
    limit: Share,
    held: Mutex<Held>,
    used: Gauge,
    /// Notified when there may be more room.
    freed: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Budget");
        shown.field("name", &self.name).field("limit", &self.limit);
        shown.finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Held {
    all: u64,
    clients: HashMap<ClientId, u64>,
}

/// Says that a budget has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name}: {held} are held{of} and {asked} more are asked for; at most {limit} are allowed \
     ({flag}); try again later"
)]
pub struct OverBudget {
    /// Names the budget.
    pub name: &'static str,
    /// Names the flag that sets it.
    pub flag: &'static str,
    /// Counts what is held already.
    pub held: u64,
    /// Says by whom.
    pub of: &'static str,
    /// Counts what was asked for.
    pub asked: u64,
    /// Counts what is allowed.
    pub limit: u64,
}

/// Holds a part of a budget until it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    /// `None`: of nobody's share.
    client: Option<ClientId>,
    amount: u64,
}

impl Budget {
    /// Creates a budget under the name that metrics and errors give it.
    pub fn new(name: &'static str, flags: Flags, limit: Share) -> Self {
        if limit.all < u64::MAX {
            gauge!(names::BUDGET_LIMIT, "budget" => name).set(limit.all as f64);
        }
        Self(Arc::new(Shared {
            name,
            flags,
            limit,
            held: Mutex::default(),
            used: gauge!(names::BUDGET_USED, "budget" => name),
            freed: Notify::new(),
        }))
    }

    /// Holds `amount` for `client`. What exceeds a bound by itself is let in where nothing else is
    /// held: bounds of single requests are checked elsewhere.
    pub fn reserve(&self, client: &ClientId, amount: u64) -> Result<Reservation, OverBudget> {
        let mut reservation = Reservation {
            budget: self.clone(),
            client: Some(client.clone()),
            amount: 0,
        };
        reservation.grow(amount)?;
        Ok(reservation)
    }

    /// Holds `amount` of nobody's share.
    pub fn reserve_for_all(&self, amount: u64) -> Result<Reservation, OverBudget> {
        let mut reservation = Reservation {
            budget: self.clone(),
            client: None,
            amount: 0,
        };
        reservation.grow(amount)?;
        Ok(reservation)
    }

    /// Returns how much is held.
    pub fn held(&self) -> u64 {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a future that ends when something is given back after this call.
    pub fn freed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.0.freed.notified()
    }

    fn over(&self, of: &'static str, held: u64, asked: u64, limit: u64) -> OverBudget {
        let flags = self.0.flags;
        OverBudget {
            name: self.0.name,
            flag: if of.is_empty() { flags.all } else { flags.one },
            held,
            of,
            asked,
            limit,
        }
    }
}

impl Reservation {
    /// Holds `more`, or fails and holds as much as before.
    pub fn grow(&mut self, more: u64) -> Result<(), OverBudget> {
        self.grow_within(more, self.budget.0.limit)
    }

    /// Does as [`Self::grow`], but leaves half of the budget alone: what waits for room must not
    /// have what does not wait refused.
    pub fn grow_in_half(&mut self, more: u64) -> Result<(), OverBudget> {
        let Share { all, one } = self.budget.0.limit;
        let half = Share {
            all: all / 2,
            one: one / 2,
        };
        self.grow_within(more, half)
    }

    fn grow_within(&mut self, more: u64, limit: Share) -> Result<(), OverBudget> {
        let budget = &self.budget;
        // One lock over both looks and both counts, or two could take the last room.
        let mut held = budget.lock();
        let all = held.all;
        // Where nothing is held, an amount beyond the limit is let in: it would wait for ever.
        if all > 0 && all.saturating_add(more) > limit.all {
            return Err(budget.over("", all, more, limit.all));
        }
        if let Some(client) = &self.client {
            let own = held.clients.entry(client.clone()).or_default();
            if *own > 0 && own.saturating_add(more) > limit.one {
                return Err(budget.over(" for this client", *own, more, limit.one));
            }
            *own += more;
            // `entry` has made one for an amount of 0, which nothing would take away again.
            if *own == 0 {
                held.clients.remove(client);
            }
        }
        held.all += more;
        budget.0.used.set(held.all as f64);
        self.amount += more;
        Ok(())
    }

    /// Gives `less` back.
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.amount);
        let mut held = self.budget.lock();
        held.all -= less;
        if let Some(client) = &self.client
            && let Some(own) = held.clients.get_mut(client)
        {
            *own -= less;
            if *own == 0 {
                held.clients.remove(client);
            }
        }
        self.budget.0.used.set(held.all as f64);
        self.amount -= less;
        // Unlocked, since those that wait look at once.
        drop(held);
        self.budget.0.freed.notify_waiters();
    }

    /// Parts `amount` from it, or what there is, for another holder.
    pub fn split(&mut self, amount: u64) -> Self {
        let amount = amount.min(self.amount);
        // The budget's counts stay as they are: the parts hold together what the whole held.
        self.amount -= amount;
        Self {
            budget: self.budget.clone(),
            client: self.client.clone(),
            amount,
        }
    }

    /// Returns the budget that it is of.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Returns how much is held.
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.amount);
    }
}

/// Hands on what the messages of a stream hold, in their order, to whoever reads them. Clones share
/// it.
#[derive(Debug, Clone, Default)]
pub struct Arrived(Arc<Mutex<VecDeque<Reservation>>>);

impl Arrived {
    /// Adds what a message holds that has come.
    pub fn push(&self, held: Reservation) {
        self.lock().push_back(held);
    }

    /// Takes what the next message holds; `None` where nobody counts.
    pub fn next(&self) -> Option<Reservation> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Reservation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: Flags = Flags {
        all: "--test",
        one: "--test-per-key",
    };

    #[test]
    fn one_client_leaves_room_for_others_and_all_come_to_an_end() {
        let budget = Budget::new("test", FLAGS, Share { all: 10, one: 6 });
        let (a, b) = (ClientId::of_connection(1), ClientId::of_connection(2));
        let mut first = budget.reserve(&a, 5).unwrap();
        let full = budget.reserve(&a, 2).unwrap_err();
        assert_eq!((full.held, full.limit), (5, 6));
        assert!(full.to_string().contains("for this client"), "{full}");
        assert_eq!(full.flag, "--test-per-key");
        let second = budget.reserve(&b, 5).unwrap();
        let full = budget.reserve(&ClientId::of_connection(3), 1).unwrap_err();
        assert_eq!((full.held, full.limit, full.flag), (10, 10, "--test"));
        first.shrink(3);
        first.grow(1).unwrap();
        assert_eq!((first.amount(), budget.held()), (3, 8));
        drop((first, second));
        assert_eq!(budget.held(), 0);
        assert!(budget.lock().clients.is_empty(), "nobody is remembered");
    }

    #[test]
    fn what_is_too_much_by_itself_runs_alone() {
        let budget = Budget::new("test", FLAGS, Share { all: 10, one: 6 });
        let large = budget.reserve(&ClientId::of_connection(1), 20).unwrap();
        assert!(budget.reserve(&ClientId::of_connection(2), 1).is_err());
        drop(large);
        assert!(budget.reserve(&ClientId::of_connection(2), 1).is_ok());
    }

    #[tokio::test]
    async fn what_is_parted_counts_on_and_who_waits_hears_of_its_end() {
        let budget = Budget::new("test", FLAGS, Share { all: 10, one: 6 });
        let mut whole = budget.reserve(&ClientId::of_connection(1), 0).unwrap();
        whole.grow_in_half(3).unwrap();
        assert!(whole.grow_in_half(1).is_err(), "half is for others");
        whole.grow(3).unwrap();
        let part = whole.split(4);
        assert_eq!((whole.amount(), part.amount(), budget.held()), (2, 4, 6));
        drop(whole);
        let freed = budget.freed();
        drop(part);
        freed.await;
        assert_eq!(budget.held(), 0);
    }
}
