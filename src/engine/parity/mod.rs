//! Parity with Hugging Face transformers: golden sets, and the comparison of a case with one; and
//! of a model with itself in another format of weights.

mod check;
mod formats;
mod golden_set;

pub use check::CaseComparison;
pub(in crate::engine) use check::ParityCheck;
pub use formats::{FormatComparison, compare_formats};
pub use golden_set::{
    Case, Error, GoldenSet, HALF_TOLERANCE, Prepared, Reader, Resident, TOLERANCE, kind,
};
