//! Structured logs to standard error.

use std::fs::File;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, reload};

type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// Replaces the filter of the log that is installed.
static SET_FILTER: OnceLock<SetFilter> = OnceLock::new();

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Levels of a log.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Target of the lines on calls that change what the server holds.
pub const AUDIT: &str = "audit";

/// Starts logging; a second call changes nothing. Calls of admins also go to the file `audit`,
/// whatever `filter` says, as one JSON object a line. Fails if `filter` does not parse, or names a
/// level that there is none of.
pub fn init_logs(filter: &str, format: LogFormat, audit: Option<File>) -> Result<(), String> {
    let filter = parse(filter)?;
    let audit = audit.map(|file| {
        let lines = fmt::layer().json().with_writer(Mutex::new(file));
        // Whatever the filter of the log says.
        lines.with_filter(filter_fn(|line| line.target() == AUDIT))
    });
    // Standard output belongs to what commands print.
    let logs = fmt::layer().with_writer(std::io::stderr);
    // A line that cannot be written must not be reported to where it could not be written: that
    // panics.
    let logs = logs.log_internal_errors(false);
    // Escapes in a file or in a collector's input are noise.
    let logs = logs.with_ansi(std::io::stderr().is_terminal());
    let (filter, handle) = reload::Layer::new(filter);
    let logs = match format {
        LogFormat::Text => logs.with_filter(filter).boxed(),
        LogFormat::Json => logs.json().with_filter(filter).boxed(),
    };
    // An error means that a subscriber is installed already, which is fine.
    let registry = tracing_subscriber::registry().with(audit).with(logs);
    if registry.try_init().is_ok() {
        let set = move |filter| handle.reload(filter).map_err(|e| e.to_string());
        // Empty until now: one `try_init` of a process succeeds.
        let _ = SET_FILTER.set(Box::new(set));
    }
    Ok(())
}

/// Fails if `filter` does not parse.
pub fn check_log_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(drop)
}

/// Replaces the filter of the running log. Fails if `filter` does not parse.
pub fn set_log_filter(filter: &str) -> Result<(), String> {
    let filter = parse(filter)?;
    match SET_FILTER.get() {
        Some(set) => set(filter),
        // Without a log of ours there is nothing to filter.
        None => Ok(()),
    }
}

/// Opens the file of admins' calls, to which only its owner has access; lines are added at its end.
pub fn open_audit(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    // The mode is for a file that is made here; one that is there keeps its own.
    options.create(true).append(true).mode(0o600).open(path)
}

/// Parses levels and `TARGET=LEVEL`s. tracing-subscriber takes a word alone for the name of a target,
/// so that a misspelled level would log nothing at all.
fn parse(filter: &str) -> Result<EnvFilter, String> {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let mut words = filter.split(',').map(str::trim);
    if let Some(word) = words.find(|word| !word.contains(['=', '[']) && !is_level(word)) {
        return Err(format!(
            "{word:?}: no level; {} are, and TARGET=LEVEL for a part of the program",
            LEVELS.join(", ")
        ));
    }
    EnvFilter::try_new(filter).map_err(|e| format!("{filter:?}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_level_is_refused() {
        for filter in ["inof", "", "info,dbug", "scotoma=inof", "scotoma"] {
            assert!(parse(filter).is_err(), "{filter}");
        }
        for filter in [
            "info",
            "INFO",
            "off",
            "warn,scotoma=debug",
            "scotoma[request]=trace",
        ] {
            assert!(parse(filter).is_ok(), "{filter}: {:?}", parse(filter).err());
        }
    }
}
