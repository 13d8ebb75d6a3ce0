//! `serve`'s flags of OpenAI's API.

use clap::Args;

use crate::openai::{ImageHosts, OpenAiConfig};
use crate::server::ServerConfig;

/// Heading of these flags in help texts.
const HEADING: &str = "OpenAI's API";

/// Offers of `/v1/chat/completions` beyond the models.
#[derive(Debug, Clone, Args)]
pub(super) struct OpenAiArgs {
    /// Interventions that models are served under once more, as MODEL:NAME
    ///
    /// For tools whose requests cannot carry any: a list in canonical JSON, or a file of one.
    /// Repeat for several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_PRESET",
        value_name = "NAME=JSON|FILE",
        // Not commas, of which JSON is full: a variable of the environment has a preset on each
        // line.
        value_delimiter = '\n'
    )]
    preset: Vec<String>,
    /// Hosts that pictures of messages are fetched from. Default: none
    ///
    /// Such as example.org or, for all below it, .example.org; addresses of private networks are
    /// never fetched. Without it pictures come as data: URLs.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_FETCH_IMAGES",
        value_name = "HOST",
        value_delimiter = ','
    )]
    fetch_images: Vec<String>,
}

impl OpenAiArgs {
    /// Sets presets and hosts in `config`. Returns all mistakes together.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Result<(), Vec<String>> {
        let mut mistakes = Vec::new();
        let mut openai = OpenAiConfig::default();
        for text in &self.preset {
            let added = openai.presets.add(text);
            mistakes.extend(added.err().map(|e| format!("--preset {e}")));
        }
        match ImageHosts::new(&self.fetch_images) {
            Ok(hosts) => openai.image_hosts = hosts,
            Err(e) => mistakes.push(format!("--fetch-images {e}")),
        }
        config.openai = openai;
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(mistakes)
        }
    }
}
