//! Which rows of a packed tensor belong to which sequence.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::Result;

/// The rows of one sequence (or of one picture, in the vision tower).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Whose rows: an index that the caller chose, handed back to the hooks.
    pub sequence: usize,
    /// Which picture of the sequence, in the tower and the projector; 0 elsewhere.
    pub image: usize,
    /// The rows in the packed tensor.
    pub rows: Range<usize>,
    /// Position of the first row in its sequence: the number of keys already cached.
    pub position: usize,
}

/// The spans of a packed tensor, end to end: first those that are prefilled, then those that decode one row each.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// End to end, from row 0.
    pub spans: Vec<Span>,
    /// Rows of the prefilled spans, which come first.
    pub prefill_rows: usize,
}

impl Layout {
    /// Appends `rows` prefill rows of `sequence`. All prefill spans come before the first decode span.
    pub fn prefill(&mut self, sequence: usize, image: usize, rows: usize, position: usize) {
        debug_assert_eq!(self.prefill_rows, self.rows(), "prefill spans come first");
        self.push(sequence, image, rows, position);
        self.prefill_rows += rows;
    }

    /// Appends the one row of a sequence that decodes.
    pub fn decode(&mut self, sequence: usize, position: usize) {
        self.push(sequence, 0, 1, position);
    }

    fn push(&mut self, sequence: usize, image: usize, rows: usize, position: usize) {
        let start = self.rows();
        self.spans.push(Span { sequence, image, rows: start..start + rows, position });
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.spans.last().map_or(0, |s| s.rows.end)
    }

    /// The position of every row.
    pub fn positions(&self) -> impl Iterator<Item = u32> + '_ {
        self.spans.iter().flat_map(|s| (0..s.rows.len()).map(|i| (s.position + i) as u32))
    }

    /// The spans chosen by `keep`, packed anew, with the rows they had.
    pub fn select(&self, keep: impl Fn(&Span) -> bool) -> (Self, Vec<u32>) {
        let mut chosen = Self::default();
        let mut rows = Vec::new();
        for span in self.spans.iter().filter(|s| keep(s)) {
            chosen.push(span.sequence, span.image, span.rows.len(), span.position);
            if span.rows.end <= self.prefill_rows {
                chosen.prefill_rows += span.rows.len();
            }
            rows.extend(span.rows.clone().map(|r| r as u32));
        }
        (chosen, rows)
    }
}

/// `x` with its rows `rows` replaced by those of `new`; `rows` ascends.
pub(super) fn scatter_rows(x: &Tensor, new: &Tensor, rows: &[u32], device: &Device) -> Result<Tensor> {
    let total = x.dim(0)?;
    let mut index: Vec<u32> = (0..total as u32).collect();
    for (i, &row) in rows.iter().enumerate() {
        index[row as usize] = (total + i) as u32;
    }
    let index = Tensor::from_vec(index, total, device)?;
    Tensor::cat(&[x, new], 0)?.index_select(&index, 0)
}
