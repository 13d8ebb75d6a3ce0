//! Bounds what is held for requests, of one client and of all together: bytes that are read, pixels
//! that are decoded, activations that nobody has read yet.
//!
//! Knows amounts and who holds them, not what they are of.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Gauge, gauge};

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

/// Bounds an amount, of one client and of all together. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    name: &'static str,
    flag: &'static str,
    limit: Share,
    held: Mutex<Held>,
    used: Gauge,
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
    /// Creates a budget under the name that metrics and errors give it; `flag` is the one that sets
    /// it.
    pub fn new(name: &'static str, flag: &'static str, limit: Share) -> Self {
        gauge!(names::BUDGET_LIMIT, "budget" => name).set(limit.all as f64);
        Self(Arc::new(Shared {
            name,
            flag,
            limit,
            held: Mutex::default(),
            used: gauge!(names::BUDGET_USED, "budget" => name),
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

    fn over(&self, of: &'static str, held: u64, asked: u64, limit: u64) -> OverBudget {
        OverBudget {
            name: self.0.name,
            flag: self.0.flag,
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
        let (budget, limit) = (&self.budget, self.budget.0.limit);
        let mut held = budget.lock();
        let all = held.all;
        if all > 0 && all.saturating_add(more) > limit.all {
            return Err(budget.over("", all, more, limit.all));
        }
        if let Some(client) = &self.client {
            let own = held.clients.entry(client.clone()).or_default();
            if *own > 0 && own.saturating_add(more) > limit.one {
                return Err(budget.over(" for this client", *own, more, limit.one));
            }
            *own += more;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn client(connection: u64) -> ClientId {
        ClientId {
            tenant: "".into(),
            connection,
        }
    }

    #[test]
    fn one_client_leaves_room_for_others_and_all_come_to_an_end() {
        let budget = Budget::new("test", "--test", Share { all: 10, one: 6 });
        let (a, b) = (client(1), client(2));
        let mut first = budget.reserve(&a, 5).unwrap();
        let full = budget.reserve(&a, 2).unwrap_err();
        assert_eq!((full.held, full.limit), (5, 6));
        assert!(full.to_string().contains("for this client"), "{full}");
        let second = budget.reserve(&b, 5).unwrap();
        let full = budget.reserve(&client(3), 1).unwrap_err();
        assert_eq!((full.held, full.limit), (10, 10));
        first.shrink(3);
        first.grow(1).unwrap();
        assert_eq!((first.amount(), budget.held()), (3, 8));
        drop((first, second));
        assert_eq!(budget.held(), 0);
        assert!(budget.lock().clients.is_empty(), "nobody is remembered");
    }

    #[test]
    fn what_is_too_much_by_itself_runs_alone() {
        let budget = Budget::new("test", "--test", Share { all: 10, one: 6 });
        let large = budget.reserve(&client(1), 20).unwrap();
        assert!(budget.reserve(&client(2), 1).is_err());
        drop(large);
        assert!(budget.reserve(&client(2), 1).is_ok());
    }
}
