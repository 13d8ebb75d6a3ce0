//! Signals to a server: SIGTERM and SIGINT end it in order, a second one at once; SIGHUP has it read
//! its files again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::Failure;

/// SIGTERM and SIGINT.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// Waits for the next one and returns the exit status of a program that it ends.
    async fn next(&mut self) -> i32 {
        let signal = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        // As shells report it.
        128 + signal.as_raw_value()
    }
}

/// Returns a future that ends with the first SIGTERM or SIGINT. A second one ends the program, with
/// 143 or 130, whatever runs.
pub(super) fn shutdown() -> Result<impl Future<Output = ()> + Send, Failure> {
    // From here on neither signal ends the process by itself, though nobody waits yet.
    let mut ends = Ends {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    Ok(async move {
        ends.next().await;
        // On a task of its own: the server drains meanwhile.
        tokio::spawn(async move {
            let status = ends.next().await;
            tracing::warn!(status, "a second signal: what runs is cut off");
            std::process::exit(status);
        });
    })
}

/// Calls `reload` with each SIGHUP, for as long as it is polled.
pub(super) fn on_hangup(
    reload: impl Fn() + Send + 'static,
) -> Result<impl Future<Output = ()> + Send, Failure> {
    let mut hangups = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            reload();
        }
    })
}
