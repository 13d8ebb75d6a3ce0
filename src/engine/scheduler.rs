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

/// A client is crowding where it has more than so many times the requests of another one.
const CROWD: usize = 4;

/// The part of a step's rows that a crowding client has in any case.
const FLOOR: usize = 16;

/// Bounds what each client may have of one step: steps that one client fills would make those of
/// others slow, however soon their rows come.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Empty where there is one client alone, which may have all.
    clients: HashMap<ClientId, Share>,
    floor: usize,
}

#[derive(Debug, Default)]
struct Share {
    requests: usize,
    running: usize,
    rows: usize,
}

impl Shares {
    /// Counts requests by their clients, each with the sequences of it that run.
    pub(super) fn of<'a>(
        requests: impl Iterator<Item = (&'a ClientId, usize)> + Clone,
        step_rows: usize,
    ) -> Self {
        let mut all = requests.clone();
        let first = all.next();
        if all.all(|(client, _)| first.is_some_and(|(first, _)| first == client)) {
            return Self::default();
        }
        let mut clients: HashMap<ClientId, Share> = HashMap::new();
        for (client, running) in requests {
            let share = clients.entry(client.clone()).or_default();
            share.requests += 1;
            share.running += running;
        }
        let floor = (step_rows / FLOOR).max(1);
        Self { clients, floor }
    }

    /// Counts rows of a step, and a sequence that starts with them.
    pub(super) fn take(&mut self, client: &ClientId, rows: usize, starts: bool) {
        if let Some(share) = self.clients.get_mut(client) {
            share.rows += rows;
            share.running += usize::from(starts);
        }
    }

    /// Reports whether a client asks for much more than another one.
    pub(super) fn is_crowding(&self, client: &ClientId) -> bool {
        let own = self.clients.get(client).map_or(0, |share| share.requests);
        self.clients
            .values()
            .any(|share| CROWD * share.requests < own)
    }

    /// Returns how many more rows of this step a client may have: a crowding one as many as all
    /// others together.
    pub(super) fn rows_left(&self, client: &ClientId) -> usize {
        if !self.is_crowding(client) {
            return usize::MAX;
        }
        let rows = |share: &Share| share.rows;
        let own = self.clients.get(client).map_or(0, rows);
        let all: usize = self.clients.values().map(rows).sum();
        // The floor lets it go on where the others have no rows in this step.
        self.floor.max(all - own).saturating_sub(own)
    }

    /// Returns whether a client runs fewer than its share of `limit` sequences. It may then start
    /// one more, whoever else runs.
    pub(super) fn may_start(&self, client: &ClientId, limit: usize) -> bool {
        let share = self.clients.get(client);
        share.is_some_and(|share| share.running < limit / self.clients.len())
    }
}

/// The rows and sequences that a step has room for.
#[derive(Debug)]
pub(super) struct StepBudget {
    pub(super) rows: usize,
    /// Sequences that may start.
    pub(super) sequences: usize,
    /// Set once one that may start has to wait for memory.
    pub(super) is_short: bool,
}

impl StepBudget {
    /// Takes as many of the `left` rows of a prompt as the step has room for. `None` where it
    /// cannot be cut into chunks, does not fit, and is not the step's first prompt.
    pub(super) fn take(&mut self, left: usize, unchunkable: bool, is_first: bool) -> Option<usize> {
        if unchunkable && left > self.rows && !is_first {
            return None;
        }
        // One that does not fit any step runs when it comes first, beside rows that decode.
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

    #[test]
    fn the_client_that_has_had_least_is_next() {
        let (a, b, c) = (
            ClientId::of_connection(1),
            ClientId::of_connection(2),
            ClientId::of_connection(3),
        );
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
    fn whoever_asks_for_much_leaves_half_of_a_step_to_others() {
        let (greedy, polite) = (ClientId::of_connection(1), ClientId::of_connection(2));
        let alone = Shares::of([(&greedy, 1); 64].into_iter(), 1024);
        assert_eq!(alone.rows_left(&greedy), usize::MAX);
        let both = [(&greedy, 1); 64].into_iter().chain([(&polite, 0)]);
        let mut shares = Shares::of(both, 1024);
        assert!(shares.is_crowding(&greedy) && !shares.is_crowding(&polite));
        assert!(shares.may_start(&polite, 64) && !shares.may_start(&greedy, 64));
        assert_eq!(shares.rows_left(&polite), usize::MAX);
        assert_eq!(shares.rows_left(&greedy), 64);
        shares.take(&polite, 300, true);
        assert_eq!(shares.rows_left(&greedy), 300);
        shares.take(&greedy, 250, false);
        assert_eq!(shares.rows_left(&greedy), 50);
        let alike = [(&greedy, 1), (&greedy, 1), (&polite, 1)];
        let shares = Shares::of(alike.into_iter(), 1024);
        assert_eq!(shares.rows_left(&greedy), usize::MAX, "two are no crowd");
    }

    #[test]
    fn what_cannot_be_cut_waits_for_its_room() {
        let mut budget = StepBudget {
            rows: 10,
            sequences: 1,
            is_short: false,
        };
        assert_eq!(budget.take(4, false, true), Some(4));
        assert_eq!(budget.take(8, true, false), None);
        assert_eq!(budget.take(8, false, false), Some(6));
        budget.rows = 10;
        assert_eq!(budget.take(30, true, true), Some(30));
        assert_eq!(budget.rows, 0);
    }
}
