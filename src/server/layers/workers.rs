//! Moves requests to threads of the handlers: what those do with texts, pictures and records takes
//! time, and on the threads of the connections health checks would wait for it.

use std::io;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use super::arrival;
use crate::api::Error;
use crate::pipeline;

/// Ends a thread for what blocks that has had nothing to do for so long. The calls of a quiet
/// server keep all threads that a burst has left awake for tokio's ten seconds, and each keeps some
/// MiB of what it has used.
const IDLE: Duration = Duration::from_secs(1);

/// Owns the threads.
#[derive(Debug)]
pub(in crate::server) struct Workers(Option<Runtime>);

impl Workers {
    /// Starts the threads.
    pub(in crate::server) fn start() -> io::Result<Self> {
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
    pub(in crate::server) fn handle(&self) -> Handle {
        match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            // Taken by `drop` alone, behind which nobody asks.
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

/// Runs the handler on `workers`, and turns a panic there into a status.
pub(super) async fn dispatch(
    State(workers): State<Handle>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = arrival::context(&mut request).id.clone();
    let mut handler = Handler(workers.spawn(next.run(request)));
    match (&mut handler.0).await {
        Ok(response) => response,
        Err(error) => {
            let error = pipeline::Error::Fault(error.to_string());
            let status = Error::from(error).status(&id, Duration::ZERO);
            status.into_http()
        }
    }
}

/// Ends the handler where nobody waits for it any more.
struct Handler(JoinHandle<Response>);

impl Drop for Handler {
    fn drop(&mut self) {
        // A task that is let go runs on; what a client has left must not.
        self.0.abort();
    }
}
