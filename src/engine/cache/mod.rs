//! Caches of earlier work, each bounded.

pub(super) mod bytes;
pub(super) mod encoder;
pub(super) mod prefix;
