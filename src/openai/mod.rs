//! Serves the part of OpenAI's HTTP API that tools for vision-language models speak, so that they
//! call this server unmodified: `/v1/chat/completions`, `/v1/completions`, `/v1/models`. Beyond it
//! a body may carry `interventions` and `sample_key`, models appear once more under each preset as
//! `MODEL:PRESET`, and `/v1/records/{digest}` gives the record that an answer names.
//!
//! What a body asks is the pipeline's own request, so an answer has the same bits whichever door it
//! came through. A field that would be dropped is an error.

mod body;
mod chat;
mod completions;
mod error;
mod images;
mod logprobs;
mod models;
mod presets;
mod sampling;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

pub use error::in_openai_form;
pub use images::ImageHosts;
pub use presets::Presets;

use crate::api;
use crate::engine::ByteCache;

/// Bytes of records that are kept for `/v1/records`; the least recently used make room.
const RECORD_BYTES: u64 = 64 << 20;

/// Lists the paths that answer with a model's work, each with its label in metrics and logs.
pub const METHODS: [(&str, &str); 2] = [
    ("/v1/chat/completions", "chat.completions"),
    ("/v1/completions", "completions"),
];

/// Configures the door.
#[derive(Debug, Clone, Default)]
pub struct OpenAiConfig {
    /// Names lists of interventions.
    pub presets: Presets,
    /// Lists the hosts that pictures are fetched from; none: pictures come as data URLs.
    pub image_hosts: ImageHosts,
}

/// Keeps records by tenant and digest, so that no client reads another's.
type Records = ByteCache<(Arc<str>, String), Arc<str>>;

/// Holds what the handlers share.
#[derive(Debug)]
struct Door {
    state: Arc<api::State>,
    config: OpenAiConfig,
    records: Records,
}

/// Returns the routes. Errors stand in the head of their responses as gRPC statuses, which the
/// layers of all services read; [`in_openai_form`] has to be the outermost layer.
pub fn router(state: Arc<api::State>, config: OpenAiConfig) -> Router {
    let limit = state.limits.message_bytes;
    let door = Door {
        state,
        config,
        records: ByteCache::new(1024, RECORD_BYTES, |(tenant, digest), record| {
            (tenant.len() + digest.len() + record.len()) as u64
        }),
    };
    let [(chat, _), (completions, _)] = METHODS;
    Router::new()
        .route(chat, post(chat::create))
        .route(completions, post(completions::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::retrieve))
        .route("/v1/records/{digest}", get(models::record))
        .layer(DefaultBodyLimit::max(limit))
        .with_state(Arc::new(door))
}
