//! The runs that are remembered, and the memory that their answers may take.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http_body::Frame;
use metrics::gauge;

use super::run::{Kept, Name, Reader, Run};
use crate::api::Error;
use crate::pipeline::RequestContext;
use crate::server::ApiKeys;
use crate::telemetry::names;

/// Keeps what has ended well for so long.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// Bounds the runs that are remembered, however small.
const MAX_RUNS: usize = 1 << 14;
/// Counts trailers as so many bytes.
const TRAILERS: usize = 256;

/// Holds the runs of a server.
#[derive(Debug, Clone)]
pub(in crate::server) struct Replays(Arc<Table>);

#[derive(Debug)]
struct Table {
    /// Bytes of all answers that are kept; each key has an equal part.
    max_bytes: u64,
    message_bytes: usize,
    keys: ApiKeys,
    runs: Mutex<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    by_name: HashMap<Name, Arc<Run>>,
    /// Runs that have ended, the first in front.
    ended: VecDeque<(Instant, Arc<Run>)>,
    /// The same by who asked.
    ended_of: HashMap<Arc<str>, Ended>,
    /// Bytes that are kept, by who asks.
    bytes: HashMap<Arc<str>, u64>,
}

/// Runs of one caller that have ended.
#[derive(Debug, Default)]
struct Ended {
    count: usize,
    /// Lists those whose answer is kept, the first in front.
    kept: VecDeque<Arc<Run>>,
}

impl Replays {
    /// Creates a table that keeps answers of `max_bytes`, none where that is 0.
    pub(in crate::server) fn new(max_bytes: u64, message_bytes: usize, keys: ApiKeys) -> Self {
        Self(Arc::new(Table {
            max_bytes,
            message_bytes,
            keys,
            runs: Mutex::default(),
        }))
    }

    /// Returns a reader of the run of that name, and the run where it is new and to be carried out.
    /// Fails where the name is that of another request, or the run's answer is not there any more.
    pub(super) fn join(
        &self,
        name: Name,
        digest: blake3::Hash,
        context: &RequestContext,
    ) -> Result<(Reader, Option<Arc<Run>>), Error> {
        // Readers are added under it: what is read is neither given up nor cut for others.
        let mut runs = self.lock();
        runs.forget_old();
        if let Some(run) = runs.by_name.get(&name) {
            if run.digest != digest {
                return Err(Error::IdempotencyMismatch);
            }
            let reader = Reader::join(run).ok_or(Error::NotReplayable)?;
            // It ends with the last of its calls, not with the first.
            run.extend(context);
            return Ok((reader, None));
        }
        // Without keys anybody may call themselves any tenant: all are one.
        let owner = if self.0.keys.is_empty() {
            Arc::default()
        } else {
            name.0.clone()
        };
        let run = Arc::new(Run::new(name.clone(), owner, digest, context));
        let reader = Reader::join(&run).ok_or(Error::NotReplayable)?;
        runs.by_name.insert(name, run.clone());
        Ok((reader, Some(run)))
    }

    /// Adds to the answer of a run. What is too much to be kept goes to those who read now.
    pub(super) fn push(&self, run: &Run, frame: Frame<Bytes>) {
        // An answer of a thousand tokens has as many frames of some thirty bytes: their list is
        // larger than they are.
        let held = frame.data_ref().map_or(TRAILERS, Bytes::len) + size_of::<(Kept, u64)>();
        let size = held as u64;
        // One lock at a time: others take the table's first.
        let is_cut = run.lock().is_cut;
        if !is_cut && !self.lock().reserve(run, size, self.share()) {
            self.lock().release(run);
            let mut state = run.lock();
            state.is_cut = true;
            state.settle();
        }
        let mut state = run.lock();
        state.frames.push_back((Kept::from(frame), size));
        state.unread += size;
        // `release` gives back what is counted here; of a run that is cut nothing was taken.
        if !state.is_cut {
            state.bytes += size;
        }
        drop(state);
        run.wake();
    }

    /// Forgets a run that nobody reads, so that no call joins it any more. Returns false where one
    /// has joined in the meantime.
    pub(super) fn give_up(&self, run: &Arc<Run>) -> bool {
        let mut runs = self.lock();
        let is_read = !run.lock().readers.is_empty();
        if !is_read {
            runs.remove(run);
        }
        !is_read
    }

