//! Scotoma: LLaVA-family models, resident, under composable interventions, over gRPC.
//!
//! The layers are the data path. **A layer imports only those below it**, as tests/layering.rs
//! holds:
//!
//! | layer | what it does |
//! |---|---|
//! | [`cli`] | the commands |
//! | [`server`] | services assembled behind their layers |
//! | [`openai`] | OpenAI's HTTP API over the same pipeline |
//! | [`api`] | the contract: validates, converts, serves, maps errors to statuses |
//! | [`evaluate`] | benchmarks run over the pipeline: items in, verdicts and metrics out |
//! | [`pipeline`] | requests in the server's own terms: prepared, compiled, run, recorded |
//! | [`benchmark`] | benchmarks, answer extraction, intervals |
//! | [`engine`] | admission, scheduling, packed batches, sampling |
//! | [`intervention`] | interventions as data, compiled to a plan and applied at hook points |
//! | [`model`] | architectures: configuration, processor, forward |
//! | [`nn`] | blocks that call hook points |
//! | [`vision`] | picture bytes to pixels |
//! | [`weights`] | checkpoints to tensors |
//! | [`telemetry`] | the table of metrics, logs, build information |
//! | [`field_path`] | how errors name the fields of requests |

pub mod api;
pub mod benchmark;
pub mod cli;
pub mod engine;
pub mod evaluate;
pub mod field_path;
pub mod intervention;
pub mod model;
pub mod nn;
pub mod openai;
pub mod pipeline;
pub mod server;
pub mod telemetry;
pub mod vision;
pub mod weights;
