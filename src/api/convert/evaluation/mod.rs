//! Messages of BenchmarkService to the types of a run, and back.

mod event;
mod header;
mod question;

pub use event::verdict_of;
pub(in crate::api) use event::{event, known};
pub(in crate::api) use header::{PreparedEvaluation, prepare};
pub use header::{open_seed, rule_of};
pub(in crate::api) use question::{question, row};
