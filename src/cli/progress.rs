//! Progress bars. They are drawn on a terminal only, and on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar over `count` steps, or a spinner where the number is not known. `template` is
/// indicatif's.
pub(super) fn bar(count: Option<usize>, template: &str) -> ProgressBar {
    let bar = count.map_or_else(ProgressBar::no_length, |count| {
        ProgressBar::new(count as u64)
    });
    // A template that does not parse leaves the bar its usual looks.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
