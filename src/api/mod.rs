//! The contract: validates, converts, serves, and maps errors to statuses. The only folder
//! that knows prost and tonic, but for `server` and the statuses of `openai`.
//!
//! A request lives so: [`inference`] takes it, `convert` makes a request of the pipeline of it, and
//! what the pipeline says is turned into messages until the stream ends.

pub mod benchmark_service;
mod convert;
mod error;
pub mod inference;
mod loaded;
pub mod model_service;
mod restore;
mod rpc;
mod state;
mod status;

pub use convert::evaluation::{open_seed, rule_of, verdict_of};
pub use convert::{capture_targets, drawn_interventions, interventions_from_json};
pub use error::Error;
pub use loaded::CommandLineModel;
pub use restore::unloaded;
pub(crate) use rpc::ResponseSender;
pub use state::{RESTART_DELAY, State};

pub use scotoma_proto::v1;
