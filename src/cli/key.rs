//! `scotoma key`: a new API key.

use clap::Args;
use serde_json::json;

use super::error::{Failure, Usage};
use super::json_output::print_line;
use crate::server::ApiKeys;

/// Flags of `key`.
#[derive(Debug, Args)]
pub(super) struct DrawKey {
    /// Name of the client that gets the key, one word; the server's log may print it
    name: String,
    /// Let its holder load, unload and check models
    #[arg(long)]
    admin: bool,
    /// Day on which the key ends (UTC), such as 2027-03-01
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Most bytes of kept activations, such as 64MiB. Default: an equal part of --keep-mib
    #[arg(long, value_name = "SIZE")]
    keep: Option<String>,
    /// Most bytes of kept pictures, such as 64MiB. Default: an equal part of --upload-mib
    #[arg(long, value_name = "SIZE")]
    upload: Option<String>,
    /// Most requests of a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<String>,
    /// Most (row, layer) pairs of a minute, as the engine prices them before they run
    #[arg(long, value_name = "N")]
    rows_per_minute: Option<String>,
    /// Longest time that a request may run, such as 90s, 10m or 1h
    #[arg(long, value_name = "DURATION")]
    max_run: Option<String>,
    /// Models that the holder may ask, with commas between; * stands for any characters
    ///
    /// Default: all.
    #[arg(long, value_name = "NAMES")]
    models: Option<String>,
    /// Models that the holder may load and unload, in the same form; needs --admin. Default: all
    #[arg(long, value_name = "NAMES", requires = "admin")]
    load: Option<String>,
    /// Print JSON: `key`, for the client, and `line`, for the server
    #[arg(long)]
    json: bool,
}

impl DrawKey {
    /// Draws a key and prints it beside the line for the server.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut bytes = [0; 32];
        // From the system, never from a seeded generator: a key is a secret.
        getrandom::fill(&mut bytes)?;
        // `Hash` only spells the bytes in hexadecimal digits; nothing is hashed here.
        let key = blake3::Hash::from_bytes(bytes).to_hex();
        let line = ApiKeys::line(&self.name, &key)
            // The log prints names, and the words behind the name of the line are its settings.
            .ok_or_else(|| Usage(format!("{:?}: the name must be one word", self.name)))?;
        let words = self.words();
        if let Some(wrong) = words
            .iter()
            .find(|w| w.contains(|c: char| c.is_whitespace() || c == '#'))
        {
            return Err(Usage(format!("{wrong}: white space or #")).into());
        }
        let line = [vec![line], words].concat().join(" ");
        // As the server will read it, so that mistakes show here.
        ApiKeys::parse(&line).map_err(|e| Usage(e.trim_start_matches("line 1: ").to_owned()))?;
        if self.json {
            return print_line(&json!({"key": key.as_str(), "line": line}));
        }
        println!(
            "key, for the client alone:\n{key}\n\nline of the server's --api-keys file:\n{line}"
        );
        Ok(())
    }

    /// Returns the words of the line that say what the holder may do.
    fn words(&self) -> Vec<String> {
        let settings = [
            ("expires", &self.expires),
            ("keep", &self.keep),
            ("upload", &self.upload),
            ("requests-per-minute", &self.requests_per_minute),
            ("rows-per-minute", &self.rows_per_minute),
            ("max-run", &self.max_run),
            ("models", &self.models),
            ("load", &self.load),
        ];
        let admin = self.admin.then(|| "admin".to_owned());
        let settings = settings.into_iter();
        let settings = settings
            .filter_map(|(word, value)| value.as_ref().map(|value| format!("{word}={value}")));
        admin.into_iter().chain(settings).collect()
    }
}
