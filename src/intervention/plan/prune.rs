//! Prunes: visual tokens that leave the language model after a layer.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::rows::Rows;
use super::tensors::select;
use crate::nn::{Result, Span};

/// Visual tokens leave the language model.
#[derive(Debug, Clone)]
pub struct Prune {
    /// The intervention that it belongs to.
    pub owner: usize,
    /// The number of tokens that stay.
    pub keep: usize,
    /// The number of tokens that leave.
    pub leave: usize,
    /// The order in which they stay.
    pub ranking: Ranking,
}

/// A ranking of visual tokens.
#[derive(Debug, Clone)]
pub enum Ranking {
    /// These visual tokens, best first.
    Fixed(Arc<[u32]>),
    /// The visual tokens `visual` by the attention that the rows `from` pay to them.
    Received {
        /// The queries.
        from: Arc<Rows>,
        /// Positions of the visual tokens.
        visual: Arc<[u32]>,
    },
}

impl Ranking {
    /// Reports whether it is known only when the layer's attention pattern is.
    pub(super) fn needs_pattern(&self) -> bool {
        matches!(self, Self::Received { .. })
    }

    /// Returns the attention that each key receives from the rows that rank; `None` where `span`
    /// has none of them. `pattern` is `(rows, H, S)`.
    pub(super) fn received(
        &self,
        span: &Span,
        pattern: &Tensor,
    ) -> Result<Option<BTreeMap<u32, f32>>> {
        let Self::Received { from, .. } = self else {
            return Ok(None);
        };
        let rows = from.of(span);
        if rows.is_empty() {
            return Ok(None);
        }
        let pattern = select(pattern, &rows)?.to_dtype(DType::F32)?; // (n, H, S)
        // `(S)`, mean over rows and heads, as FastV ranks.
        let received: Vec<f32> = pattern.mean((0, 1))?.to_vec1()?;
        Ok(Some(span.keys.iter().copied().zip(received).collect()))
    }
}

impl Prune {
    /// Returns the visual tokens: best first where their order is fixed, else by position.
    pub(super) fn visual(&self) -> &[u32] {
        match &self.ranking {
            Ranking::Fixed(visual) | Ranking::Received { visual, .. } => visual,
        }
    }

    /// Returns the tokens of `span` that leave, ascending, given the attention `received` that
    /// [`Ranking::received`] found at this layer; `None` where nothing is pruned here: the span has
    /// no visual tokens, or none of the rows that rank.
    pub(super) fn leaving(
        &self,
        span: &Span,
        received: Option<BTreeMap<u32, f32>>,
    ) -> Option<Vec<u32>> {
        // The tokens of a span ascend.
        let here = |token: &u32| span.tokens.binary_search(token).is_ok();
        let mut ranked: Vec<u32> = self.visual().iter().copied().filter(here).collect();
        if self.ranking.needs_pattern() {
            let received = received?;
            let score = |token: u32| received.get(&token).copied().unwrap_or(0.0);
            // Equal scores: the earlier token stays.
            ranked.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
        }
        if ranked.is_empty() {
            return None;
        }
        let mut leaving: Vec<u32> = ranked.into_iter().skip(self.keep).collect();
        leaving.sort_unstable();
        Some(leaving)
    }
}
