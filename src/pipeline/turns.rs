//! Shares the work beside the engine among clients: pictures to decode, words to tokenize, plans to
//! compile. Each client waits in a queue of its own, and the queues take turns by what their work
//! costs (deficit round robin, Shreedhar and Varghese 1995).
//!
//! Knows prices, not what they are of.

use std::collections::HashMap;
use std::ops::Add;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use metrics::{Gauge, gauge};
use tokio::sync::oneshot;

use super::error::Error;
use crate::engine::{self, ClientId, QueueLength};
use crate::telemetry::names;

/// Bounds how far a client may fall behind its share by work that took longer than its price.
const MOST_DEBT: i64 = 1_000_000;

/// Says what a piece of work takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// Microseconds of one core, about.
    micros: u64,
    /// Pixels that are in memory at once.
    pixels: u64,
}

impl Price {
    /// Prices what is done for every request.
    pub(super) const BASE: Self = Self {
        micros: 200,
        pixels: 0,
    };

    /// Prices `bytes` of text that are tokenized.
    pub fn of_text(bytes: usize) -> Self {
        Self {
            micros: bytes as u64 / 2,
            pixels: 0,
        }
    }

    /// Prices `bytes` of JSON that are parsed, most of them pictures in base64.
    pub fn of_json(bytes: usize) -> Self {
        Self {
            micros: Self::BASE.micros + bytes as u64 / 100,
            pixels: 0,
        }
    }

    /// Prices so many operations of one core, a nanosecond each.
    pub(super) fn of_operations(operations: u64) -> Self {
        Self {
            micros: Self::BASE.micros + operations / 1000,
            pixels: 0,
        }
    }

    /// Prices planning so many cells of a trace, each a prompt of `rows` tokens: 25 microseconds
    /// were measured with 450 of them.
    pub(super) fn of_cells(cells: usize, rows: usize) -> Self {
        Self {
            micros: Self::BASE.micros + cells as u64 * (10 + rows as u64 / 30),
            pixels: 0,
        }
    }

    /// Prices an attention flow through so many ways, counted once for each token.
    pub(super) fn of_flow(ways: usize) -> Self {
        Self {
            micros: Self::BASE.micros + ways as u64 / 6,
            pixels: 0,
        }
    }

    /// Prices so many multiplications of a model that is asked beside the engine.
    pub fn of_products(multiplications: u64) -> Self {
        Self {
            micros: multiplications / 10_000,
            pixels: 0,
        }
    }

    /// Prices a picture of so many pixels, in a file of so many bytes, that is decoded.
    pub(super) fn of_picture(pixels: u64, bytes: usize) -> Self {
        Self {
            micros: pixels / 50 + bytes as u64 / 100,
            pixels,
        }
    }
}

/// One after the other.
impl Add for Price {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            micros: self.micros.saturating_add(other.micros),
            pixels: self.pixels.max(other.pixels),
        }
    }
}

/// Bounds the work that goes on at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnLimits {
    /// Pieces of work of all clients.
    pub(super) pieces: usize,
    /// Pieces of work of one client.
    pub(super) pieces_of_one: usize,
    /// Pixels of all clients.
    pub(super) pixels: u64,
    /// Pixels of one client.
    pub(super) pixels_of_one: u64,
    /// Requests that may wait, here and in the engines.
    pub(super) queue: usize,
}

/// Lets clients take turns. Clones share it.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Shared>);

struct Shared {
    limits: TurnLimits,
    state: Mutex<State>,
    pixels: Gauge,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Turns");
        shown.field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    clients: HashMap<ClientId, Client>,
    /// Lists clients that wait, the one that waits longest since its last turn first.
    ring: Vec<ClientId>,
    pieces: usize,
    pixels: u64,
    places: usize,
}

#[derive(Debug, Default)]
struct Client {
    waiting: std::collections::VecDeque<Waiter>,
    /// Microseconds that it may take before the others have theirs; negative: it took too many.
    credit: i64,
    pieces: usize,
    pixels: u64,
    places: usize,
}

#[derive(Debug)]
struct Waiter {
    price: Price,
    start: oneshot::Sender<Turn>,
}

/// Counts a request as waiting until it is left, or dropped.
#[derive(Debug)]
pub struct QueuePlace {
    turns: Turns,
    client: ClientId,
    is_left: AtomicBool,
}

