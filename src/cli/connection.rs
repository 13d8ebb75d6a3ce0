//! Connections of commands to a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use scotoma_client::{Client, Connect};

use super::error::Failure;
use super::files;

/// Heading of these flags in help texts.
const HEADING: &str = "Server";

/// A server that runs elsewhere.
#[derive(Debug, Clone, Args)]
pub(super) struct RemoteArgs {
    /// Address of a server, such as http://127.0.0.1:7878 or https://HOST
    ///
    /// Of several that answer the same, with commas or given again, each gets its pictures. Without
    /// it the model runs in this process.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_SERVER",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub(super) server: Vec<String>,
    /// Seconds to wait for a server that is not there, or goes down
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_PATIENCE",
        value_name = "SECONDS",
        default_value_t = 60
    )]
    patience: u32,
    /// API key of the server
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_key: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Certificates of an encrypted connection.
#[derive(Debug, Clone, Args)]
pub(super) struct TlsArgs {
    /// Certificate authorities of the server, PEM. Default: those of the system
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_SERVER_CA", value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Certificate of this client, PEM, for servers that require one
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_CLIENT_CERT",
        value_name = "FILE",
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// Private key of the client's certificate, PEM
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
}

impl TlsArgs {
    /// Returns the settings of a connection to one of `addresses`.
    pub(super) fn settings<'a>(
        &self,
        addresses: impl IntoIterator<Item = &'a str>,
    ) -> Result<Connect, String> {
        let mut connect = Connect::to_all(addresses);
        if let Some(path) = &self.server_ca {
            connect = connect.authorities(read_flag("--server-ca", path)?);
        }
        if let (Some(certificate), Some(key)) = (&self.client_cert, &self.client_key) {
            connect = connect.identity(
                read_flag("--client-cert", certificate)?,
                read_flag("--client-key", key)?,
            );
        }
        Ok(connect)
    }
}

impl RemoteArgs {
    /// Connects to the servers that the flags name, if they name any.
    pub(super) async fn connect(&self) -> Result<Option<Client>, Failure> {
        if self.server.is_empty() {
            return Ok(None);
        }
        let addresses = self.server.join(",");
        let mut settings = self.tls.settings(self.server.iter().map(String::as_str))?;
        if let Some(key) = &self.api_key {
            settings = settings.api_key(key);
        }
        let seconds = self.patience;
        let connected = settings
            .patience(Duration::from_secs(seconds.into()))
            // A wrong address looks the same, so the user must see what is waited for.
            .on_wait(move |error| {
                eprintln!("{error}; waiting for a server, up to {seconds} s (--patience)");
            })
            .connect()
            .await;
        let named = connected.map_err(|e| format!("--server {addresses}: {e}"));
        Ok(Some(named?))
    }
}

fn read_flag(flag: &str, path: &std::path::Path) -> Result<String, String> {
    files::read_text(path).map_err(|e| format!("{flag} {e}"))
}
