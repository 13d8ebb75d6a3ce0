//! Keeps the engine's thread alive when a forward pass panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::Error;

/// Runs `work`; a panic in it becomes an error, and the engine goes on.
pub(super) fn guarded<T, E: std::fmt::Display>(
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, Error> {
    caught(work)?.map_err(|e| Error::Fault(e.to_string()))
}

/// Returns what `work` does; a panic in it becomes an error.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    // What a panic may have left half done is dropped: the requests of the step end with an error.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Error::Fault(text.unwrap_or_else(|| "panic".into()))
    })
}
