//! Benchmarks: items, how a question is put and an answer read, what all of them come to and how sure that is. It must not know
//! protobuf or tensors.

pub mod analysis;
pub mod data;
pub mod experiment;
mod interval;
mod item;
mod read;
pub mod report;
mod rules;
mod shapes;
mod summary;

pub use interval::{Interval, wilson};
pub use item::{Item, Verdict};
pub use read::normal_math;
pub use rules::{RULES, Rule, rule};
pub use shapes::{category_order, shapes};
pub use summary::{Metric, Outcome, bootstrap, mcnemar};

/// Why a row of a benchmark cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Error {
    /// From 1, the header counted; 0 where it is the file.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}
