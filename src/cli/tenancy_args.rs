//! `serve`'s flags of what clients may load, and which pages may call.

use std::path::PathBuf;

use axum::http::{HeaderValue, Uri};
use clap::Args;

use crate::pipeline::{Patterns, Places};
use crate::server::ServerConfig;

/// Heading of these flags in help texts.
const HEADING: &str = "Access";

/// Places and origins.
#[derive(Debug, Clone, Args)]
pub(super) struct TenancyArgs {
    /// Let clients load and unload models; with --api-keys those with an admin's key
    ///
    /// They may name any folder of this machine and any id of the hub, unless --model-root and
    /// --model-hub say which.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_ALLOW_LOAD",
        action = clap::ArgAction::SetTrue,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    allow_load: bool,
    /// Folder below which clients may have models, adapters, projectors and templates loaded
    ///
    /// Links that lead out of it are not followed. Repeat for several. Default: any folder, unless
    /// --model-hub is set.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_MODEL_ROOT",
        value_name = "FOLDER",
        value_delimiter = ','
    )]
    model_root: Vec<PathBuf>,
    /// Ids of the hub that clients may have loaded, such as llava-hf/*
    ///
    /// With commas between several. Default: any id, unless --model-root is set.
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_MODEL_HUB", value_name = "IDS")]
    model_hub: Option<Patterns>,
    /// Origin whose web pages may call the server, such as https://lab.example
    ///
    /// Or * for all. Repeat for several. Default: none.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    cors_origin: Vec<String>,
}

impl TenancyArgs {
    /// Sets places and origins in `config`, and returns the mistakes.
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
        config.allow_load = self.allow_load;
        mistakes
    }
}

/// Parses an origin as browsers send it: scheme, host and port, and nothing behind.
fn origin(text: &str) -> Option<HeaderValue> {
    if text != "*" {
        let uri: Uri = text.parse().ok()?;
        // Browsers send no path and no slash: one in the flag would match nothing.
        let is_bare = format!("{}://{}", uri.scheme_str()?, uri.authority()?) == text;
        if !is_bare {
            return None;
        }
    }
    HeaderValue::from_str(text).ok()
}
