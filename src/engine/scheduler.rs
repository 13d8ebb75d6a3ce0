//! Decides which requests take part in the next step, fairly among clients; no tensor, no clock.

use std::collections::HashMap;

use super::request::ClientId;

/// Counts the work that each client has had.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    /// (row, layer) pairs of each client with work.
    served: HashMap<ClientId, u64>,
}

impl Scheduler {
    /// Lets a client take part. A new one starts level with the client that has had least: it
    /// claims nothing for the time before it came.
    pub(super) fn join(&mut self, client: &ClientId) {
        // Without this, whoever comes last would have the engine until it has caught up.
        let least = self.served.values().copied().min().unwrap_or(0);
        self.served.entry(client.clone()).or_insert(least);
    }

    /// Charges a client for (row, layer) pairs.
    pub(super) fn charge(&mut self, client: &ClientId, cells: u64) {
        *self.served.entry(client.clone()).or_default() += cells;
    }

    /// Forgets the clients that have no work any more.
    pub(super) fn retain(&mut self, has_work: impl Fn(&ClientId) -> bool) {
        self.served.retain(|client, _| has_work(client));
    }

    /// Returns the (row, layer) pairs that a client has had.
    pub(super) fn served(&self, client: &ClientId) -> u64 {
        self.served.get(client).copied().unwrap_or(0)
    }

    /// Chooses the candidate of the client that has had least, the first among equals.
    pub(super) fn next<'a, T>(
        &self,
        candidates: impl IntoIterator<Item = (&'a ClientId, T)>,
    ) -> Option<(u64, T)> {
        let with_served = candidates
            .into_iter()
            .map(|(client, candidate)| (self.served(client), candidate));
        with_served.min_by_key(|(served, _)| *served)
    }
}

/// The rows and sequences that a step has room for.
#[derive(Debug)]
pub(super) struct StepBudget {
    pub(super) rows: usize,
    /// Sequences that may start.
    pub(super) sequences: usize,
}

impl StepBudget {
    /// Takes as many of the `left` rows of a sequence as the step has room for. `None` where it
    /// cannot be cut into chunks, does not fit, and does not come first.
    pub(super) fn take(&mut self, left: usize, unchunkable: bool, is_first: bool) -> Option<usize> {
        if unchunkable && left > self.rows && !is_first {
            return None;
        }
        // One that does not fit any step runs when it comes first.
        let rows = if unchunkable {
            left
        } else {
            left.min(self.rows)
        };
        self.rows = self.rows.saturating_sub(rows);
        Some(rows)
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
    fn the_client_that_has_had_least_is_next() {
        let (a, b, c) = (client(1), client(2), client(3));
        let mut scheduler = Scheduler::default();
        scheduler.join(&a);
        scheduler.join(&b);
        assert_eq!(scheduler.next([(&a, 'a'), (&b, 'b')]), Some((0, 'a')));
        scheduler.charge(&a, 10);
        assert_eq!(scheduler.next([(&a, 'a'), (&b, 'b')]), Some((0, 'b')));
        scheduler.charge(&b, 30);
        scheduler.join(&c);
        assert_eq!(scheduler.served(&c), 10);
        assert_eq!(scheduler.next([(&b, 'b'), (&c, 'c')]), Some((10, 'c')));
        scheduler.retain(|client| *client == b);
        assert_eq!((scheduler.served(&a), scheduler.served(&b)), (0, 30));
    }

    #[test]
    fn what_cannot_be_cut_waits_for_its_room() {
        let mut budget = StepBudget {
            rows: 10,
            sequences: 1,
        };
        assert_eq!(budget.take(4, false, true), Some(4));
        assert_eq!(budget.take(8, true, false), None);
        assert_eq!(budget.take(8, false, false), Some(6));
        budget.rows = 10;
        assert_eq!(budget.take(30, true, true), Some(30));
        assert_eq!(budget.rows, 0);
    }
}
