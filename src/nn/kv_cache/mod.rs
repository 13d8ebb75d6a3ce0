//! Keys and values of sequences.
//!
//! [`sequence`] keeps those of one sequence, with checkpoints of its residual stream; [`slots`]
//! those of all sequences that decode together where candle computes; [`memory`] counts the bytes
//! of both.

pub(super) mod memory;
pub(super) mod sequence;
pub(super) mod slots;
