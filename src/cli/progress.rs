//! Progress of long work, on standard error: a bar on a terminal, elsewhere a line now and then.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Time before anything is said of the time that is left.
const EARLIEST: Duration = Duration::from_secs(5);
/// Part of the work that must be done before, as a share.
const LEAST_SHARE: f64 = 0.02;
/// Steps that must be done before, whatever their share: those of one batch end together, and say
/// nothing of the next one.
const LEAST_STEPS: usize = 8;
/// Time to the first line where there is no terminal; each pause is twice the one before.
const FIRST_LINE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The looks of a bar whose length is known, in indicatif's words.
const COUNTED: &str = "{spinner} {bar:30} {pos} of {len} {msg}";

/// Steps of some work that are counted.
pub(super) struct Progress {
    bar: ProgressBar,
    /// Names what is counted, in the plural.
    unit: &'static str,
    state: Mutex<State>,
}

struct State {
    start: Instant,
    all: Option<usize>,
    /// Steps that an earlier run has done, which say nothing of this one's pace.
    before: usize,
    done: usize,
    note: String,
    pauses: Pauses,
}

impl Progress {
    /// Begins work of `all` steps, where their number is known, each of them one of `unit`.
    pub(super) fn new(all: Option<usize>, unit: &'static str) -> Self {
        let progress = Self {
            bar: match all {
                Some(all) => bar(Some(all), COUNTED),
                None => bar(None, "{spinner} {pos} {msg}"),
            },
            unit,
            state: Mutex::new(State {
                start: Instant::now(),
                all,
                before: 0,
                done: 0,
                note: String::new(),
                pauses: Pauses::new(FIRST_LINE),
            }),
        };
        progress.show();
        progress
    }

    /// Counts the steps that an earlier run has done.
    pub(super) fn start_at(&self, done: usize) {
        self.update(|state| {
            state.before = done;
            state.done = done;
        });
    }

    /// Counts one step.
    pub(super) fn advance(&self) {
        self.update(|state| state.done += 1);
    }

    /// Counts `done` steps of `all`, of work that only now says how long it is.
    pub(super) fn set(&self, done: usize, all: usize) {
        self.update(|state| {
            state.done = done;
            state.all = Some(all);
        });
        self.bar.set_length(all as u64);
        // Until now it was a spinner, which has no length.
        if let Ok(style) = ProgressStyle::with_template(COUNTED) {
            self.bar.set_style(style);
        }
    }

    /// Shows a text behind the numbers.
    pub(super) fn note(&self, text: String) {
        self.update(|state| state.note = text);
    }

    /// Runs `print`, which writes to the terminal, with the bar out of its way.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        // The guard is dropped at the end of this line: `show` locks again.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.show();
    }

    fn show(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = state.start.elapsed();
        let behind = state.behind(self.unit, elapsed);
        self.bar.set_position(state.done as u64);
        if state.pauses.is_over(elapsed) && self.bar.is_hidden() {
            match state.all {
                Some(all) => eprintln!("{} of {all} {behind}", state.done),
                None => eprintln!("{} {behind}", state.done),
            }
        }
        self.bar.set_message(behind);
    }
}

impl State {
    /// Returns what stands behind the number of steps: unit, pace, time left, note.
    fn behind(&self, unit: &str, elapsed: Duration) -> String {
        let mut text = unit.to_owned();
        let own = self.done - self.before;
        if elapsed >= EARLIEST && own > 0 {
            // Below one a second the rate by the minute still has digits to show.
            let _ = match own as f64 / elapsed.as_secs_f64() {
                rate if rate < 1.0 => write!(text, ", {:.1} a minute", 60.0 * rate),
                rate => write!(text, ", {rate:.1}/s"),
            };
        }
        let open = self.all.map(|all| all.saturating_sub(self.done));
        if let Some(left) = open.and_then(|open| time_left(own, open, elapsed)) {
            let _ = write!(text, ", about {} left", HumanDuration(left));
        }
        if !self.note.is_empty() {
            let _ = write!(text, ", {}", self.note);
        }
        text
    }
}

