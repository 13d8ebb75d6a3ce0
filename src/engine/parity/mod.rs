//! Parity with Hugging Face transformers: golden sets, and the comparison of a case with one.

mod check;
mod golden_set;

pub use check::CaseComparison;
pub(in crate::engine) use check::ParityCheck;
pub use golden_set::{
    Case, Error, GoldenSet, HALF_TOLERANCE, Prepared, Reader, Resident, TOLERANCE, kind,
};