    /// Ends a run; `is_good` is `None` where its answer has no end. One that has not ended well is
    /// forgotten: whoever asks again gets a new one.
    pub(super) fn finish(&self, run: &Arc<Run>, is_good: Option<bool>) {
        let mut state = run.lock();
        if is_good.is_none() {
            state.close(&run.broken_off());
        }
        state.is_done = true;
        state.trim();
        drop(state);
        let mut runs = self.lock();
        if is_good == Some(true) {
            runs.ended.push_back((Instant::now(), run.clone()));
            let own = runs.ended_of.entry(run.owner.clone()).or_default();
            own.count += 1;
            own.kept.push_back(run.clone());
        } else {
            // Both, so that the next call under this name runs anew.
            runs.release(run);
            runs.remove(run);
        }
        drop(runs);
        run.wake();
    }

    /// Returns the bytes that one key may keep.
    fn share(&self) -> u64 {
        self.0.max_bytes / self.0.keys.len().max(1) as u64
    }

    /// Tells whether any answer is kept.
    pub(super) fn keeps_any(&self) -> bool {
        self.0.max_bytes > 0
    }

    /// Returns the most bytes of a message.
    pub(super) fn message_bytes(&self) -> usize {
        self.0.message_bytes
    }

    /// Sets the metrics of the bytes that are kept.
    pub(in crate::server) fn report(&self) {
        let used: u64 = self.lock().bytes.values().sum();
        gauge!(names::BUDGET_USED, "budget" => "replays").set(used as f64);
        gauge!(names::BUDGET_LIMIT, "budget" => "replays").set(self.0.max_bytes as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    /// Takes `size` bytes for a run; the oldest answers of the same caller make room.
    fn reserve(&mut self, run: &Run, size: u64, share: u64) -> bool {
        let owner = &run.owner;
        while self.bytes.get(owner).copied().unwrap_or(0) + size > share {
            let own = self.ended_of.get_mut(owner);
            let Some(ended) = own.and_then(|own| own.kept.pop_front()) else {
                return false;
            };
            self.release(&ended);
            let mut state = ended.lock();
            // Its name stays, so that whoever asks again is told and nothing runs twice.
            state.is_cut = true;
            state.trim();
        }
        *self.bytes.entry(owner.clone()).or_default() += size;
        true
    }

    /// Gives the bytes of a run back.
    fn release(&mut self, run: &Run) {
        let bytes = std::mem::take(&mut run.lock().bytes);
        if let Some(all) = self.bytes.get_mut(&run.owner) {
            *all = all.saturating_sub(bytes);
            if *all == 0 {
                self.bytes.remove(&run.owner);
            }
        }
    }

    /// Forgets a run by its name, under which there may be another one by now.
    fn remove(&mut self, run: &Arc<Run>) {
        let own = self.by_name.get(&run.name);
        if own.is_some_and(|own| Arc::ptr_eq(own, run)) {
            self.by_name.remove(&run.name);
        }
    }

    /// Forgets what has ended long ago, and where there are too many, the first of whoever has the
    /// most: none makes others be carried out twice.
    fn forget_old(&mut self) {
        while let Some((at, _)) = self.ended.front() {
            if at.elapsed() >= KEPT_FOR {
                self.forget(0);
            } else if self.ended.len() >= MAX_RUNS {
                let most = self.ended_of.iter().max_by_key(|(_, own)| own.count);
                let most = most.map(|(owner, _)| owner);
                let mut ended = self.ended.iter();
                let first = ended.position(|(_, run)| most == Some(&run.owner));
                self.forget(first.unwrap_or_default());
            } else {
                return;
            }
        }
    }

    fn forget(&mut self, at: usize) {
        let Some((_, run)) = self.ended.remove(at) else {
            return;
        };
        self.release(&run);
        self.by_name.remove(&run.name);
        if let Some(own) = self.ended_of.get_mut(&run.owner) {
            own.count -= 1;
            if own.count == 0 {
                self.ended_of.remove(&run.owner);
            // `reserve` may have taken it from `kept` before, to make room.
            } else if own.kept.front().is_some_and(|kept| Arc::ptr_eq(kept, &run)) {
                own.kept.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    /// Has a call of `owner` carried out, unless it is known; returns whether it was.
    fn end(replays: &Replays, owner: &str, call: usize) -> bool {
        let digest = blake3::hash(b"the same");
        let name = (owner.into(), call.to_string());
        let (_, run) = replays
            .join(name, digest, &RequestContext::default())
            .unwrap();
        if let Some(run) = &run {
            replays.push(run, Frame::data(Bytes::from_static(&[0; 100])));
            replays.finish(run, Some(true));
        }
        run.is_some()
    }

    fn held(replays: &Replays) -> u64 {
        replays.lock().bytes.values().sum()
    }

    #[test]
    fn who_asks_much_makes_nobody_elses_be_forgotten() {
        let line = |name, key: &str| ApiKeys::line(name, &key.repeat(32)).unwrap();
        let keys = [line("polite", "1"), line("greedy", "2")].join("\n");
        let replays = Replays::new(1 << 20, 1 << 20, ApiKeys::parse(&keys).unwrap());
        assert!(end(&replays, "polite", 0));
        for call in 0..2 * MAX_RUNS {
            assert!(end(&replays, "greedy", call));
        }
        assert!(!end(&replays, "polite", 0), "it is still known");
        assert!(!end(&replays, "greedy", 2 * MAX_RUNS - 1));
        assert!(end(&replays, "greedy", 0), "the first is forgotten");
        assert!(held(&replays) <= 1 << 20);
        let runs = replays.lock();
        assert!(runs.ended.len() <= MAX_RUNS);
        let counted: usize = runs.ended_of.values().map(|own| own.count).sum();
        assert_eq!(counted, runs.ended.len());
    }

    #[test]
    fn a_run_is_given_up_where_nobody_reads_it() {
        let replays = Replays::new(1 << 20, 1 << 20, ApiKeys::default());
        let join = || {
            let name = (Arc::default(), "a".to_owned());
            let digest = blake3::hash(b"the same");
            replays.join(name, digest, &RequestContext::default())
        };
        let (first, run) = join().unwrap();
        let run = run.unwrap();
        drop(first);
        let (joined, again) = join().unwrap();
        assert!(again.is_none() && !replays.give_up(&run), "one has joined");
        drop(joined);
        assert!(replays.give_up(&run));
        let (_reader, anew) = join().unwrap();
        let anew = anew.expect("the next call runs anew");
        // The end of the first is not that of the second.
        replays.finish(&run, None);
        assert!(join().unwrap().1.is_none());
        // An answer that breaks off has an end.
        anew.lock().head = Some(HeaderMap::new());
        replays.finish(&anew, None);
        let last = anew.lock().frames.pop_back();
        assert!(matches!(last, Some((Kept::Trailers(_), _))));
    }

    #[test]
    fn an_answer_that_is_not_kept_takes_nothing() {
        let replays = Replays::new(1 << 16, 1 << 20, ApiKeys::default());
        for call in 0..100 {
            let name = (Arc::default(), call.to_string());
            let digest = blake3::hash(b"the same");
            let (reader, run) = replays
                .join(name, digest, &RequestContext::default())
                .unwrap();
            let run = run.unwrap();
            for _ in 0..200 {
                replays.push(&run, Frame::data(Bytes::from_static(&[0; 8])));
            }
            replays.finish(&run, Some(true));
            drop(reader);
        }
        let runs = replays.lock();
        let held = |run: &Arc<Run>| run.lock().frames.capacity() * size_of::<(Kept, u64)>();
        let held: usize = runs.by_name.values().map(held).sum();
        assert!(held <= 1 << 17, "lists of {held} bytes");
    }

    #[test]
    fn without_keys_all_names_have_one_part() {
        let replays = Replays::new(1 << 16, 1 << 20, ApiKeys::default());
        for call in 0..2000 {
            assert!(end(&replays, &format!("tenant-{call}"), call));
        }
        assert!(held(&replays) <= 1 << 16);
    }
}