/// Forecasts the time that `open` steps take after `done` took `elapsed`; nothing is said before
/// enough is done to go by.
fn time_left(done: usize, open: usize, elapsed: Duration) -> Option<Duration> {
    let share = done as f64 / (done + open).max(1) as f64;
    if open == 0 || elapsed < EARLIEST || done < LEAST_STEPS || share < LEAST_SHARE {
        return None;
    }
    let seconds = elapsed.as_secs_f64() * open as f64 / done as f64;
    Some(Duration::from_secs_f64(seconds))
}

/// Pauses between lines, each twice as long as the one before.
struct Pauses {
    next: Duration,
    pause: Duration,
}

impl Pauses {
    fn new(first: Duration) -> Self {
        Self {
            next: first,
            pause: first,
        }
    }

    /// Tells whether a line is due, and if so begins the next pause.
    fn is_over(&mut self, elapsed: Duration) -> bool {
        let over = elapsed >= self.next;
        if over {
            self.pause = (2 * self.pause).min(LONGEST_PAUSE);
            self.next = elapsed + self.pause;
        }
        over
    }
}

/// Shows files as they are fetched.
pub(super) struct FetchProgress {
    bar: ProgressBar,
    start: Instant,
    pauses: Pauses,
}

impl FetchProgress {
    pub(super) fn new() -> Self {
        Self {
            bar: bar(None, "{msg} {bar:40} {bytes}/{total_bytes}"),
            start: Instant::now(),
            pauses: Pauses::new(FIRST_LINE),
        }
    }

    /// Shows that `done` of the `all` bytes of `file` have come.
    pub(super) fn show(&mut self, file: &str, done: u64, all: u64) {
        self.bar.set_message(file.to_owned());
        self.bar.set_length(all);
        self.bar.set_position(done);
        if self.pauses.is_over(self.start.elapsed()) && self.bar.is_hidden() {
            eprintln!("{file}: {} of {} MB", done / 1_000_000, all / 1_000_000);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Returns a bar over `count` steps, or a spinner where the number is not known. `template` is
/// indicatif's.
fn bar(count: Option<usize>, template: &str) -> ProgressBar {
    // indicatif would ask the terminal as well, but a bar is hidden only once it was drawn.
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = count.map_or_else(ProgressBar::no_length, |count| {
        ProgressBar::new(count as u64)
    });
    // A template that does not parse leaves the bar its usual looks.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn nothing_is_said_of_the_time_left_before_enough_is_done() {
        // The first answer of 5,000, after a cold start: once this read as days.
        assert_eq!(time_left(1, 4999, seconds(60)), None);
        assert_eq!(time_left(50, 4950, seconds(1)), None);
        assert_eq!(time_left(99, 9901, seconds(60)), None);
        assert_eq!(time_left(100, 4900, seconds(10)), Some(seconds(490)));
        assert_eq!(time_left(10, 0, seconds(10)), None);
    }

    #[test]
    fn what_an_earlier_run_has_done_is_not_this_pace() {
        let progress = Progress::new(Some(200), "answers");
        progress.start_at(100);
        (0..10).for_each(|_| progress.advance());
        progress.note("accuracy: 50.0".into());
        let state = progress.state.lock().unwrap();
        assert_eq!(
            state.behind("answers", seconds(10)),
            "answers, 1.0/s, about 2 minutes left, accuracy: 50.0"
        );
        assert_eq!(
            state.behind("answers", seconds(1)),
            "answers, accuracy: 50.0"
        );
    }

    #[test]
    fn lines_come_ever_more_seldom() {
        let mut pauses = Pauses::new(seconds(10));
        let due = (0..1000).filter(|&at| pauses.is_over(seconds(at)));
        assert_eq!(due.collect::<Vec<_>>(), [10, 30, 70, 150, 310, 610, 910]);
    }
}
