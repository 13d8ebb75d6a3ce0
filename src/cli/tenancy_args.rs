//! `serve`'s flags of what clients may load, which pages may call, what is replayed and what is
//! written down of requests.

use std::fs::File;
use std::path::PathBuf;

use axum::http::{HeaderValue, Uri};
use clap::Args;

use super::error::{Failure, Usage};
use crate::pipeline::{Patterns, Places};
use crate::server::ServerConfig;
use crate::telemetry;

/// Heading of these flags in help texts.
const HEADING: &str = "Access";

/// Places, origins, retries and records of requests.
#[derive(Debug, Clone, Args)]
pub(super) struct TenancyArgs {
    /// Folder below which clients may have models, adapters, projectors and templates loaded; links
    /// that lead out of it are not followed. Repeat for several. Default: any folder, unless
    /// --model-hub is set
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_MODEL_ROOT",
        value_name = "FOLDER",
        value_delimiter = ','
    )]
    model_root: Vec<PathBuf>,
    /// Ids of the hub that clients may have loaded, such as llava-hf/*; with commas between several.
    /// Default: any id, unless --model-root is set
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_MODEL_HUB", value_name = "IDS")]
    model_hub: Option<Patterns>,
    /// Origin whose web pages may call the server, such as https://lab.example, or * for all. Repeat
    /// for several. Default: none
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    cors_origin: Vec<String>,
    /// MiB of answers that are kept for calls that come again with the same idempotency-key; each API
    /// key has an equal part. 0 keeps none, and runs every call anew
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_REPLAY_MIB",
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(0..=1_048_576)
    )]
    replay_mib: u32,
    /// File to which a line of JSON is added for every call that loads, unloads or checks a model,
    /// whatever --log says; such lines are in the log as well
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// Count requests and rows by the names of keys in /metrics, which needs no key: whoever reaches
    /// the port reads them
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_METRICS_BY_KEY",
        action = clap::ArgAction::SetTrue,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    metrics_by_key: bool,
    /// OTLP receiver to which traces are exported, by gRPC, such as http://localhost:4317: a span for
    /// each request, below the client's traceparent, and one for each stage
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_OTLP", value_name = "ENDPOINT")]
    otlp: Option<String>,
}

impl TenancyArgs {
    /// Sets all but the audit log in `config`, and returns the mistakes.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Vec<String> {
        let mut mistakes = Vec::new();
        match Places::new(&self.model_root, self.model_hub.clone()) {
            Ok(places) => config.places = places,
            Err(e) => mistakes.push(format!("--model-root {e}")),
        }
        for text in &self.cors_origin {
            match origin(text) {
                Some(origin) => config.cors_origins.push(origin),
                None => mistakes.push(format!(
                    "--cors-origin {text}: no origin; one such as https://lab.example:8443 is, or *"
                )),
            }
        }
        config.replay_bytes = u64::from(self.replay_mib) << 20;
        config.metrics_by_key = self.metrics_by_key;
        mistakes
    }

    /// Exports traces, where a receiver is named.
    pub(super) fn export_traces(&self) -> Result<(), Failure> {
        if let Some(endpoint) = &self.otlp {
            let exported = telemetry::export_traces(endpoint);
            exported.map_err(|e| Usage(format!("--otlp {endpoint}: {e}")))?;
        }
        Ok(())
    }

    /// Opens the file of admins' calls, where one is named.
    pub(super) fn open_audit(&self) -> Result<Option<File>, Failure> {
        let Some(path) = &self.audit_log else {
            return Ok(None);
        };
        let file = telemetry::open_audit(path);
        let file = file.map_err(|e| Usage(format!("--audit-log {}: {e}", path.display())))?;
        Ok(Some(file))
    }
}

/// Parses an origin as browsers send it: scheme, host and port, and nothing behind.
fn origin(text: &str) -> Option<HeaderValue> {
    if text != "*" {
        let uri: Uri = text.parse().ok()?;
        let is_bare = format!("{}://{}", uri.scheme_str()?, uri.authority()?) == text;
        if !is_bare {
            return None;
        }
    }
    HeaderValue::from_str(text).ok()
}