/// Lets a piece of work go on until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    client: ClientId,
    price: Price,
    begun: Instant,
}

impl Turns {
    pub(super) fn new(limits: TurnLimits) -> Self {
        gauge!(names::BUDGET_LIMIT, "budget" => "picture_pixels").set(limits.pixels as f64);
        Self(Arc::new(Shared {
            limits,
            state: Mutex::default(),
            pixels: gauge!(names::BUDGET_USED, "budget" => "picture_pixels"),
        }))
    }

    /// Lets clients take turns at something that does one piece of work at a time. What waits for
    /// it is bounded elsewhere.
    pub fn one_by_one() -> Self {
        let limits = TurnLimits {
            pieces: 1,
            pieces_of_one: 1,
            pixels: 0,
            pixels_of_one: 0,
            queue: 0,
        };
        Self(Arc::new(Shared {
            limits,
            state: Mutex::default(),
            // That of the work beside the engine.
            pixels: Gauge::noop(),
        }))
    }

    /// Lets a request wait, or refuses it where the queue is full; `engines` says how many wait
    /// there. A client that has less than its share of the queue is let in all the same, so that
    /// none can fill it up for the others.
    pub(super) fn enter(
        &self,
        client: &ClientId,
        engines: QueueLength,
    ) -> Result<Arc<QueuePlace>, engine::Error> {
        let limit = self.0.limits.queue;
        let mut state = self.lock();
        let own = state.clients.get(client).map_or(0, |c| c.places);
        let waiting = state.clients.values().filter(|c| c.places > 0).count();
        // The same clients may wait here and there, so that a sum would count them twice.
        let clients = (waiting + usize::from(own == 0)).max(engines.clients);
        let is_over_its_share = own + engines.own >= limit / clients;
        if state.places + engines.all >= limit && is_over_its_share {
            return Err(engine::Error::QueueFull { limit });
        }
        state.places += 1;
        state.clients.entry(client.clone()).or_default().places += 1;
        Ok(Arc::new(QueuePlace {
            turns: self.clone(),
            client: client.clone(),
            is_left: AtomicBool::new(false),
        }))
    }

    /// Returns how many requests wait here, and how many may, here and in the engines.
    pub(super) fn queue(&self) -> (usize, usize) {
        (self.lock().places, self.0.limits.queue)
    }

