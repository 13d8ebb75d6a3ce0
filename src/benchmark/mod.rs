//! Benchmarks: items, how a question is put and an answer read, metrics and their intervals. It must
//! not know protobuf or tensors.

pub mod alignment;
pub mod analysis;
pub mod data;
mod error;
pub mod experiments;
mod extract;
mod item;
pub mod judge;
mod metrics;
pub mod pruning;
pub mod report;
mod shapes;
mod shard;
mod stats;
pub mod substitute;
mod table_one;
mod tasks;
mod template;

pub use error::Error;
pub use extract::normal_math;
pub use item::{Item, Verdict, digest};
pub use metrics::{Comparison, ItemLabel, Metric, Outcome, compare};
pub use report::png;
pub use shapes::{category_order, shapes};
pub use shard::Shard;
pub use stats::{Interval, wilson};
pub use table_one::{Estimate, Permuted, permuted};
pub use tasks::{RULES, Rule, rule};
pub use template::{fill, filled_bytes};
