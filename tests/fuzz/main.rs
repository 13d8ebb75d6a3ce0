//! Mutated files, templates and requests: nothing panics, takes more memory or time than its limit,
//! or fails without naming what is wrong.
//!
//! `make fuzz` runs every target for FUZZ_SECONDS; FUZZ_TARGET names one, FUZZ_SEED starts
//! elsewhere, FUZZ_MEMORY is another limit in MiB. `cargo test --test fuzz` gives each target 200
//! inputs. An input that breaks a property is written to target/fuzz/TARGET.bin, and
//! FUZZ_INPUT=FILE runs it alone.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "../common/mod.rs"]
mod common;
mod files;
mod harness;
mod mutate;
mod targets;
mod wire;