    /// Runs `work` on a thread of its own when it is the client's turn.
    pub async fn run<T: Send + 'static>(
        &self,
        client: &ClientId,
        price: Price,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.turn(client, price).await?;
        let done = tokio::task::spawn_blocking(move || {
            // Held by the work, which goes on where nobody waits for it any more.
            let _turn = turn;
            work()
        });
        // A panic, of a library most likely.
        done.await.map_err(|e| Error::Fault(e.to_string()))?
    }

    /// Waits for the client's turn. Whoever stops waiting loses its place.
    async fn turn(&self, client: &ClientId, price: Price) -> Result<Turn, Error> {
        let (start, started) = oneshot::channel();
        {
            let mut state = self.lock();
            let own = state.clients.entry(client.clone()).or_default();
            let is_first = own.waiting.is_empty();
            own.waiting.push_back(Waiter { price, start });
            if is_first && !state.ring.contains(client) {
                state.ring.push(client.clone());
            }
        }
        self.start_what_fits();
        started.await.map_err(|e| Error::Fault(e.to_string()))
    }

    /// Starts the work whose turn it is.
    fn start_what_fits(&self) {
        loop {
            // The lock goes with this line: a turn that is dropped below takes it again.
            let next = self.lock().next(&self.0.limits);
            let Some((client, waiter)) = next else { break };
            let turn = Turn {
                turns: self.clone(),
                client,
                price: waiter.price,
                begun: Instant::now(),
            };
            // Dropped with the turn by whoever has stopped waiting, which must not hold the lock.
            let _ = waiter.start.send(turn);
        }
        self.0.pixels.set(self.lock().pixels as f64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Returns whether it neither waits nor works.
    fn is_gone(&self) -> bool {
        self.places == 0 && self.pieces == 0 && self.waiting.is_empty()
    }
}

impl State {
    /// Takes the next piece of work that fits beside those that go on.
    fn next(&mut self, limits: &TurnLimits) -> Option<(ClientId, Waiter)> {
        self.forget_who_left();
        if self.pieces >= limits.pieces {
            return None;
        }
        let at = self.whose_turn(limits)?;
        // All have as much more as the next one lacks: what many short rounds would come to.
        let missing = self.missing(&self.ring[at]).max(0);
        for client in &self.ring {
            if let Some(own) = self.clients.get_mut(client) {
                own.credit += missing;
            }
        }
        let client = self.ring.remove(at);
        let own = self.clients.get_mut(&client)?;
        let waiter = own.waiting.pop_front()?;
        // By its price, which is corrected by the time that it took; see `Turn`.
        own.credit -= waiter.price.micros as i64;
        own.pieces += 1;
        own.pixels += waiter.price.pixels;
        self.pieces += 1;
        self.pixels += waiter.price.pixels;
        if own.waiting.is_empty() {
            // Nothing is saved up for later.
            own.credit = own.credit.min(0);
        } else {
            self.ring.push(client.clone());
        }
        Some((client, waiter))
    }

    /// Returns the place in the ring of the client that lacks least for what it waits for.
    fn whose_turn(&self, limits: &TurnLimits) -> Option<usize> {
        let mut order: Vec<usize> = (0..self.ring.len()).collect();
        // Stable: of clients that lack as much, the one that waits longest.
        order.sort_by_key(|&at| self.missing(&self.ring[at]));
        let mut pixels_wait = false;
        for at in order {
            let own = self.clients.get(&self.ring[at])?;
            let pixels = own.waiting.front()?.price.pixels;
            if own.pieces >= limits.pieces_of_one
                || !fits(pixels, own.pixels, limits.pixels_of_one)
                || (pixels > 0 && pixels_wait)
            {
                continue;
            }
            if fits(pixels, self.pixels, limits.pixels) {
                return Some(at);
            }
            // Small pictures would else keep a large one waiting for ever.
            pixels_wait = true;
        }
        None
    }

    /// Returns the microseconds that a client lacks for the first work that it waits for.
    fn missing(&self, client: &ClientId) -> i64 {
        let own = self.clients.get(client);
        let price = own.and_then(|own| Some(own.waiting.front()?.price.micros as i64));
        price.unwrap_or(0) - own.map_or(0, |own| own.credit)
    }

    /// Drops the work of those that have stopped waiting.
    fn forget_who_left(&mut self) {
        let Self { clients, ring, .. } = self;
        ring.retain(|client| {
            let Some(own) = clients.get_mut(client) else {
                return false;
            };
            // Also amid the queue: an abandoned piece must not count as what is waited for.
            own.waiting.retain(|waiter| !waiter.start.is_closed());
            let is_waiting = !own.waiting.is_empty();
            if own.is_gone() {
                // Nobody else would: it has no place to leave, and no turn to end.
                clients.remove(client);
            }
            is_waiting
        });
    }

    /// Forgets a client that neither waits nor works.
    fn forget(&mut self, client: &ClientId) {
        if self.clients.get(client).is_some_and(Client::is_gone) {
            self.clients.remove(client);
        }
    }
}

/// Returns whether `more` fits beside what is `held`; what is too much by itself fits beside
/// nothing.
fn fits(more: u64, held: u64, limit: u64) -> bool {
    more == 0 || held == 0 || held.saturating_add(more) <= limit
}

impl QueuePlace {
    /// Counts the request as waiting no more.
    pub fn leave(&self) {
        if self.is_left.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.turns.lock();
        state.places -= 1;
        if let Some(own) = state.clients.get_mut(&self.client) {
            own.places -= 1;
        }
        state.forget(&self.client);
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut state = self.turns.lock();
            state.pieces -= 1;
            state.pixels -= self.price.pixels;
            if let Some(own) = state.clients.get_mut(&self.client) {
                own.pieces -= 1;
                own.pixels -= self.price.pixels;
                // What it took is known now.
                let took = self.begun.elapsed().as_micros() as i64;
                let settled = own.credit + self.price.micros as i64 - took;
                own.credit = settled.min(own.credit).max(-MOST_DEBT);
            }
            state.forget(&self.client);
        }
        // Behind the lock, which it takes: what this turn held may be what the next one needs.
        self.turns.start_what_fits();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::time::Duration;

    use super::*;

    const LIMITS: TurnLimits = TurnLimits {
        pieces: 1,
        pieces_of_one: 1,
        pixels: 100,
        pixels_of_one: 60,
        queue: 4,
    };

    async fn turn(turns: &Turns, who: u64, price: Price) -> Result<Turn, Error> {
        turns.turn(&ClientId::of_connection(who), price).await
    }

    /// Polls once.
    async fn is_ready(future: &mut (impl Future + Unpin)) -> bool {
        let mut poll = |context: &mut std::task::Context<'_>| {
            std::task::Poll::Ready(Pin::new(&mut *future).poll(context).is_ready())
        };
        std::future::poll_fn(|context| poll(context)).await
    }

    /// Lets `count` pieces of work of `client` wait; each says its name when it begins.
    fn wait(turns: &Turns, who: u64, count: usize, micros: u64, order: &Arc<Mutex<Vec<u64>>>) {
        for _ in 0..count {
            let (turns, order) = (turns.clone(), order.clone());
            tokio::spawn(async move {
                let price = Price { micros, pixels: 0 };
                let _turn = turn(&turns, who, price).await.unwrap();
                order.lock().unwrap().push(who);
            });
        }
    }

    #[tokio::test]
    async fn clients_take_turns_by_what_their_work_costs() {
        let turns = Turns::new(LIMITS);
        let order = Arc::default();
        let busy = turn(&turns, 9, Price::BASE).await.unwrap();
        wait(&turns, 1, 40, 1_000_000, &order);
        tokio::time::sleep(Duration::from_millis(20)).await;
        wait(&turns, 2, 8, 250_000, &order);
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(busy);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let order = order.lock().unwrap();
        assert_eq!(order.len(), 48);
        let last = order.iter().rposition(|&who| who == 2).unwrap();
        let before = order[..last].iter().filter(|&&who| who == 1).count();
        assert!(
            before <= 2,
            "eight quarters are worth two wholes: {order:?}"
        );
    }

    #[tokio::test]
    async fn nobody_fills_the_queue_for_others() {
        let turns = Turns::new(LIMITS);
        let engines = QueueLength::default();
        let places: Vec<_> = (0..4)
            .map(|_| turns.enter(&ClientId::of_connection(1), engines).unwrap())
            .collect();
        assert!(turns.enter(&ClientId::of_connection(1), engines).is_err());
        let polite = turns.enter(&ClientId::of_connection(2), engines).unwrap();
        places[0].leave();
        assert!(
            turns.enter(&ClientId::of_connection(1), engines).is_err(),
            "still over its share"
        );
        drop((places, polite));
        assert!(turns.lock().clients.is_empty(), "nobody is remembered");
    }

    #[tokio::test]
    async fn pixels_are_bounded_and_large_pictures_come_to_their_turn() {
        let limits = TurnLimits {
            pieces: 8,
            pieces_of_one: 8,
            ..LIMITS
        };
        let turns = Turns::new(limits);
        let of = |pixels| Price { micros: 1, pixels };
        let small = turn(&turns, 1, of(50)).await.unwrap();
        let mut large = Box::pin(turn(&turns, 2, of(90)));
        let mut late = Box::pin(turn(&turns, 3, of(10)));
        assert!(!is_ready(&mut large).await);
        assert!(
            !is_ready(&mut late).await,
            "it would keep the large one waiting"
        );
        drop(small);
        drop(late);
        large.await.unwrap();
        assert_eq!(turns.lock().pixels, 0);
    }

    #[test]
    fn what_takes_long_is_dear() {
        let cheap = Price::BASE.micros;
        assert_eq!(Price::of_cells(0, 450).micros, cheap);
        // Sixty-five thousand cells take more than a second.
        assert!(Price::of_cells(1 << 16, 450).micros > 1_000_000);
        assert_eq!(Price::of_operations(5_000_000).micros, cheap + 5000);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_is_passed_over() {
        let turns = Turns::new(LIMITS);
        let busy = turn(&turns, 1, Price::BASE).await.unwrap();
        let mut gone = Box::pin(turn(&turns, 2, Price::BASE));
        assert!(!is_ready(&mut gone).await);
        drop(gone);
        let mut next = Box::pin(turn(&turns, 3, Price::BASE));
        assert!(!is_ready(&mut next).await);
        drop(busy);
        next.await.unwrap();
        assert_eq!(turns.lock().pieces, 0);
        assert!(turns.lock().clients.is_empty(), "nobody is remembered");
    }
}
