//! The error of a row.

/// A row of a benchmark that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{message}", if *.line > 0 { format!("line {line}: ") } else { String::new() })]
pub struct Error {
    /// The line, from 1 with the header counted; 0 for the whole file.
    pub line: usize,
    /// The reason.
    pub message: String,
}
