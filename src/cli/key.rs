//! `scotoma key`: a new API key.

use clap::Args;

use super::error::{Failure, Usage};
use crate::server::ApiKeys;

/// Flags of `key`.
#[derive(Debug, Args)]
pub(super) struct DrawKey {
    /// Name of the client that gets the key, one word; the server's log may print it
    name: String,
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
            .ok_or_else(|| Usage(format!("{:?}: the name must be one word", self.name)))?;
        println!(
            "key, for the client alone:\n{key}\n\nline of the server's --api-keys file:\n{line}"
        );
        Ok(())
    }
}
