//! The contract of the Scotoma server, compiled from `scotoma/v1/*.proto`.
//!
//! [`v1`] holds the messages, their canonical JSON (`serde`), the services' clients and servers,
//! and [`v1::DESCRIPTOR`]. [`for_each_intervention!`] lists the kinds of interventions.

// The macro is in scope for what stands below it.
include!(concat!(env!("OUT_DIR"), "/interventions.rs"));

mod convert;
mod oneof;

/// Messages and services of the package `scotoma.v1`.
#[expect(clippy::all, clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("scotoma.v1");
    include!(concat!(env!("OUT_DIR"), "/scotoma.v1.serde.rs"));

    /// The encoded descriptor set of the contract, for reflection.
    pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
}
