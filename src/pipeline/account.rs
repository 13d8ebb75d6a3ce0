//! Accounts: what the holder of an API key may do, and how much of its minute is used.
//!
//! A request carries its account in its context; without keys it has none, and nothing here bounds
//! it. Keys themselves, their hashes and their file are the server's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::error::Error;
use super::patterns::Patterns;

/// Says what the holder of a key may do. What is unset is not bounded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grant {
    /// Lets it load, unload and check models.
    pub admin: bool,
    /// Ends the key.
    pub expires: Option<Timestamp>,
    /// Bounds the bytes of activations that are kept for it.
    pub kept_bytes: Option<u64>,
    /// Bounds the bytes of pictures that are kept for it.
    pub upload_bytes: Option<u64>,
    /// Bounds the requests of a minute.
    pub requests_per_minute: Option<u64>,
    /// Bounds the (row, layer) pairs of a minute, as the engine prices them before they run.
    pub rows_per_minute: Option<u64>,
    /// Ends a request that runs longer.
    pub max_run: Option<Duration>,
    /// Names the models that it may ask.
    pub models: Option<Patterns>,
    /// Names the models that it may load and unload.
    pub loads: Option<Patterns>,
}

/// Holds what a key may do beside what it has used.
#[derive(Debug, Clone)]
pub struct Account {
    /// Names the key.
    pub name: Arc<str>,
    /// Says what it may do.
    pub grant: Grant,
    used: Arc<Used>,
}

/// Counts what a key has used; outlives a reload of the keys.
#[derive(Debug, Default)]
struct Used {
    requests: Mutex<Bucket>,
    rows: Mutex<Bucket>,
}

impl Account {
    /// Opens an account that has used nothing.
    pub fn new(name: Arc<str>, grant: Grant) -> Self {
        Self {
            name,
            grant,
            used: Arc::default(),
        }
    }

    /// Goes on from what `earlier` has used: a minute does not begin anew where keys are reloaded.
    pub fn continue_from(&mut self, earlier: &Self) {
        self.used = earlier.used.clone();
    }

    /// Counts a request, or says when there is room for it.
    pub fn count_request(&self) -> Result<(), Error> {
        let limit = self.grant.requests_per_minute;
        take(&self.used.requests, limit, 1, "requests")
    }

    /// Counts `rows` (row, layer) pairs that are about to run, or says when there is room for them.
    pub fn charge_rows(&self, rows: u64) -> Result<(), Error> {
        take(&self.used.rows, self.grant.rows_per_minute, rows, "rows")
    }

    /// Corrects what was counted of a request, once it is known what it took: `rows` more, or less.
    pub fn settle_rows(&self, rows: i64) {
        if let Some(limit) = self.grant.rows_per_minute {
            lock(&self.used.rows).settle(rows, limit, Instant::now());
        }
    }

    /// Fails where the key is not for `model`, whether or not there is such a model.
    pub fn check_model(&self, model: &str) -> Result<(), Error> {
        match &self.grant.models {
            // By its name alone, before anybody looks whether it is there.
            Some(models) if !models.contains(model) => Err(Error::ModelNotAllowed {
                field: "model".into(),
                name: model.to_owned(),
                allowed: models.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns whether the key may ask `model`.
    pub fn may_ask(&self, model: &str) -> bool {
        self.check_model(model).is_ok()
    }

    /// Returns whether the key may load and unload a model of that name.
    pub fn may_load(&self, model: &str) -> bool {
        let loads = self.grant.loads.as_ref();
        self.grant.admin && loads.is_none_or(|loads| loads.contains(model))
    }
}

fn lock(bucket: &Mutex<Bucket>) -> std::sync::MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes `amount` out of what a minute has left.
fn take(
    bucket: &Mutex<Bucket>,
    limit: Option<u64>,
    amount: u64,
    of: &'static str,
) -> Result<(), Error> {
    let Some(limit) = limit else { return Ok(()) };
    let taken = lock(bucket).take(amount, limit, Instant::now());
    taken.map_err(|retry_after| Error::Quota {
        of,
        limit,
        retry_after,
    })
}

/// Counts what is used of a minute: it fills up all the time, and holds one minute's quota.
#[derive(Debug, Default)]
struct Bucket {
    /// Counts what was used and has not come back yet; more than a minute's quota after one request
    /// that exceeded it alone.
    used: f64,
    /// The time at which that was so; `None`: nothing was used yet.
    at: Option<Instant>,
}

impl Bucket {
    /// Takes `amount` of `limit` a minute, or says how long it takes until that is there.
    ///
    /// A request that exceeds the quota alone runs when nothing is used, and those after it wait
    /// until it is paid: else it would never run.
    fn take(&mut self, amount: u64, limit: u64, now: Instant) -> Result<(), Duration> {
        self.refill(limit, now);
        let room = limit as f64 - self.used;
        // A request beyond the quota waits for a whole minute's worth and no more.
        let needed = amount.min(limit) as f64;
        // Floating point may lack a last bit of what has come back.
        if needed > room + 1e-6 {
            let seconds = (needed - room) * 60.0 / limit as f64;
            // An hour at most: after a request far beyond the quota the wait would be days.
            return Err(Duration::from_secs_f64(seconds.min(3600.0)));
        }
        self.used += amount as f64;
        Ok(())
    }

    fn settle(&mut self, amount: i64, limit: u64, now: Instant) {
        self.refill(limit, now);
        // Time may have given back already what was charged too much.
        self.used = (self.used + amount as f64).max(0.0);
    }

    fn refill(&mut self, limit: u64, now: Instant) {
        let since = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.used = (self.used - since.as_secs_f64() * limit as f64 / 60.0).max(0.0);
        self.at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_quota_and_says_when_it_is_free_again() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for _ in 0..60 {
            bucket.take(1, 60, start).unwrap();
        }
        let wait = bucket.take(1, 60, start).unwrap_err();
        assert!((wait.as_secs_f64() - 1.0).abs() < 1e-3, "{wait:?}");
        bucket.take(1, 60, start + wait).unwrap();
        assert!(bucket.take(2, 60, start + wait).is_err());
        bucket
            .take(60, 60, start + Duration::from_secs(90))
            .unwrap();
    }

    #[test]
    fn what_exceeds_the_quota_alone_runs_and_is_paid() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        bucket.take(600, 60, start).unwrap();
        let wait = bucket.take(1, 60, start).unwrap_err();
        assert!((wait.as_secs_f64() - 541.0).abs() < 1e-3, "{wait:?}");
        // What it did not take after all comes back.
        bucket.settle(-600, 60, start);
        bucket.take(60, 60, start).unwrap();
    }
}
