//! Threads of their own for the handlers of requests: what they do with texts, pictures and records
//! takes time, and on the threads of the connections health checks would wait for it.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Ends a thread for what blocks that has had nothing to do for so long. The calls of a quiet
/// server keep all threads that a burst has left awake for tokio's ten seconds, and each keeps some
/// MiB of what it has used.
const IDLE: Duration = Duration::from_secs(1);

/// Owns the threads.
#[derive(Debug)]
pub(super) struct Workers(Option<Runtime>);

impl Workers {
    /// Starts the threads.
    pub(super) fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = Builder::new_multi_thread()
            // More than cores: a handler that computes leaves a thread to one that waits.
            .worker_threads(2 * cores)
            .thread_name("handlers")
            .thread_keep_alive(IDLE)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Returns what starts work there.
    pub(super) fn handle(&self) -> Handle {
        match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            None => Handle::current(),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Dropped where a runtime must not wait for another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
