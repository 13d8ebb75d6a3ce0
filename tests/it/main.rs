//! Integration tests: one crate, so that the server is linked once for all of them. Run a part with
//! `cargo test --test it NAME::`.
//!
//! A test that reads or changes what belongs to the whole process (metrics, memory, the panic
//! hook) stands in tests/process.rs instead.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "../common/mod.rs"]
mod common;

mod attribute;
mod certificate;
mod clients;
mod command_line;
mod configuration;
mod docs;
mod down;
mod encoders;
mod evaluate;
mod faults;
mod features;
mod generation;
mod goldens;
mod gradients;
mod hub;
mod interventions;
mod judges;
mod laws;
mod layers;
mod loading;
mod openai;
mod outputs;
mod page;
mod pictures;
mod processors;
mod pruning;
mod quantized;
mod reference;
mod reports;
mod results;
mod scheduling;
mod shards;
mod sizes;
mod spread;
mod state;
mod surfaces;
mod sweeps;
mod tables;
mod templates;
mod tenancy;
mod trace;
mod wire;
mod zoo;
