//! Edits: an operation on chosen rows, heads and dimensions at one hook point.

use std::sync::Arc;

use candle_core::{D, Tensor};

use super::effects::EffectLog;
use super::operation::{EditedRows, Operation};
use super::rows::Rows;
use super::tensors::{mask, select};
use crate::nn::{Point, Result, Site, Span, scatter_rows};

/// An operation on chosen values at one hook point.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The intervention that it belongs to.
    pub owner: usize,
    /// The rows.
    pub rows: Arc<Rows>,
    /// The heads; all where it is `None`.
    pub heads: Option<Arc<[u32]>>,
    /// Indices along the last dimension; all where it is `None`.
    pub dimensions: Option<Arc<[u32]>>,
    /// The operation.
    pub operation: Operation,
}

impl Edit {
    /// Returns all rows of `span` after it and logs its effect; `None` where it edits none of them.
    pub(super) fn apply(
        &self,
        point: Point,
        span: &Span,
        part: &Tensor,
        log: &mut EffectLog,
    ) -> Result<Option<Tensor>> {
        // Empty in most decode steps: edits of the prompt alone cost nothing there.
        let rows = self.rows.of(span);
        if rows.is_empty() {
            return Ok(None);
        }
        // Operations on whole spans come first: they may leave more or fewer rows.
        if let Some(new) = self.operation.rearrange(part)? {
            // Where rows leave, old and new have no rows in common to compare.
            if matches!(&self.operation, Operation::Gather(order) if order.len() == rows.len()) {
                log.record(self.owner, point, span, span.tokens.to_vec(), (part, &new))?;
            }
            return Ok(Some(new));
        }
        // The common case is spared a gather and a scatter.
        let whole = rows.len() == span.rows.len();
        let old = if whole {
            part.contiguous()?
        } else {
            select(part, &rows)?
        };
        let new = self.operation.apply(&EditedRows {
            point,
            span,
            part,
            rows: &rows,
            old: &old,
            chosen: &self.rows,
        })?;
        // Chosen afterwards: operations on whole rows need not know of heads and dimensions.
        let mut new = self.within(&new, &old)?;
        if point.site == Site::Scores && self.operation.moves_masked_scores() {
            // By the old scores: what causality hides must stay hidden, whatever is written over
            // it.
            new = old.eq(f64::NEG_INFINITY)?.where_cond(&old, &new)?;
        }
        if let Some((was, is)) = self.operation.effect(point, &old, &new)? {
            let tokens = rows.iter().map(|&row| span.tokens[row as usize]).collect();
            log.record(self.owner, point, span, tokens, (&was, &is))?;
        }
        Ok(Some(if whole {
            new
        } else {
            scatter_rows(&part.contiguous()?, &new, &rows, part.device())?
        }))
    }

    /// Returns `new` at the chosen heads and dimensions, `old` elsewhere.
    fn within(&self, new: &Tensor, old: &Tensor) -> Result<Tensor> {
        if self.heads.is_none() && self.dimensions.is_none() {
            return Ok(new.clone());
        }
        let width = old.dim(D::Minus1)?;
        let mut chosen = mask(self.dimensions.as_deref(), width, old)?; // (W)
        if old.rank() == 3 {
            let heads = mask(self.heads.as_deref(), old.dim(1)?, old)?.unsqueeze(1)?; // (H, 1)
            chosen = heads.broadcast_mul(&chosen.unsqueeze(0)?)?; // (H, W)
        }
        chosen.broadcast_as(old.shape())?.where_cond(new, old)
    }
}
