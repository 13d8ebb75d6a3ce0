//! Connections of commands to a server.

use std::path::PathBuf;

use clap::Args;
use scotoma_client::{Client, Connect};

use super::error::Failure;
use super::files;

/// A server that runs elsewhere.
#[derive(Debug, Clone, Args)]
pub(super) struct RemoteArgs {
    /// Address of a server, such as http://127.0.0.1:7878 or https://HOST. Without it the model
    /// runs in this process
    #[arg(long, env = "SCOTOMA_SERVER", value_name = "ADDRESS")]
    pub(super) server: Option<String>,
    /// API key of the server
    #[arg(
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
    /// Certificate authorities that the server's certificate is signed by, PEM. Default: those of
    /// the system
    #[arg(long, env = "SCOTOMA_SERVER_CA", value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Certificate of this client, PEM, for servers that require one
    #[arg(
        long,
        env = "SCOTOMA_CLIENT_CERT",
        value_name = "FILE",
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// Private key of the client's certificate, PEM
    #[arg(
        long,
        env = "SCOTOMA_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
}

impl TlsArgs {
    /// Returns the settings of a connection to `address`.
    pub(super) fn settings(&self, address: &str) -> Result<Connect, String> {
        let mut connect = Connect::to(address);
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
    /// Connects to the server that the flags name, if they name one.
    pub(super) async fn connect(&self) -> Result<Option<Client>, Failure> {
        let Some(address) = &self.server else {
            return Ok(None);
        };
        let mut settings = self.tls.settings(address)?;
        if let Some(key) = &self.api_key {
            settings = settings.api_key(key);
        }
        let connected = settings.connect().await;
        Ok(Some(
            connected.map_err(|e| format!("--server {address}: {e}"))?,
        ))
    }
}

fn read_flag(flag: &str, path: &std::path::Path) -> Result<String, String> {
    files::read_text(path).map_err(|e| format!("{flag} {e}"))
}
