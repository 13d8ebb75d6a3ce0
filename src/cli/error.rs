//! Failures of commands, and the exit status of each.

use std::process::ExitCode;

/// The exit status of a wrong call, which is clap's too.
const WRONG_USAGE: u8 = 2;

/// Anything that ends a command.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A call that cannot be carried out the way it was written, found out before anything was begun.
/// Files that are not there, servers and answers are no part of the call: their errors are of the
/// other kind.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Tells whether what was printed went to a program that has ended.
pub(super) fn is_closed_pipe(failure: &Failure) -> bool {
    // Only the error itself, which is standard output's: that of a file is a text with its name.
    let error = failure.downcast_ref::<std::io::Error>();
    error.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Returns the exit status that `failure` ends the program with.
pub(super) fn exit_code(failure: &Failure) -> ExitCode {
    if failure.is::<Usage>() {
        ExitCode::from(WRONG_USAGE)
    } else {
        ExitCode::FAILURE
    }
}
