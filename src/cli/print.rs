//! Printing that never panics. A reader that goes away, such as `head`, must not cost the files that
//! a command still writes: what is left is thrown away, and the exit status says it at the end.
//!
//! The macros have the names of std's, so that no command can use those by mistake.

use std::fmt::Arguments;
use std::io::{Error, Write as _};
use std::sync::{Mutex, PoisonError};

/// The first error of standard output.
static FAILED: Mutex<Option<Error>> = Mutex::new(None);

macro_rules! print {
    ($($words:tt)*) => { $crate::cli::print::to_stdout(format_args!($($words)*), "") };
}
macro_rules! println {
    () => { println!("") };
    ($($words:tt)*) => { $crate::cli::print::to_stdout(format_args!($($words)*), "\n") };
}
macro_rules! eprintln {
    ($($words:tt)*) => { $crate::cli::print::to_stderr(format_args!($($words)*)) };
}

/// Prints on standard output, unless that has failed before.
pub(super) fn to_stdout(words: Arguments<'_>, end: &str) {
    // A thread that panicked while it printed has left a whole value here.
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        let mut out = std::io::stdout();
        // Words and end under one lock, so that lines of several tasks do not mix. Flushed, since
        // standard output keeps a line until its end, and an answer is one line.
        let printed = write!(out, "{words}{end}").and_then(|()| out.flush());
        *failed = printed.err();
    }
}

/// Prints a line on standard error, which has nowhere to report a failure of its own.
pub(super) fn to_stderr(words: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Fails with the error that standard output has met, if any.
pub(super) fn printed() -> Result<(), Error> {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    failed.take().map_or(Ok(()), Err)
}
