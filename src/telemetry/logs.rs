//! Structured logs to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; a second call changes nothing. Fails if `filter` does not parse.
pub fn init_logs(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("{filter:?}: {e}"))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let logs = logs.with_ansi(std::io::stderr().is_terminal());
    // An error means that a subscriber is installed already, which is fine.
    let _ = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
    Ok(())
}
