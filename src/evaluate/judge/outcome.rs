//! Counts what a judge was asked.

use metrics::counter;

use crate::telemetry::names;

/// Counts a question that was asked.
pub(super) fn count<T, E>(outcome: &Result<T, E>) {
    let label = if outcome.is_ok() { "ok" } else { "failed" };
    counter!(names::JUDGE_REQUESTS, "outcome" => label).increment(1);
}
