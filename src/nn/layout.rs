//! Which rows of a packed tensor belong to which sequence.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::Result;

/// The rows of one sequence (or of one view of a picture, in the tower and the projector).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Whose rows: an index that the caller chose, handed back to the hooks.
    pub sequence: usize,
    /// Which picture of the sequence, in the tower and the projector; 0 elsewhere.
    pub image: usize,
    /// Which view of the picture, in the tower and the projector; 0 elsewhere.
    pub view: usize,
    /// The rows in the packed tensor.
    pub rows: Range<usize>,
    /// The number of each row's token in its sequence, picture or view; ascending.
    pub tokens: Arc<[u32]>,
    /// The rotary position of each row.
    pub positions: Arc<[u32]>,
    /// At `hook_attn_scores` and `hook_pattern` the token of each key; empty elsewhere.
    pub keys: Arc<[u32]>,
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
    /// Appends `rows` prefill rows of a sequence, or of a view of a picture: tokens 0, 1, ... at positions of the same number.
    pub fn prefill(&mut self, sequence: usize, (image, view): (usize, usize), rows: usize) {
        let tokens: Arc<[u32]> = (0..rows as u32).collect();
        self.prefill_at(sequence, (image, view), tokens.clone(), tokens);
    }

    /// Appends prefill rows of these tokens at these positions. All prefill spans come before the first decode span.
    pub fn prefill_at(
        &mut self,
        sequence: usize,
        (image, view): (usize, usize),
        tokens: Arc<[u32]>,
        positions: Arc<[u32]>,
    ) {
        debug_assert_eq!(self.prefill_rows, self.rows(), "prefill spans come first");
        self.prefill_rows += tokens.len();
        self.push(Span { sequence, image, view, rows: 0..0, tokens, positions, keys: Arc::default() });
    }

    /// Appends the one row of a sequence that decodes its token number `token`.
    pub fn decode(&mut self, sequence: usize, token: u32, position: u32) {
        let (tokens, positions) = (Arc::from([token]), Arc::from([position]));
        self.push(Span { sequence, image: 0, view: 0, rows: 0..0, tokens, positions, keys: Arc::default() });
    }

    fn push(&mut self, span: Span) {
        let start = self.rows();
        self.spans.push(Span { rows: start..start + span.tokens.len(), ..span });
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.spans.last().map_or(0, |s| s.rows.end)
    }

    /// The rotary position of every row.
    pub fn positions(&self) -> impl Iterator<Item = u32> + '_ {
        self.spans.iter().flat_map(|s| s.positions.iter().copied())
    }

    /// The spans chosen by `keep` (by number), packed anew, with the rows they had.
    pub fn select(&self, keep: impl Fn(usize) -> bool) -> (Self, Vec<u32>) {
        let mut chosen = Self::default();
        let mut rows = Vec::new();
        for (_, span) in self.spans.iter().enumerate().filter(|(i, _)| keep(*i)) {
            chosen.push_like(self, span);
            rows.extend(span.rows.clone().map(|r| r as u32));
        }
        (chosen, rows)
    }

    /// Of each span the rows in `kept` (ascending, counted within the span), or all where that is `None`; packed anew, with the
    /// rows they had.
    pub fn thin(&self, kept: &[Option<Vec<u32>>]) -> (Self, Vec<u32>) {
        let mut thinned = Self::default();
        let mut rows = Vec::new();
        for (span, kept) in self.spans.iter().zip(kept) {
            let all: Vec<u32>;
            let kept = if let Some(kept) = kept {
                kept
            } else {
                all = (0..span.rows.len() as u32).collect();
                &all
            };
            let at = |values: &[u32]| kept.iter().filter_map(|&i| values.get(i as usize).copied()).collect();
            let span = Span { tokens: at(&span.tokens), positions: at(&span.positions), ..span.clone() };
            rows.extend(kept.iter().map(|i| span.rows.start as u32 + i));
            thinned.push_like(self, &span);
        }
        (thinned, rows)
    }

    /// Appends `span` of `other`, as prefill rows if they are so there.
    fn push_like(&mut self, other: &Self, span: &Span) {
        self.push(span.clone());
        if span.rows.end <= other.prefill_rows {
            self.prefill_rows += span.tokens.len();
        }
    }
}

/// `x` with its rows `rows` replaced by those of `new`; `rows` ascends.
pub fn scatter_rows(x: &Tensor, new: &Tensor, rows: &[u32], device: &Device) -> Result<Tensor> {
    let total = x.dim(0)?;
    let mut index: Vec<u32> = (0..total as u32).collect();
    for (i, &row) in rows.iter().enumerate() {
        index[row as usize] = (total + i) as u32;
    }
    let index = Tensor::from_vec(index, total, device)?;
    Tensor::cat(&[x, new], 0)?.index_select(&index, 0)
}
