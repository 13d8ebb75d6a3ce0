//! The median of warm runs.

/// Returns the median of all times but the first.
pub(super) fn warm_median(mut times: Vec<f64>) -> f64 {
    // The first is cold. One is left: callers time once more than they repeat, at least once.
    times.remove(0);
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
