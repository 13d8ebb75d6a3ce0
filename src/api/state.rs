//! Holds what all services share.

use std::sync::Arc;
use std::time::Duration;

use tonic_health::server::HealthReporter;

use super::loaded::Loaded;
use crate::evaluate::Judge;
use crate::pipeline::{InFlight, Phase, Runtime};

/// Tells clients of a server that goes down to come back after this long: about what the next one
/// takes to listen.
pub const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Holds what all services share.
#[derive(Debug)]
pub struct State {
    /// Runs requests.
    pub runtime: Arc<Runtime>,
    /// Says what the health service answers.
    pub health: HealthReporter,
    /// Judges answers that no rule can.
    pub(super) judge: Option<Judge>,
    /// Bounds how long a client may read nothing.
    pub(super) read_timeout: Duration,
    /// Counts requests, and tells that the server goes down.
    in_flight: InFlight,
    /// Lists what clients have loaded.
    pub(super) loaded: Loaded,
}

// What services ask of the state is mostly what requests run on.
impl std::ops::Deref for State {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        &self.runtime
    }
}

impl State {
    /// Creates the state of a server whose models are loaded and whose requests `in_flight` counts.
    pub fn new(
        runtime: Runtime,
        health: HealthReporter,
        read_timeout: Duration,
        in_flight: InFlight,
    ) -> Self {
        Self {
            runtime: Arc::new(runtime),
            health,
            judge: None,
            read_timeout,
            in_flight,
            loaded: Loaded::default(),
        }
    }

    /// Lets a judge mark answers.
    pub fn set_judge(&mut self, judge: Judge) {
        self.judge = Some(judge);
    }

    /// Returns how long a refused caller should wait.
    pub fn retry_after(&self) -> Duration {
        // A queue that only gets shorter says nothing of when the next server takes requests.
        if self.in_flight.phase() == Phase::Serving {
            self.runtime.retry_after()
        } else {
            RESTART_DELAY
        }
    }

    /// Waits until the server goes down.
    pub(super) async fn drained(&self) {
        self.in_flight.reached(Phase::Draining).await;
    }
}
