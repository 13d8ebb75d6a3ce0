//! Loads: work on the engine's thread that lasts longer than a step, done in pieces.

use std::sync::mpsc::Sender;

use super::error::Error;
use super::guard::caught;
use super::owned::Owned;
use crate::model::{self, LoadTo};

/// The work, given what the thread owns and what lets a step of requests run; returns its error.
type Work = Box<dyn FnOnce(&Owned, &dyn Fn()) -> Option<Error> + Send>;

/// A load that waits for its turn.
pub(super) struct Load(Work);

/// A report of a load to the thread that waits for it.
pub(super) enum LoadReport<T> {
    /// Bytes loaded, and bytes in all.
    Progress(u64, u64),
    /// The end.
    Done(Result<Result<T, model::Error>, Error>),
}

impl Load {
    /// Prepares `work`, whose reports go to `reports`.
    pub(super) fn new<T: Send + 'static>(
        work: impl FnOnce(&LoadTo<'_>) -> Result<T, model::Error> + Send + 'static,
        reports: Sender<LoadReport<T>>,
    ) -> Self {
        Self(Box::new(move |owned, pause| {
            let to = LoadTo {
                devices: owned.devices(),
                home: owned.home(),
                progress: &|done, total| {
                    // Whoever waits may have gone; the load ends all the same.
                    let _ = reports.send(LoadReport::Progress(done, total));
                    pause();
                },
            };
            // A panic of a loader ends this load alone, and whoever waits hears why.
            let result = caught(|| work(&to));
            let failed = match &result {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(Error::Fault(error.to_string())),
                Err(error) => Some(error.clone()),
            };
            let _ = reports.send(LoadReport::Done(result));
            failed
        }))
    }

    /// Does it; `pause` is called whenever a piece is done. Returns the error that it ended with.
    pub(super) fn run(self, owned: &Owned, pause: &dyn Fn()) -> Option<Error> {
        (self.0)(owned, pause)
    }
}
