//! Serves the part of OpenAI's HTTP API that tools for vision-language models speak, so that they
//! call this server unmodified: `/v1/chat/completions`, `/v1/completions`, `/v1/models`. Beyond it
//! a body may carry `interventions` and `sample_key`, models appear once more under each preset as
//! `MODEL:PRESET`, and `/v1/records/{digest}` gives the record that an answer names.
//!
//! What a body asks is the pipeline's own request, so an answer has the same bits whichever door it
//! came through. A field that would be dropped is an error.

mod answer;
mod body;
mod chat;
mod completions;
mod door;
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
use axum::routing::{any, get, post};

pub use door::OpenAiConfig;
pub use error::in_openai_form;
pub use images::ImageHosts;
pub use presets::Presets;

use crate::api;
use door::Door;

/// Lists the paths that answer with a model's work, each with its label in metrics and logs.
pub const METHODS: [(&str, &str); 2] = [
    ("/v1/chat/completions", "chat.completions"),
    ("/v1/completions", "completions"),
];

/// Returns the routes. Errors stand in the head of their responses as gRPC statuses, which the
/// layers of all services read; [`in_openai_form`] has to be the outermost layer.
pub fn router(state: Arc<api::State>, config: OpenAiConfig) -> Router {
    let limit = state.limits.message_bytes;
    let [(chat, _), (completions, _)] = METHODS;
    Router::new()
        .route(chat, post(chat::create))
        .route(completions, post(completions::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::retrieve))
        .route("/v1/records/{digest}", get(models::record))
        .route("/v1/{*path}", any(error::unknown_path))
        .method_not_allowed_fallback(error::unknown_method)
        .layer(DefaultBodyLimit::max(limit))
        .with_state(Arc::new(Door::new(state, config)))
}
