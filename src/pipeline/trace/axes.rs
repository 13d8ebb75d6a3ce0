//! The axes of a trace: one grid resolved against both inputs, its positions paired token by token.

use std::sync::Arc;

use super::words;
use crate::intervention::{Grid, GridPoint, GridPosition, GridToken, Rows};
use crate::model::Model;
use crate::nn::Point;
use crate::pipeline::error::Error;
use crate::pipeline::token_labels::label;

/// The axes of a trace.
#[derive(Debug)]
pub struct Axes {
    /// The points, all of one stack.
    pub points: Vec<GridPoint>,
    /// The layers; empty where points have none.
    pub layers: Vec<usize>,
    /// The positions.
    pub positions: Vec<TracePosition>,
    /// Heads that are cells of their own; empty where they are none.
    pub heads: Vec<u32>,
    /// Heads that are patched together; `None` for all.
    pub(super) together: Option<Arc<[u32]>>,
    /// All rows of the source that are written anywhere.
    pub(super) source_rows: Arc<Rows>,
}

/// One position in both inputs.
#[derive(Debug)]
pub struct TracePosition {
    /// Names it.
    pub label: String,
    /// The tokens in the run that is patched, ascending.
    pub tokens: Vec<GridToken>,
    /// The tokens in the run whose activations are written, in the same order.
    pub source_tokens: Vec<GridToken>,
    /// The rows that are written over.
    pub(super) rows: Arc<Rows>,
    /// The number of each written row among all rows of the source that are written anywhere.
    pub(super) order: Arc<[u32]>,
}

impl TracePosition {
    /// Returns the first token that is written over.
    pub(super) fn first(&self) -> u32 {
        self.tokens.first().map_or(0, |token| token.token)
    }

    /// Reports whether its tokens are the same ones in both inputs, all before `end`.
    pub(super) fn is_same_before(&self, end: u32) -> bool {
        let mut pairs = self.tokens.iter().zip(&self.source_tokens);
        pairs.all(|(own, source)| {
            (own.view, own.token) == (source.view, source.token) && own.token < end
        })
    }
}

/// One input of a trace, as far as labels need it.
#[derive(Debug)]
pub(super) struct Labelled<'a> {
    pub(super) name: &'static str,
    pub(super) grid: Grid,
    /// The language model's input.
    pub(super) ids: &'a [u32],
}

impl Axes {
    /// Pairs the positions of `base`, which is patched, with those of `source`.
    pub(super) fn of<'a>(
        model: &Model,
        mut base: Labelled<'a>,
        mut source: Labelled<'a>,
    ) -> Result<Self, Error> {
        for side in [&mut base, &mut source] {
            let positions = std::mem::take(&mut side.grid.positions);
            side.grid.positions = words::join(model, side.ids, positions)?;
        }
        // Behind the joining: words are fewer than the tokens that were listed.
        base.grid.check_size()?;
        check_aligned(&base, &source)?;
        // The union over positions: the source keeps each row once, however many cells write it.
        let written = source.grid.positions.iter().flat_map(|p| &p.tokens);
        let source_rows = source.grid.rows(&written.copied().collect::<Vec<_>>());
        let mut positions = Vec::with_capacity(base.grid.positions.len());
        let of_sources = std::mem::take(&mut source.grid.positions);
        for (own, from) in std::mem::take(&mut base.grid.positions)
            .into_iter()
            .zip(of_sources)
        {
            let order = from.tokens.iter();
            // A row is found by its rank among those that are kept, which are end to end.
            let order = order.map(|t| source_rows.rank(t.view, t.token) as u32);
            positions.push(TracePosition {
                label: named(model, &base, &own)?,
                rows: Arc::new(base.grid.rows(&own.tokens)),
                order: order.collect(),
                tokens: own.tokens,
                source_tokens: from.tokens,
            });
        }
        let Grid {
            points,
            layers,
            heads,
            together,
            ..
        } = base.grid;
        Ok(Self {
            points,
            layers,
            positions,
            heads,
            together,
            source_rows: Arc::new(source_rows),
        })
    }

    /// Returns how many cells there are.
    pub fn cells(&self) -> usize {
        let heads = self.heads.len().max(1);
        self.points.len() * self.layers.len().max(1) * self.positions.len() * heads
    }

    /// Returns the places of cell `i` along points, layers, positions and heads; the last axis moves
    /// fastest.
    pub fn places(&self, i: usize) -> [usize; 4] {
        let heads = self.heads.len().max(1);
        // Heads fastest, as if there were one where heads are no axis.
        let (rest, head) = (i / heads, i % heads);
        let (rest, position) = (rest / self.positions.len(), rest % self.positions.len());
        let layers = self.layers.len().max(1);
        [rest / layers, rest % layers, position, head]
    }

    /// Returns the hook point of cell `i`.
    pub(super) fn point(&self, i: usize) -> Point {
        let [point, layer, ..] = self.places(i);
        Point {
            layer: self.layers.get(layer).copied(),
            ..self.points[point].point
        }
    }

    /// Returns the heads of cell `i`; `None` for all.
    pub(super) fn heads_of(&self, i: usize) -> Option<Arc<[u32]>> {
        let [.., head] = self.places(i);
        match self.heads.get(head) {
            Some(&head) => Some([head].into()),
            None => self.together.clone(),
        }
    }
}

/// Fails unless both inputs have the same positions, of as many tokens each.
fn check_aligned(base: &Labelled<'_>, source: &Labelled<'_>) -> Result<(), Error> {
    const RULE: &str = "token k of the one is written over token k of the other, so that both need \
                        as many; choose such positions (visual tokens, the last one, words), or \
                        inputs of one length";
    let (own, from) = (&base.grid.positions, &source.grid.positions);
    let count =
        |list: &[GridPosition], entry: usize| list.iter().filter(|p| p.entry == entry).count();
    let last = own.iter().chain(from).map(|p| p.entry).max().unwrap_or(0);
    // Entry by entry, so that the error names the one whose tokens differ in number.
    for entry in 0..=last {
        let field = format!("grid.positions[{entry}]");
        let (n, m) = (count(own, entry), count(from, entry));
        if n != m {
            let message = format!(
                "{n} positions in the {} input and {m} in the {} one: {RULE}",
                base.name, source.name
            );
            return Err(Error::invalid(field, message));
        }
    }
    for (own, from) in own.iter().zip(from) {
        if own.tokens.len() != from.tokens.len() {
            let message = format!(
                "the position at token {} has {} tokens in the {} input and {} in the {} one: \
                 {RULE}",
                own.tokens.first().map_or(0, |t| t.token),
                own.tokens.len(),
                base.name,
                from.tokens.len(),
                source.name
            );
            return Err(Error::invalid(
                format!("grid.positions[{}]", own.entry),
                message,
            ));
        }
    }
    Ok(())
}

/// Returns what a position is called: as asked, by the place of its patch, or by its words.
fn named(model: &Model, side: &Labelled<'_>, position: &GridPosition) -> Result<String, Error> {
    if !position.label.is_empty() {
        return Ok(position.label.clone());
    }
    let stack = side.grid.points[0].point.stack;
    label(model, (stack, side.ids), &position.tokens)
}
