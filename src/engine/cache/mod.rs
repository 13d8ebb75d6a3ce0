//! Caches of earlier work, each bounded.

pub(super) mod prefix;
