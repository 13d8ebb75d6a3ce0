//! `serve`'s flags of its own life: how it is configured, checked, kept and taken down.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::server::ServerConfig;

/// Heading of these flags in help texts.
const HEADING: &str = "Configuration and life";

/// The configuration file, and what happens when the server goes down.
#[derive(Debug, Clone, Args)]
pub(super) struct LifecycleArgs {
    /// Configuration file, TOML
    ///
    /// Every flag by its long name without the dashes, such as queue = 512, lists as arrays. The
    /// command line and the environment win over it. SIGHUP reads it again.
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Check the configuration, print what would be served, and exit
    ///
    /// Everything is checked that can be without loading a model. The exit status is 0, or 2 where
    /// something is wrong.
    #[arg(help_heading = HEADING, long)]
    pub(super) check: bool,
    /// Print JSON with --check: `address`, `models`, `devices` and the rest
    #[arg(help_heading = HEADING, long, requires = "check")]
    pub(super) json: bool,
    /// Seconds that what runs may take to finish after SIGTERM; then it is cut off, and the exit
    /// status is 1
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_DRAIN_TIMEOUT",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(0..=86_400)
    )]
    drain_timeout: u64,
    /// Folder that keeps what would be missed after a restart
    ///
    /// Uploads, kept activations, models that clients have loaded, parity results. One server uses
    /// it at a time; its size is bounded by --upload-mib and --keep-mib. Without it all of this
    /// goes with the process.
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_STATE", value_name = "FOLDER")]
    state: Option<PathBuf>,
}

impl LifecycleArgs {
    /// Sets the drain timeout and the folder of the state in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) {
        config.state.clone_from(&self.state);
        config.drain_timeout = Duration::from_secs(self.drain_timeout);
    }

    /// Says what is wrong with the folder of the state, as far as it shows without touching it.
    pub(super) fn check_state(&self) -> Result<(), String> {
        match &self.state {
            Some(path) if path.exists() && !path.is_dir() => {
                Err(format!("--state {}: not a folder", path.display()))
            }
            _ => Ok(()),
        }
    }
}
