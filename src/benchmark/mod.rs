//! Benchmarks: items, how an answer is read, and how sure a score is. It must not know protobuf or tensors.

mod interval;
mod shapes;

pub use interval::{Interval, wilson};
pub use shapes::{Item, Verdict, category_order, judge, shapes};

/// Why a benchmark cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Error {
    /// From 1, the header counted.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}
