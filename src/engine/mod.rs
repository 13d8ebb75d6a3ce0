//! The engine: one thread per device owns the forward pass, and packs the rows of all requests into
//! one batch.
//!
//! It sees token ids, pixels and plans; it must never see a prompt's text or protobuf.
//!
//! A request lives so: [`Engine::submit`] plans its sequences (see [`reuse`]) and admits it or
//! refuses it at once; in every step, chunks of prompts are read beside the decode rows of the
//! sequences that generate already, fairly among clients; sequences start from another one as soon
//! as its prompt is read. A request whose [`Events`] are dropped frees its rows at the next step;
//! deadlines are checked before every step.
//!
//! `scheduler` decides, `worker` acts, `model_runner` computes. Passes that generate nothing
//! (`auxiliary`) are admitted and scheduled like requests, and run between the steps of others.

mod active;
mod admission;
mod auxiliary;
mod cache;
mod cost;
mod deadline;
mod encoder;
mod error;
mod event;
mod fault;
mod guard;
mod handle;
mod limits;
mod load;
mod measure;
mod measure_rows;
mod model_runner;
mod owned;
pub mod parity;
mod processors;
mod request;
pub mod reuse;
mod sampler;
mod scheduler;
mod sequence;
mod worker;

pub use active::digest_of_digests;
pub use admission::QueueLength;
pub use cache::bytes::ByteCache;
pub use cost::Cost;
pub use deadline::Deadline;
pub use error::Error;
pub use event::{
    Distributions, Event, Events, Finish, Measured, Prefilled, Timing, Token, VariantEvent,
};
pub use fault::{DeviceState, StepCheck};
pub use handle::{Engine, PlannedRequest};
pub use limits::Limits;
pub use measure::Measure;
pub use measure_rows::MeasureRows;
pub use request::{ClientId, Request, Task, Variant};
pub use sampler::Sampling;
