//! The forward pass by candle's operations, where they need arranging: attention on a GPU.

pub(super) mod attention;
