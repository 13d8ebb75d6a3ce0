//! Trace: activation patching over a grid. Two inputs run, activations of one are written over those
//! of the other cell by cell, and each cell is measured.
//!
//! A cell is a variant of the run that is patched, and is planned as one of a sweep is: it computes
//! the rows from the patched layer and token on, and takes all else from the unpatched run.

mod axes;
mod cells;
mod output;
mod path;
mod plan;
mod request;
mod run;
mod words;

pub use axes::{Axes, TracePosition};
pub use output::{TraceCell, TraceEvent, TraceFinished, TraceStarted};
pub use plan::Trace;
pub use request::{Direction, TraceInput, TracePath, TraceRequest, Via};
