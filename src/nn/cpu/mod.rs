//! The kernels of the CPU: slices of numbers in, slices of numbers out, f32 inside, compiled for
//! each instruction set that a machine may have.
//!
//! Every kernel computes one value by one fixed chain of operations, whatever shares the call and
//! however wide the vectors are. This folder imports nothing of the rest of the crate.

pub(super) mod activation;
pub(super) mod attention;
#[cfg(target_arch = "x86_64")]
mod bf16;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_bf16.rs"]
mod bf16;
pub(super) mod blocks;
pub(super) mod gemm;
pub(super) mod norm;
pub(super) mod pack;
pub(super) mod rope;
pub(super) mod simd;
pub(super) mod tiles;
