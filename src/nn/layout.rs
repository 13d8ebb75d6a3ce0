//! Which rows of a packed tensor belong to which sequence.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

/// The rows of one sequence (or of one view of a picture, in the tower and the projector).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// The rotary position of each row; a row of the table of angles, see
    /// [`Rope::row`](super::Rope::row).
    pub positions: Arc<[u32]>,
    /// How many layers of its path the rows have passed.
    pub slot: usize,
    /// At `hook_attn_scores` and `hook_pattern` the token of each key; empty elsewhere.
    pub keys: Arc<[u32]>,
}

/// The spans of a packed tensor, end to end.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// End to end, from row 0.
    pub spans: Vec<Span>,
}

impl Layout {
    /// Appends the `rows` rows of a view of a picture, or of a sequence: tokens 0, 1, ... at
    /// positions of the same number.
    pub fn whole(&mut self, sequence: usize, (image, view): (usize, usize), rows: usize) {
        let tokens: Arc<[u32]> = (0..rows as u32).collect();
        self.push(Span {
            sequence,
            image,
            view,
            tokens: tokens.clone(),
            positions: tokens,
            ..Span::default()
        });
    }

    /// Appends rows of a sequence: these tokens at these positions, which have passed `slot`
    /// layers.
    pub fn rows_of(
        &mut self,
        sequence: usize,
        slot: usize,
        tokens: Arc<[u32]>,
        positions: Arc<[u32]>,
    ) {
        self.push(Span {
            sequence,
            tokens,
            positions,
            slot,
            ..Span::default()
        });
    }

    /// Appends `span` at the end, wherever its rows were.
    pub fn push(&mut self, span: Span) {
        let start = self.rows();
        self.spans.push(Span {
            rows: start..start + span.tokens.len(),
            ..span
        });
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
            chosen.push(span.clone());
            rows.extend(span.rows.clone().map(|r| r as u32));
        }
        (chosen, rows)
    }

    /// Of each span the rows in `kept` (ascending, counted within the span), or all where that is
    /// `None`; packed anew, with the rows they had.
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
            let at = |values: &[u32]| {
                kept.iter()
                    .filter_map(|&i| values.get(i as usize).copied())
                    .collect()
            };
            rows.extend(kept.iter().map(|i| span.rows.start as u32 + i));
            let span = Span {
                tokens: at(&span.tokens),
                positions: at(&span.positions),
                ..span.clone()
            };
            thinned.push(span);
        }
        (thinned, rows)
    }
}

/// `value` with `parts` in place of the rows that they are of (ascending), which may be more or
/// fewer.
pub fn replace_rows(value: Tensor, parts: Vec<(Range<usize>, Tensor)>) -> Result<Tensor> {
    if parts.is_empty() {
        return Ok(value);
    }
    let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
    let mut next = 0;
    for (rows, part) in parts {
        pieces.push(value.narrow(0, next, rows.start - next)?);
        pieces.push(part);
        next = rows.end;
    }
    pieces.push(value.narrow(0, next, value.dim(0)? - next)?);
    let mut rest: Vec<Tensor> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if piece.dim(0)? > 0 {
            rest.push(piece);
        }
    }
    match rest.len() {
        0 => value.narrow(0, 0, 0),
        1 => Ok(rest.swap_remove(0)),
        _ => Tensor::cat(&rest, 0),
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
