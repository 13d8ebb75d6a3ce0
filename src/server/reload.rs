//! Replaces what a running server knows: keys, certificates, the drain timeout.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;

use super::{ApiKeys, Live, ServerConfig, Tls};
use crate::pipeline::Runtime;
use crate::telemetry::names;

/// Replaces parts of a running server. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Reload {
    pub(super) keys: ApiKeys,
    /// Is `None` where the server was started without encryption, which stays so.
    pub(super) tls: Option<Live<Tls>>,
    pub(super) drain_timeout: Live<Duration>,
    runtime: Arc<Runtime>,
}

impl Reload {
    /// Takes what can be replaced from the configuration of the start.
    pub(super) fn new(config: &ServerConfig, runtime: Arc<Runtime>) -> Self {
        Self {
            keys: config.keys.clone(),
            tls: config.tls.clone().map(Live::new),
            drain_timeout: Live::new(config.drain_timeout),
            runtime,
        }
    }

    /// Takes over what of `config` can change: keys from the next request on, certificates from the
    /// next connection on, the drain timeout when the server goes down.
    ///
    /// # Errors
    /// Nothing is taken over where encryption or keys were there and are no more, or the other way
    /// round: a server does not open itself by a reload. Nor where the quotas of keys exceed the
    /// server's limits.
    pub fn apply(&self, config: &ServerConfig) -> Result<(), String> {
        if self.tls.is_some() != config.tls.is_some() {
            return Err("encryption is turned on or off by a restart alone".into());
        }
        if self.keys.is_empty() != config.keys.is_empty() {
            return Err("whether keys are needed is changed by a restart alone".into());
        }
        // First, since it can fail: nothing is changed by halves.
        if !self.keys.is_empty() {
            self.keys.replace(&config.keys, &self.runtime)?;
        }
        if let (Some(own), Some(tls)) = (&self.tls, &config.tls) {
            own.set(tls.clone());
        }
        self.drain_timeout.set(config.drain_timeout);
        Ok(())
    }

    /// Sets the metrics of what is in force.
    pub(super) fn report(&self) {
        gauge!(names::DRAIN_TIMEOUT).set(*self.drain_timeout.get());
        if let Some(tls) = &self.tls {
            gauge!(names::CERTIFICATE_END).set(tls.get().expires().as_second() as f64);
        }
    }
}
