//! `scotoma serve`: the server.

mod check;
mod limits;
mod logs;
mod models;
mod reload;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

use limits::{BatchArgs, RequestLimitArgs};
use logs::LogArgs;
use models::ServedModelArgs;

use super::access_args::AccessArgs;
use super::bounds_args::BoundsArgs;
use super::error::{Failure, Usage};
use super::judge_args::JudgeArgs;
use super::lifecycle_args::LifecycleArgs;
use super::openai_args::OpenAiArgs;
use super::settings::Settings;
use super::signals;
use super::tenancy_args::TenancyArgs;
use crate::model::Origin;
use crate::server::{Server, ServerConfig};
use crate::telemetry;

/// Flags of `serve`. Those of each struct stand under one heading of the help, in this order.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    connections: ConnectionArgs,
    #[command(flatten)]
    models: ServedModelArgs,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    tenancy: TenancyArgs,
    #[command(flatten)]
    batches: BatchArgs,
    #[command(flatten)]
    limits: RequestLimitArgs,
    #[command(flatten)]
    bounds: BoundsArgs,
    #[command(flatten)]
    openai: OpenAiArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    logs: LogArgs,
    #[command(flatten)]
    lifecycle: LifecycleArgs,
}

/// Reads the command line and the configuration file again.
pub(super) type ParseAgain = fn() -> Result<(Serve, Settings), String>;

/// Connections that may wait to be accepted; `TcpListener::bind` has the same.
const BACKLOG: u32 = 1024;
/// Heading of the flags of the port.
const PORT: &str = "Port";

/// The port, and connections to it.
#[derive(Debug, Args)]
struct ConnectionArgs {
    /// Address for gRPC, gRPC-Web, HTTP and /metrics
    ///
    /// Use 0.0.0.0:7878 to serve other machines.
    #[arg(
        help_heading = PORT,
        long,
        env = "SCOTOMA_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7878"
    )]
    listen: SocketAddr,
    /// Seconds of silence after which a connection is pinged
    ///
    /// After as many again without an answer it is closed, and its requests are cancelled.
    #[arg(
        help_heading = PORT,
        long,
        env = "SCOTOMA_KEEPALIVE",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    keepalive: u64,
}

impl ConnectionArgs {
    /// Takes the address, so that one that is taken is told before models are loaded. Nobody can
    /// connect yet.
    fn bind(&self) -> Result<TcpSocket, String> {
        let bound = self.bound();
        bound.map_err(|e| self.wrong_address(&e))
    }

    fn bound(&self) -> std::io::Result<TcpSocket> {
        let socket = if self.listen.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // As `TcpListener::bind` does: a server that was restarted gets its address again, though
        // connections of the last one are still closing.
        socket.set_reuseaddr(true)?;
        socket.bind(self.listen)?;
        Ok(socket)
    }

    fn wrong_address(&self, error: &std::io::Error) -> String {
        format!("--listen {}: {error}", self.listen)
    }
}

impl Serve {
    pub(super) async fn run(self, settings: Settings, again: ParseAgain) -> Result<(), Failure> {
        // Before logs begin: a check opens no audit file and exports nothing.
        if self.lifecycle.check {
            return self.check(&settings);
        }
        self.logs.begin()?;
        // Mistakes of flags come before anything is fetched.
        let (mut config, origins) = self.config()?;
        let socket = self.connections.bind()?;
        // A SIGHUP while models are fetched or loaded would end the program.
        let (reloader, reloads) = oneshot::channel();
        tokio::spawn(Self::follow_hangups(reloads, settings, again)?);
        config.saliency = self.models.fetch_saliency().await?;
        config.models = self.models.fetch_models(origins).await?;
        // `config` is given to the thread that loads.
        let encrypted = config.tls.is_some();
        warn_of_expiry(&config);
        let server = tokio::task::spawn_blocking(move || Server::load(&config)).await??;
        // The receiver waits for it.
        let _ = reloader.send(server.reload());
        // Before the address can be seen: who sees it may send a signal at once.
        let shutdown = signals::shutdown()?;
        // Only now, when the models are loaded: who can connect can ask.
        let listener = socket.listen(BACKLOG);
        let listener = listener.map_err(|e| self.connections.wrong_address(&e))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "serving");
        let scheme = if encrypted { "https" } else { "http" };
        println!(
            "scotoma {} serves on {scheme}://{address} (metrics: {scheme}://{address}/metrics)",
            telemetry::VERSION
        );
        let served = server.run(listener, shutdown).await;
        // It waits for the receiver.
        tokio::task::spawn_blocking(telemetry::end_traces).await?;
        Ok(served?)
    }

    /// Returns the configuration without models, and the models' origins. All mistakes are reported
    /// together.
    fn config(&self) -> Result<(ServerConfig, Vec<(String, Origin)>), Failure> {
        let mut mistakes = Vec::new();
        let mut config = ServerConfig {
            models: Vec::new(),
            ..ServerConfig::shapes()
        };
        let origins = self.models.origins(&mut mistakes);
        mistakes.extend(self.models.device.apply(&mut config).err());
        mistakes.extend(self.models.mistakes(&origins, &config.devices));
        mistakes.extend(self.judge.apply(&mut config).err());
        mistakes.extend(self.access.apply(&mut config).err().unwrap_or_default());
        mistakes.extend(self.openai.apply(&mut config).err().unwrap_or_default());
        mistakes.extend(self.tenancy.apply(&mut config));
        // Behind the devices, on which the defaults of the engine's limits depend.
        self.batches.apply(&mut config);
        self.limits.apply(&mut config);
        self.bounds.apply(&mut config);
        self.logs.apply(&mut config);
        self.lifecycle.apply(&mut config);
        config.memory_budget = self.models.budget();
        config.keepalive = Duration::from_secs(self.connections.keepalive);
        // Last: a key's part is a part of the limits that were set above.
        let shares = config.keys.shares(&config.limits);
        mistakes.extend(shares.err().map(|e| format!("--api-keys: {e}")));
        if mistakes.is_empty() {
            Ok((config, origins))
        } else {
            Err(Usage(mistakes.join("\nerror: ")).into())
        }
    }
}

