//! `serve`'s flags of encryption, API keys and the page.

use std::path::{Path, PathBuf};

use clap::Args;

use super::files;
use crate::server::{ApiKeys, ServerConfig, Tls};

/// Heading of these flags in help texts.
const HEADING: &str = "Access";

/// Encryption and keys. Without them anybody who reaches the port may send requests, and read the
/// traffic of others.
#[derive(Debug, Clone, Args)]
pub(super) struct AccessArgs {
    /// Certificate chain of the server, PEM. With it the port speaks TLS only
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// Certificate authorities of the clients, PEM
    ///
    /// Clients without a certificate that one of them signed cannot connect.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_client_ca: Option<PathBuf>,
    /// File of API keys that clients must send
    ///
    /// One a line: a name and a hash, as `scotoma key` prints them. All clients of one key share
    /// one client's part of the server, and uploads and kept activations are visible to the same
    /// key only. Health, reflection, /metrics and the page at / need no key.
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_API_KEYS", value_name = "FILE")]
    api_keys: Option<PathBuf>,
    /// Show no page at /
    ///
    /// The page asks as any client does, with a key where one is needed.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_NO_PAGE",
        action = clap::ArgAction::SetTrue,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    no_page: bool,
}

impl AccessArgs {
    /// Sets TLS and keys in `config`. Returns all mistakes together.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Result<(), Vec<String>> {
        let mut mistakes = Vec::new();
        config.page = !self.no_page;
        let certificate = read_flag("--tls-cert", self.tls_cert.as_deref(), &mut mistakes);
        let key = read_flag("--tls-key", self.tls_key.as_deref(), &mut mistakes);
        let authorities = read_flag(
            "--tls-client-ca",
            self.tls_client_ca.as_deref(),
            &mut mistakes,
        );
        let keys = read_flag("--api-keys", self.api_keys.as_deref(), &mut mistakes);
        // One alone is refused by clap; one that could not be read is among the mistakes already.
        if let (Some(certificate), Some(key)) = (certificate, key) {
            let authorities = authorities.as_deref().map(str::as_bytes);
            match Tls::from_pem(certificate.as_bytes(), key.as_bytes(), authorities) {
                Ok(tls) => config.tls = Some(tls),
                Err(e) => mistakes.push(format!("--tls-cert, --tls-key: {e}")),
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

/// Reads the file that a flag names, if it names one; a file that cannot be read is a mistake.
fn read_flag(flag: &str, path: Option<&Path>, mistakes: &mut Vec<String>) -> Option<String> {
    match files::read_text(path?) {
        Ok(text) => Some(text),
        Err(e) => {
            mistakes.push(format!("{flag} {e}"));
            None
        }
    }
}
