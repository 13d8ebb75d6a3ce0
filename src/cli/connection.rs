//! Who may connect, and who may ask.

use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::{Client, Connect};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::Failure;
use crate::server::{ApiKeys, Config};

/// Under which help lists them.
const HEADING: &str = "Access";

/// Encryption and keys. Without them whoever reaches the port may ask, and read what others ask.
#[derive(Debug, Clone, Args)]
pub(super) struct Access {
    /// The server's certificate and those that it was signed by, PEM. With it the port speaks TLS
    /// only
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, PEM
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Certificates that a client's has to be signed by, PEM: whoever has none cannot connect
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Keys that clients have to say, one a line: a name and a hash, as `scotoma key` prints them.
    /// The clients of one key share what one client would get, and what they have sent is theirs
    /// alone. Health, reflection and /metrics need no key
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_API_KEYS", value_name = "FILE")]
    api_keys: Option<PathBuf>,
}

fn read(flag: &str, path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{flag} {}: {e}", path.display()))
}

impl Access {
    /// Writes it into `config`, or says what is wrong with it.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), Vec<String>> {
        let mut mistakes = Vec::new();
        let mut of = |flag: &str, path: &Option<PathBuf>| {
            let read = path.as_deref().map(|path| read(flag, path)).transpose();
            read.unwrap_or_else(|mistake| {
                mistakes.push(mistake);
                None
            })
        };
        let (certificate, key) = (
            of("--tls-cert", &self.tls_cert),
            of("--tls-key", &self.tls_key),
        );
        let (authorities, keys) = (
            of("--tls-client-ca", &self.tls_client_ca),
            of("--api-keys", &self.api_keys),
        );
        if let (Some(certificate), Some(key)) = (certificate, key) {
            let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
            if let Some(authorities) = authorities {
                tls = tls.client_ca_root(Certificate::from_pem(authorities));
            }
            // Before anything is loaded.
            match tonic::transport::Server::builder().tls_config(tls.clone()) {
                Ok(_) => config.tls = Some(tls),
                Err(e) => {
                    let mut message = format!("--tls-cert, --tls-key: {e}");
                    if let Some(cause) = std::error::Error::source(&e) {
                        message = format!("{message}: {cause}");
                    }
                    mistakes.push(message);
                }
            }
        }
        match keys.map(|text| ApiKeys::parse(&text)).transpose() {
            Ok(keys) => config.keys = keys.unwrap_or_default(),
            Err(e) => mistakes.push(format!("--api-keys: {e}")),
        }
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(mistakes)
        }
    }
}

/// A server somewhere else.
#[derive(Debug, Clone, Args)]
pub(super) struct Remote {
    /// Address of a server, http://127.0.0.1:7878 for instance, or https://. Without it the model
    /// runs in this process
    #[arg(long, env = "SCOTOMA_SERVER", value_name = "ADDRESS")]
    pub(super) server: Option<String>,
    /// The key that the server asks for
    #[arg(
        long,
        env = "SCOTOMA_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_key: Option<String>,
    #[command(flatten)]
    trust: Trust,
}

/// How both ends of an encrypted connection know each other.
#[derive(Debug, Clone, Args)]
pub(super) struct Trust {
    /// Certificates that the server's is signed by, PEM. Default: the system's
    #[arg(long, env = "SCOTOMA_SERVER_CA", value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// This client's certificate, PEM, for a server that asks for one
    #[arg(
        long,
        env = "SCOTOMA_CLIENT_CERT",
        value_name = "FILE",
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(
        long,
        env = "SCOTOMA_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
}

impl Trust {
    /// Describes how to connect to `address`.
    pub(super) fn to(&self, address: &str) -> Result<Connect, String> {
        let mut connect = Connect::to(address);
        if let Some(path) = &self.server_ca {
            connect = connect.authorities(read("--server-ca", path)?);
        }
        if let (Some(certificate), Some(key)) = (&self.client_cert, &self.client_key) {
            connect = connect.identity(
                read("--client-cert", certificate)?,
                read("--client-key", key)?,
            );
        }
        Ok(connect)
    }
}

impl Remote {
    /// Connects to the server, if one is named.
    pub(super) async fn connect(&self) -> Result<Option<Client>, Failure> {
        let Some(address) = &self.server else {
            return Ok(None);
        };
        let connect = self
            .api_key
            .iter()
            .fold(self.trust.to(address)?, Connect::api_key);
        Ok(Some(
            connect
                .connect()
                .await
                .map_err(|e| format!("--server {address}: {e}"))?,
        ))
    }
}

/// Flags of `key`.
#[derive(Debug, Args)]
pub(super) struct Draw {
    /// Whose key it is, one word; the server's log may say it
    name: String,
}

impl Draw {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let key = blake3::Hash::from_bytes(bytes).to_hex();
        let line = ApiKeys::line(&self.name, &key)
            .ok_or_else(|| format!("{:?}: a name of one word is needed", self.name))?;
        println!(
            "key, for the client alone:\n{key}\n\nline of the server's --api-keys file:\n{line}"
        );
        Ok(())
    }
}
