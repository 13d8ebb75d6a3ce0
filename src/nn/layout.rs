//! Maps the rows of a packed tensor to sequences.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

/// The rows of one sequence (or of one view of a picture, in the tower and the projector).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    /// The sequence: an index that the caller chose, handed back to the hooks.
    pub sequence: usize,
    /// The picture of the sequence, in the tower and the projector; 0 elsewhere.
    pub image: usize,
    /// The view of the picture, in the tower and the projector; 0 elsewhere.
    pub view: usize,
    /// The rows in the packed tensor.
    pub rows: Range<usize>,
    /// The number of each row's token in its sequence, picture or view; ascending.
    pub tokens: Arc<[u32]>,
    /// The rotary position of each row; a row of the table of angles, see
    /// [`Rope::row`](super::Rope::row), or a place, see [`Rope::place`](super::Rope::place).
    pub positions: Arc<[u32]>,
    /// Number of layers of its path that the rows have passed.
    pub layers_done: usize,
    /// The token of each key, at `hook_attn_scores` and `hook_pattern`; empty elsewhere.
    pub keys: Arc<[u32]>,
    /// The tokens whose rows are read after all layers, ascending; all of them where it is `None`.
    pub read: Option<Arc<[u32]>>,
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
    pub fn push_sequence(&mut self, sequence: usize, (image, view): (usize, usize), rows: usize) {
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

    /// Appends rows of a sequence: these tokens at these positions, which have passed
    /// `layers_done` layers.
    pub fn push_rows(
        &mut self,
        sequence: usize,
        layers_done: usize,
        tokens: Arc<[u32]>,
        positions: Arc<[u32]>,
    ) {
        self.push(Span {
            sequence,
            tokens,
            positions,
            layers_done,
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

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.spans.last().map_or(0, |s| s.rows.end)
    }

    /// Returns the rotary position of every row.
    pub fn positions(&self) -> impl Iterator<Item = u32> + '_ {
        self.spans.iter().flat_map(|s| s.positions.iter().copied())
    }

    /// Returns the spans that `keep` chooses by number, packed anew, with the rows they had.
    pub fn select(&self, keep: impl Fn(usize) -> bool) -> (Self, Vec<u32>) {
        let mut chosen = Self::default();
        let mut rows = Vec::new();
        for (_, span) in self.spans.iter().enumerate().filter(|(i, _)| keep(*i)) {
            chosen.push(span.clone());
            rows.extend(span.rows.clone().map(|r| r as u32));
        }
        (chosen, rows)
    }

    /// Returns the rows of each span in `kept` (ascending, counted within the span), or all where
    /// that is `None`; packed anew, with the rows they had.
    pub fn retain_rows(&self, kept: &[Option<Vec<u32>>]) -> (Self, Vec<u32>) {
        let mut retained = Self::default();
        let mut rows = Vec::new();
        for (span, kept) in self.spans.iter().zip(kept) {
            let all: Vec<u32>;
            let kept = if let Some(kept) = kept {
                kept
            } else {
                all = (0..span.rows.len() as u32).collect();
                &all
            };
            rows.extend(kept.iter().map(|i| span.rows.start as u32 + i));
            let span = Span {
                tokens: pick(&span.tokens, kept),
                positions: pick(&span.positions, kept),
                ..span.clone()
            };
            retained.push(span);
        }
        (retained, rows)
    }
}

/// The rows of a layer's input that go on behind its keys and values: nobody reads what the others
/// would become.
#[derive(Debug)]
pub(super) struct Queries {
    /// These rows alone.
    pub(super) layout: Layout,
    index: Tensor,
}

impl Queries {
    /// Takes the rows of each span in `kept`, or all where that is `None`; at least one row in all.
    pub(super) fn new(
        layout: &Layout,
        mut kept: Vec<Option<Vec<u32>>>,
        device: &Device,
    ) -> Result<Self> {
        if kept
            .iter()
            .all(|rows| rows.as_ref().is_some_and(Vec::is_empty))
        {
            // Kernels need not know of a tensor without rows.
            let first = layout.spans.iter().position(|span| !span.rows.is_empty());
            if let Some(kept) = first.and_then(|i| kept.get_mut(i)) {
                *kept = Some(vec![0]);
            }
        }
        let (layout, rows) = layout.retain_rows(&kept);
        let index = Tensor::from_slice(&rows, rows.len(), device)?;
        Ok(Self { layout, index })
    }

    /// Returns their rows of `x (R, ...)`.
    pub(super) fn of(&self, x: &Tensor) -> Result<Tensor> {
        x.index_select(&self.index, 0)
    }
}

fn pick(values: &[u32], kept: &[u32]) -> Arc<[u32]> {
    kept.iter()
        .filter_map(|&i| values.get(i as usize).copied())
        .collect()
}

/// Puts `parts` in place of the rows of `value` that they are named for (ascending); a part may
/// have more or fewer rows.
pub fn replace_rows(value: Tensor, parts: Vec<(Range<usize>, Tensor)>) -> Result<Tensor> {
    if parts.is_empty() {
        return Ok(value);
    }
    let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
    // What stands between the parts goes in as views: each row is copied once.
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
    // candle refuses to concatenate nothing.
    match rest.len() {
        0 => value.narrow(0, 0, 0),
        1 => Ok(rest.swap_remove(0)),
        _ => Tensor::cat(&rest, 0),
    }
}

/// Replaces the rows `rows` (ascending) of `x` by those of `new`.
pub fn scatter_rows(x: &Tensor, new: &Tensor, rows: &[u32], device: &Device) -> Result<Tensor> {
    let total = x.dim(0)?;
    // Row i of the joined tensor below is row i of x; row total + i is row i of `new`.
    let mut index: Vec<u32> = (0..total as u32).collect();
    for (i, &row) in rows.iter().enumerate() {
        index[row as usize] = (total + i) as u32;
    }
    // One gather over both, which candle has for every dtype and device.
    let index = Tensor::from_vec(index, total, device)?;
    Tensor::cat(&[x, new], 0)?.index_select(&index, 0)
}
