//! Reading a model: where its files are, what they say, and what is refused.

pub(super) mod config;
mod device_map;
pub(super) mod embedded;
mod gathered;
pub(super) mod gguf;
pub(super) mod hub;
pub(super) mod loader;
mod memory_plan;
pub(super) mod origin;
mod original;
pub(super) mod source;
pub(super) mod unsupported;
