//! Benchmarks: items, how a question is put and an answer read, what all of them come to and how
//! sure that is. It must not know protobuf or tensors.

pub mod alignment;
pub mod analysis;
pub mod data;
pub mod experiments;
mod extract;
mod item;
pub mod judge;
mod metrics;
pub mod report;
mod shapes;
mod stats;
pub mod substitute;
mod tasks;

pub use extract::normal_math;
pub use item::{Item, Verdict};
pub use metrics::{Comparison, Label, Metric, Outcome, compare};
pub use report::png;
pub use shapes::{category_order, shapes};
pub use stats::{Interval, wilson};
pub use tasks::{RULES, Rule, rule};

/// Why a row of a benchmark cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{message}", if *.line > 0 { format!("line {line}: ") } else { String::new() })]
pub struct Error {
    /// From 1, the header counted; 0 where it is the whole file.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Tells ids apart in little memory.
pub fn digest(id: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
    digest
}

/// `template` with each `{name}` of `values` filled in, in one pass, so that a value that holds a
/// name in braces stays as it is.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    pieces(template, values).collect()
}

/// Bytes of what [`fill`] makes.
pub fn filled_bytes(template: &str, values: &[(&str, &str)]) -> usize {
    pieces(template, values).fold(0, |sum, piece| sum.saturating_add(piece.len()))
}

/// Values, and what stands between them.
fn pieces<'a>(
    template: &'a str,
    values: &'a [(&'a str, &'a str)],
) -> impl Iterator<Item = &'a str> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let named = |(name, value): &(&str, &'a str)| {
            let after = rest
                .strip_prefix('{')?
                .strip_prefix(name)?
                .strip_prefix('}')?;
            Some((*value, after))
        };
        let plain = || {
            let next = rest.char_indices().skip(1).find(|(_, c)| *c == '{');
            rest.split_at(next.map_or(rest.len(), |(at, _)| at))
        };
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = values.iter().find_map(named).unwrap_or_else(plain);
        rest = after;
        Some(piece)
    })
}
