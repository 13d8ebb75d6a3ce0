//! Keys and values of sequences.
//!
//! [`sequence`] keeps those of one sequence, with checkpoints of its residual stream. While it
//! decodes on a GPU they are in a [`static_cache`] of its own, which our kernels read; where candle
//! attends, in [`slots`] beside those of all others. [`memory`] counts the bytes of all.

pub(super) mod cached_keys;
pub(super) mod memory;
pub(super) mod sequence;
pub(super) mod slots;
pub(super) mod static_cache;
