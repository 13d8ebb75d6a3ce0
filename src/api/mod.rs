//! The contract: validates, converts, serves, and maps errors to statuses. The only folder but
//! `server` that knows prost and tonic.
//!
//! A request lives so: [`inference`] takes it, `convert` makes a request of the pipeline of it, and
//! what the pipeline says is turned into messages until the stream ends.

mod convert;
mod error;
pub mod evaluate;
pub mod inference;
mod judge;
pub mod models;
mod parity;
mod residency;
mod rpc;
mod sample;
mod status;

use std::sync::Arc;

use tokio::sync::watch;
use tonic_health::server::HealthReporter;

pub use convert::interventions_from_json;
pub use error::Error;
pub use judge::Judging;
pub use sample::sample;

pub use scotoma_proto::v1;

use crate::pipeline::Runtime;
use judge::Judge;

/// What all services share.
#[derive(Debug)]
pub struct State {
    /// Runs requests.
    pub runtime: Arc<Runtime>,
    /// What the health service says.
    pub health: HealthReporter,
    /// Judges answers that no rule can.
    judge: Option<Judge>,
    /// Whether the server goes down.
    draining: watch::Sender<bool>,
}

// What services ask of the state is mostly what requests run on.
impl std::ops::Deref for State {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        &self.runtime
    }
}

impl State {
    /// Creates the state of a server whose models are loaded.
    pub fn new(runtime: Runtime, health: HealthReporter) -> Self {
        Self {
            runtime: Arc::new(runtime),
            health,
            judge: None,
            draining: watch::Sender::new(false),
        }
    }

    /// Lets `judging` judge.
    pub fn judge_by(&mut self, judging: Judging) {
        self.judge = Some(Judge::new(judging));
    }

    /// Admits nothing from now on; what runs goes on, and runs of many requests end once those on
    /// their way are done.
    pub fn drain(&self) {
        self.runtime.drain();
        self.draining.send_replace(true);
    }

    /// Waits until the server goes down.
    async fn drained(&self) {
        // The sender lives as long as the state.
        let _ = self
            .draining
            .subscribe()
            .wait_for(|draining| *draining)
            .await;
    }
}
