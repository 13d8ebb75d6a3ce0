//! Scotoma: LLaVA-family models, resident, under composable interventions, over gRPC.
//!
//! The folders are the data path, and **a folder imports only folders that stand after it in the
//! alphabet**:
//!
//! | folder | what it does |
//! |---|---|
//! | [`api`] | the contract: validates, converts, serves, maps errors to statuses |
//! | [`benchmark`] | benchmarks, answer extraction, intervals |
//! | [`engine`] | admission, scheduling, packed batches, sampling |
//! | [`intervention`] | interventions as data, compiled to a plan and applied at hook points |
//! | [`model`] | architectures: configuration, processor, forward |
//! | [`nn`] | blocks that call hook points |
//! | [`telemetry`] | the table of metrics, logs, build information |
//! | [`vision`] | picture bytes to pixels |
//! | [`weights`] | checkpoints to tensors |

pub mod api;
pub mod benchmark;
pub mod cli;
pub mod engine;
pub mod intervention;
pub mod model;
pub mod nn;
pub mod pipeline;
pub mod server;
pub mod telemetry;
pub mod vision;
pub mod weights;
