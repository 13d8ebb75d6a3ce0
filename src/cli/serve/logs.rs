//! `serve`'s flags of what is written down: logs, metrics, traces.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;

use crate::cli::error::{Failure, Usage};
use crate::server::ServerConfig;
use crate::telemetry::{self, LogFormat};

/// Heading of these flags in help texts.
const HEADING: &str = "Logs, metrics and traces";

/// Says what is written down of requests.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Log level: error, warn, info, debug, trace or off
    ///
    /// Or TARGET=LEVEL, with commas between several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_LOG",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(super) log: String,
    /// Log format; json for machines
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value = "text"
    )]
    log_format: LogFormat,
    /// File to which a line of JSON is added for every call that loads, unloads or checks a model
    ///
    /// Whatever --log says; such lines are in the log as well.
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// Count requests and rows by the names of keys in /metrics
    ///
    /// /metrics needs no key: whoever reaches the port reads them.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_METRICS_BY_KEY",
        action = clap::ArgAction::SetTrue,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    metrics_by_key: bool,
    /// OTLP receiver to which traces are exported, by gRPC, such as http://localhost:4317
    ///
    /// A span for each request, below the client's traceparent, and one for each stage.
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_OTLP", value_name = "ENDPOINT")]
    otlp: Option<String>,
}

impl LogArgs {
    /// Begins to log, and to export traces, where a receiver is named.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        let audit = self.open_audit()?;
        telemetry::init_logs(&self.log, self.log_format, audit)
            .map_err(|e| Usage(format!("--log {e}")))?;
        if let Some(endpoint) = &self.otlp {
            let exported = telemetry::export_traces(endpoint);
            exported.map_err(|e| Usage(format!("--otlp {endpoint}: {e}")))?;
        }
        Ok(())
    }

    /// Says what is wrong with the receiver of traces, as far as it shows without a connection.
    pub(super) fn check_receiver(&self) -> Result<(), String> {
        let Some(endpoint) = &self.otlp else {
            return Ok(());
        };
        telemetry::check_endpoint(endpoint).map_err(|e| format!("--otlp {endpoint}: {e}"))
    }

    /// Sets what metrics tell in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) {
        config.metrics_by_key = self.metrics_by_key;
    }

    /// Opens the file of admins' calls, where one is named.
    fn open_audit(&self) -> Result<Option<File>, Failure> {
        let Some(path) = &self.audit_log else {
            return Ok(None);
        };
        let file = telemetry::open_audit(path);
        let file = file.map_err(|e| Usage(format!("--audit-log {}: {e}", path.display())))?;
        Ok(Some(file))
    }
}
