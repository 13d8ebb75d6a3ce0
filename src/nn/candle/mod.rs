//! Attention by candle's operations.

pub(super) mod attention;
