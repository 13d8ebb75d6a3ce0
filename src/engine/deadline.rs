//! The time when the engine gives a request up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A time to end at, or none; clones share it.
///
/// A run that several calls read ends with the last of them, so the time can be moved while the
/// engine has the request.
#[derive(Debug, Clone, Default)]
pub struct Deadline(Arc<Mutex<Option<Instant>>>);

impl Deadline {
    /// Creates a deadline at `time`, shared with nobody yet.
    pub fn at(time: Instant) -> Self {
        Self(Arc::new(Mutex::new(Some(time))))
    }

    /// Returns the time; `None` where the request may take as long as it likes.
    pub fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the time to `later`, unless it is as late already; `None` is later than any time.
    pub fn extend(&self, later: Option<Instant>) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *time = time.zip(later).map(|(own, later)| own.max(later));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_moves_to_later_times_alone() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let deadline = Deadline::at(at(2));
        let shared = deadline.clone();
        deadline.extend(Some(at(1)));
        assert_eq!(shared.get(), Some(at(2)));
        deadline.extend(Some(at(3)));
        assert_eq!(shared.get(), Some(at(3)));
        deadline.extend(None);
        assert_eq!(shared.get(), None);
        deadline.extend(Some(at(4)));
        assert_eq!(shared.get(), None, "whoever has no deadline keeps it");
    }
}
