//! Rust client of the Scotoma server.
//!
//! ```no_run
//! # async fn run() -> Result<(), scotoma_client::Error> {
//! use scotoma_client::{Client, GenerateRequest, permute_tokens, prompt};
//!
//! let mut client = Client::connect("http://127.0.0.1:7878").await?;
//! let image = std::fs::read("picture.png").unwrap_or_default();
//! let request = GenerateRequest {
//!     prompt: Some(prompt("Is there a red circle?", [image])),
//!     interventions: vec![permute_tokens(7)],
//!     ..Default::default()
//! };
//! let mut answer = client.generate(request).await?;
//! while let Some(token) = answer.next().await? {
//!     print!("{}", token.text);
//! }
//! # Ok(())
//! # }
//! ```

mod call;
mod client;
mod connect;
mod error;
mod interventions;
mod messages;
mod parquet;
mod results;
mod rows;
mod run;
mod selectors;
mod servers;
mod stream;
#[cfg(feature = "opentelemetry")]
mod trace;

pub use scotoma_proto::v1;

pub use client::{Client, image, prompt};
pub use connect::Connect;
pub use error::{Error, FieldViolation};
pub use interventions::{
    ablate, add_noise, blank_image, blank_image_of, clamp_norm, drop_layers, drop_tower_layers,
    exit_early, knock_out_attention, occlude_at_random, occlude_patches, occlude_salient, patch,
    patch_kept, patch_rows, permute_tokens, permute_tokens_to, project_out, prune_tokens,
    repeat_layers, replace_tokens, replace_tokens_by_noise, replace_tokens_by_picture, scale,
    select_tokens, set_feature, shuffle_patches, shuffle_patches_to, steer,
    swap_projector_at_random, swap_projector_by_identity, swap_projector_by_name, target,
};
pub use messages::{assistant, messages, system, user};
pub use parquet::Parquet;
pub use results::read_results;
pub use rows::{Rows, rows};
pub use selectors::{At, at};
pub use stream::{Answer, Capture, Evaluation, Question};
pub use v1::{
    AttributeRequest, AttributeResponse, CaptureRequest, CaptureTarget, Finished, GenerateRequest,
    Intervention, ModelInfo, PreviewRequest, PreviewResponse, Sampling, ScoreRequest,
    ScoreResponse, Started, SweepRequest, SweepResponse, Token, TraceRequest, TraceResponse,
    VerifyRequest, VerifyResponse,
};

/// Sets of tokens by what they are: `tokens::visual() | tokens::last()`, `!tokens::block(2, [3])`.
pub mod tokens {
    pub use crate::selectors::{
        Complement, TokenSet, assistant, base_view, block, class, generated, image, last, measured,
        measured_by, newline, numbered, question, random, salient, system, text, tile, turn, user,
        visual,
    };
}
