//! SIGHUP: what a running server takes over of its changed configuration.

use tokio::sync::oneshot;

use super::{ParseAgain, Serve, warn_of_expiry};
use crate::cli::error::Failure;
use crate::cli::settings::Settings;
use crate::cli::signals;
use crate::server::{Reload, ServerConfig};
use crate::telemetry;

/// Flags that SIGHUP takes over; the others need a restart.
const RELOADED: [&str; 6] = [
    "api-keys",
    "drain-timeout",
    "log",
    "tls-cert",
    "tls-client-ca",
    "tls-key",
];

impl Serve {
    /// Follows SIGHUP once the server is there, for as long as it is polled.
    pub(super) fn follow_hangups(
        server: oneshot::Receiver<Reload>,
        settings: Settings,
        again: ParseAgain,
    ) -> Result<impl Future<Output = ()> + Send, Failure> {
        let (hangups, mut hung_up) = tokio::sync::mpsc::channel(1);
        // One that waits stands for all that come meanwhile.
        let following = signals::on_hangup(move || {
            let _ = hangups.try_send(());
        })?;
        let reloading = async move {
            // Dropped where loading has failed, which ends the program.
            let Ok(reload) = server.await else { return };
            while hung_up.recv().await.is_some() {
                match again().and_then(|(serve, now)| serve.reload_into(&reload).map(|()| now)) {
                    // With those of the start, which all but `RELOADED` still run with.
                    Ok(now) => say_what_waits(&settings, &now),
                    Err(error) => {
                        tracing::error!(error, "nothing was reloaded; what was there stays");
                    }
                }
            }
        };
        Ok(async move {
            tokio::join!(following, reloading);
        })
    }

    /// Takes over what can change while the server runs.
    fn reload_into(&self, reload: &Reload) -> Result<(), String> {
        // Checked before anything is taken over, and set last, when it cannot fail any more.
        telemetry::check_log_filter(&self.logs.log).map_err(|e| format!("--log {e}"))?;
        let mut config = ServerConfig {
            models: Vec::new(),
            ..ServerConfig::shapes()
        };
        let access = self.access.apply(&mut config);
        access.map_err(|mistakes| mistakes.join("; "))?;
        self.lifecycle.apply(&mut config);
        reload.apply(&config)?;
        warn_of_expiry(&config);
        telemetry::set_log_filter(&self.logs.log)
    }
}

/// Names the settings that differ from those of the start and need a restart.
fn say_what_waits(start: &Settings, now: &Settings) {
    let mut waits = now.changed(start);
    waits.retain(|name| !RELOADED.contains(name));
    if waits.is_empty() {
        tracing::info!("reloaded");
    } else {
        let settings: Vec<&str> = waits.into_iter().collect();
        let settings = settings.join(", ");
        tracing::warn!(settings, "reloaded; these have changed and need a restart");
    }
}
