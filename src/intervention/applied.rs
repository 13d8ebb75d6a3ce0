//! The plans of a batch at work: the implementation of [`Hooks`].

use candle_core::Tensor;

use super::{Operation, Plan};
use crate::nn::{Hooks, Point, Result, Span, Stack};

/// Performs `plans[i]` on the rows of sequence i, and on no others.
#[derive(Debug)]
pub struct Applied<'a> {
    plans: &'a [&'a Plan],
}

impl<'a> Applied<'a> {
    /// `plans[i]` belongs to the spans whose `sequence` is i.
    pub fn new(plans: &'a [&'a Plan]) -> Self {
        Self { plans }
    }
}

impl Hooks for Applied<'_> {
    fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> Result<Tensor> {
        let mut value = value;
        for span in spans {
            let edits = self.plans.get(span.sequence).map_or(&[][..], |p| &p.edits);
            for edit in edits.iter().filter(|e| e.point == point && e.image == span.image) {
                let Operation::Gather(order) = &edit.operation;
                value = gather(&value, span, order)?;
            }
        }
        Ok(value)
    }

    fn runs(&self, stack: Stack, layer: usize, sequence: usize) -> bool {
        self.plans.get(sequence).is_none_or(|p| !p.dropped.contains(&(stack, layer)))
    }
}

/// Row i of the span becomes what its row `order[i]` was; other rows stay.
fn gather(value: &Tensor, span: &Span, order: &[u32]) -> Result<Tensor> {
    let mut index: Vec<u32> = (0..value.dim(0)? as u32).collect();
    let first = span.rows.start as u32;
    for (slot, &from) in index[span.rows.clone()].iter_mut().zip(order) {
        *slot = first + from;
    }
    let count = index.len();
    value.index_select(&Tensor::from_vec(index, count, value.device())?, 0)
}
