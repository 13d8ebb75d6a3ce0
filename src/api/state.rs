//! Holds what all services share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tonic_health::server::HealthReporter;

use crate::evaluate::{JudgeClient, JudgeConfig};
use crate::pipeline::Runtime;

/// Holds what all services share.
#[derive(Debug)]
pub struct State {
    /// Runs requests.
    pub runtime: Arc<Runtime>,
    /// Says what the health service answers.
    pub health: HealthReporter,
    /// Judges answers that no rule can.
    pub(super) judge: Option<JudgeClient>,
    /// Bounds how long a client may read nothing.
    pub(super) read_timeout: Duration,
    /// Tells that the server goes down.
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
    pub fn new(runtime: Runtime, health: HealthReporter, read_timeout: Duration) -> Self {
        Self {
            runtime: Arc::new(runtime),
            health,
            judge: None,
            read_timeout,
            draining: watch::Sender::new(false),
        }
    }

    /// Lets the judge that `config` names mark answers.
    pub fn set_judge(&mut self, config: JudgeConfig) {
        self.judge = Some(JudgeClient::new(config));
    }

    /// Admits nothing from now on. What runs goes on; runs of many requests end once those on their
    /// way are done.
    pub fn drain(&self) {
        self.runtime.drain();
        self.draining.send_replace(true);
    }

    /// Waits until the server goes down.
    pub(super) async fn drained(&self) {
        // The sender lives as long as the state.
        let mut draining = self.draining.subscribe();
        let _ = draining.wait_for(|draining| *draining).await;
    }
}
