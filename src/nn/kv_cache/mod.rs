//! Keys and values of sequences: [`sequence`] keeps those of one sequence with the checkpoints of
//! its residual stream, [`slots`] those of all sequences that decode on a GPU.

pub(super) mod sequence;
pub(super) mod slots;
