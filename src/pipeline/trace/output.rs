//! Results of traces in the server's own terms.

use crate::pipeline::error::Error;
use crate::pipeline::record::Provenance;

/// Says what a trace will take, before anything runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceStarted {
    /// Counts the cells that will come.
    pub cells: usize,
    /// Cells for which nothing is computed.
    pub unchanged: usize,
    /// (row, layer) pairs that will be computed.
    pub rows: u64,
    /// (row, layer) pairs of all cells, each as a request of its own.
    pub rows_naive: u64,
    /// Floating-point operations.
    pub flops: u64,
}

/// Reports what happens to a trace.
#[derive(Debug)]
pub enum TraceEvent {
    /// The two runs without patches have been measured: the clean one, the corrupted one.
    Baseline(f64, f64),
    /// A cell is done.
    Cell(TraceCell),
}

/// The result of one cell.
#[derive(Debug)]
pub struct TraceCell {
    /// The places along points, layers, positions and heads.
    pub places: [usize; 4],
    /// The metric; an error ends this cell alone.
    pub value: Result<f64, Error>,
    /// The share of the way from the corrupted to the clean run; `None` where these are equal.
    pub effect: Option<f64>,
    /// (row, layer) pairs that were computed for it.
    pub rows: u64,
}

/// The end of a trace.
#[derive(Debug)]
pub struct TraceFinished {
    /// Cells that have a result.
    pub cells: u32,
    /// Cells whose result is an error.
    pub failed: u32,
    /// (row, layer) pairs that were computed.
    pub rows_computed: u64,
    /// (row, layer) pairs that cells by themselves would have taken beside them.
    pub rows_reused: u64,
    /// Floating-point operations.
    pub flops: u64,
    /// The record that it can be repeated from.
    pub provenance: Provenance,
}
