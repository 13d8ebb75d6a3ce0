//! `scotoma completions`: what a shell completes behind `scotoma`.

use std::io::Write as _;

use clap::Args;
use clap_complete::Shell;

use super::error::Failure;

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script for the commands of `program`.
    pub(super) fn run(&self, mut program: clap::Command) -> Result<(), Failure> {
        // Into memory first: clap_complete panics where a write fails.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "scotoma", &mut script);
        Ok(std::io::stdout().write_all(&script)?)
    }
}
