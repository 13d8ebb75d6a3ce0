//! The blocks that transformers are made of. Every GEMM and every attention of the server lives
//! here.
//!
//! Tensors are *packed rows*: the rows of all sequences of a step stand end to end in one `(R, D)`
//! tensor without padding, and [`Layout`] says which rows are whose. Linear layers, norms and
//! activations see rows and nothing else; attention runs per sequence over its own keys. So
//! sequences under different interventions share every GEMM.
//!
//! Neither the kernels of this crate nor candle's fused ones have a backward. Where an input is
//! tracked, that is where it depends on a `Var`, each layer takes operations that candle's autograd
//! goes back through, in f32; [`GradientPass`](crate::model::GradientPass) alone makes variables.
//!
//! This folder knows tensors and hook points; it must never see an intervention, a prompt or a
//! request.

mod activation;
mod attention;
mod attention_inputs;
mod attention_plan;
mod attention_pool;
mod backend;
mod block;
mod block_weight;
mod candle;
#[expect(
    clippy::inline_always,
    reason = "code is compiled for an instruction set only where it is inlined"
)]
mod cpu;
mod cpu_attention;
mod cuda;
mod device;
pub mod digest;
mod hook;
#[cfg(test)]
mod kernel_reference;
mod kv_cache;
mod layout;
mod linear;
mod micro_batch;
mod norm;
mod rope;
mod storage;
mod transformer;

pub use activation::Activation;
pub use attention::{Attention, PassState, softmax};
pub use attention_pool::AttentionPool;
pub use backend::{Backend, use_candle};
pub use block::{Block, Mlp};
pub use candle::attention::likeliest;
pub use candle_core::Result;
pub use cuda::open as open_gpu;
pub use device::{
    DeviceGroup, DeviceId, Held, Home, HostTensor, OnDevice, for_host, is_home, let_go, strays,
};
pub use hook::{HOOK_TABLE, HookRow, Hooks, NoHooks, Point, Site, Stack, nearest_hook};
pub use kv_cache::memory::MemoryTracker;
pub use kv_cache::sequence::{ResidualCheckpoint, SequenceCache};
pub use kv_cache::slots::DecodeSlots;
pub use kv_cache::static_cache::static_room;
pub use layout::{Layout, Span, replace_rows, scatter_rows};
pub use linear::Linear;
pub use micro_batch::to_device;
pub use norm::Norm;
pub use rope::{Frequencies, Rope, RopeRows};
pub use transformer::Transformer;