/// Says a month ahead that the certificate expires.
fn warn_of_expiry(config: &ServerConfig) {
    let Some(tls) = &config.tls else { return };
    let left = tls.expires().duration_since(jiff::Timestamp::now());
    if left < jiff::SignedDuration::from_hours(30 * 24) {
        let expires = tls.expires().to_string();
        tracing::warn!(
            expires,
            "the certificate expires soon; SIGHUP loads a new one"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    /// What would be served under some flags, or what is wrong with them.
    fn planned(flags: &[&str]) -> String {
        let command = Serve::augment_args(clap::Command::new("serve"));
        let matches = command
            .try_get_matches_from([&["serve"], flags].concat())
            .unwrap();
        let serve = Serve::from_arg_matches(&matches).unwrap();
        match serve.config() {
            Ok(planned) => {
                let adapters = serve.models.adapters(&planned.1).map_err(|e| e.to_string());
                format!("{planned:?} {adapters:?}")
            }
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn every_flag_changes_what_is_served() {
        let judge = ["--judge", "http://a", "--judge-model", "b"];
        let tables: [(&[&str], &[&[&str]]); 3] = [
            (
                &[],
                &[
                    &["--model", "a=shapes"],
                    &["--projector", "a=missing.bin"],
                    &["--sae", "a=missing"],
                    &["--lens", "a=missing"],
                    &["--device", "cuda:77"],
                    &["--dtype", "bf16"],
                    &["--place", "nobody=cpu"],
                    &["--adapter", "nobody=missing"],
                    &["--image-processor", "nobody=pillow"],
                    &["--chat-template", "no-such"],
                    &["--random-weights", "llava-1.5-7b"],
                    &["--queue", "7"],
                    &["--max-running", "7"],
                    &["--max-step-rows", "7"],
                    &["--max-queue-rows", "7"],
                    &["--kv-cache-mib", "7"],
                    &["--image-cache-mib", "7"],
                    &["--checkpoint-mib", "7"],
                    &["--max-images", "7"],
                    &["--max-image-pixels", "7"],
                    &["--max-message-mib", "7"],
                    &["--max-capture-mib", "7"],
                    &["--keep-mib", "7"],
                    &["--upload-mib", "7"],
                    &["--memory-budget", "7"],
                    &["--allow-load"],
                    &["--pending-mib", "7"],
                    &["--pending-mib-per-key", "7"],
                    &["--decoding-pixels", "7"],
                    &["--decoding-pixels-per-key", "7"],
                    &["--unread-mib", "7"],
                    &["--unread-mib-per-key", "7"],
                    &["--read-timeout", "7"],
                    &["--max-connections", "7"],
                    &["--max-connections-per-address", "7"],
                    &["--proxy", "10.0.0.0/8"],
                    &["--max-streams", "7"],
                    &["--max-streams-per-key", "7"],
                    &["--evaluation-mib", "7"],
                    &["--evaluation-mib-per-key", "7"],
                    &["--keepalive", "7"],
                    &["--drain-timeout", "7"],
                    &["--state", "folder"],
                    &["--api-keys", "missing"],
                    &["--model-root", "missing"],
                    &["--model-hub", "llava-hf/*"],
                    &["--cors-origin", "https://lab.example"],
                    &["--replay-mib", "7"],
                    &["--metrics-by-key"],
                    &["--no-page"],
                    &["--tls-cert", "missing", "--tls-key", "gone"],
                    &["--tls-key", "missing", "--tls-cert", "gone"],
                    &[
                        "--tls-client-ca",
                        "missing",
                        "--tls-cert",
                        "gone",
                        "--tls-key",
                        "gone",
                    ],
                    &["--judge", "http://a", "--judge-model", "b"],
                    &["--preset", "plain=[]"],
                    &["--fetch-images", "example.org"],
                ],
            ),
            (
                &["--tls-cert", "gone", "--tls-key", "gone"],
                &[&["--tls-client-ca", "missing"]],
            ),
            (&judge, &[&["--judge-prompt", "grade=missing"]]),
        ];
        let mut walked: BTreeSet<String> = BTreeSet::new();
        for (base, rows) in tables {
            for row in rows {
                let with = planned(&[base, row].concat());
                assert_ne!(planned(base), with, "{row:?} changes nothing");
                walked.insert(row[0].trim_start_matches("--").into());
            }
        }
        assert_ne!(
            planned(&judge),
            planned(&["--judge", "http://a", "--judge-model", "c"])
        );
        walked.insert("judge-model".into());
        // Used as they are once the configuration is made, and tried on running servers by other
        // tests; the judge's key does not print.
        let others = [
            "listen",
            "audit-log",
            "otlp",
            "saliency",
            "log",
            "log-format",
            "judge-key",
            "config",
            "check",
            "json",
        ];
        walked.extend(others.map(String::from));
        let command = Serve::augment_args(clap::Command::new("serve"));
        let there: BTreeSet<String> = command
            .get_arguments()
            .filter_map(|a| Some(a.get_long()?.to_owned()))
            .collect();
        assert_eq!(walked, there, "say here what a new flag changes");
    }
}
