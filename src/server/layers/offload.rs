//! Moves a request to the threads of the handlers, and turns a panic there into a status.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::context;
use crate::api::Error;
use crate::pipeline;

/// Runs the handler on `workers`.
pub(super) async fn dispatch(
    State(workers): State<Handle>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = context::of(&mut request).id.clone();
    let mut handler = Handler(workers.spawn(next.run(request)));
    match (&mut handler.0).await {
        Ok(response) => response,
        Err(error) => {
            let error = pipeline::Error::Fault(error.to_string());
            Error::from(error)
                .status(&id, std::time::Duration::ZERO)
                .into_http()
        }
    }
}

/// Ends the handler where nobody waits for it any more.
struct Handler(JoinHandle<Response>);

impl Drop for Handler {
    fn drop(&mut self) {
        self.0.abort();
    }
}
