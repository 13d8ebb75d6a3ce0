//! What is kept of earlier work: prompts that were read.

pub(super) mod prefix;
