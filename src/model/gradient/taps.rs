//! Hooks that keep values and their gradients.

use std::ops::Range;

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Result as TensorResult, Tensor, Var};

use super::input::{Blend, GradientInput, GradientReduction, Tap, TapGradient};
use crate::nn::{Hooks, HostTensor, Point, Site, Span};

/// Keeps values at hook points, and adds a variable of zeros to each: its gradient is that of the
/// value.
pub(super) struct Taps<'a> {
    input: &'a GradientInput,
    is_tracked: bool,
    kept: Vec<Kept>,
}

struct Kept {
    point: Point,
    spans: Vec<Span>,
    value: Tensor,
    /// Leads from where a point is moved to where it would be; `None` where it is not moved.
    direction: Option<Tensor>,
    change: Option<Var>,
}

impl<'a> Taps<'a> {
    pub(super) fn new(input: &'a GradientInput, is_tracked: bool) -> Self {
        Self {
            input,
            is_tracked,
            kept: Vec::new(),
        }
    }

    fn tap(&self, point: Point) -> Option<&'a Tap> {
        self.input.taps.iter().find(|tap| tap.point == point)
    }

    /// Reduces what was kept, and cuts it into spans.
    pub(super) fn close(self, gradients: Option<&GradStore>) -> TensorResult<Vec<TapGradient>> {
        let mut all = Vec::new();
        for kept in &self.kept {
            let gradient = gradients.zip(kept.change.as_ref());
            let gradient = gradient.and_then(|(all, change)| all.get(change.as_tensor()));
            let gradient = match gradient {
                Some(gradient) => gradient.clone(),
                // Untracked, or the number does not depend on it.
                None => kept.value.zeros_like()?,
            };
            // A pattern is of one sequence, whose rows are its second dimension.
            if matches!(kept.point.site, Site::Scores | Site::Pattern) {
                let rows = 0..kept.value.dim(1)?;
                all.push(self.reduce(kept, &kept.spans[0], &gradient, (1, rows))?);
                continue;
            }
            for span in &kept.spans {
                all.push(self.reduce(kept, span, &gradient, (0, span.rows.clone()))?);
            }
        }
        Ok(all)
    }

    fn reduce(
        &self,
        kept: &Kept,
        span: &Span,
        gradient: &Tensor,
        (dim, rows): (usize, Range<usize>),
    ) -> TensorResult<TapGradient> {
        let own = |t: &Tensor| t.narrow(dim, rows.start, rows.len());
        let (x, g) = (own(&kept.value)?, own(gradient)?);
        let mut value = None;
        let reduced = match self.input.reduction {
            GradientReduction::Values => x,
            GradientReduction::Whole => {
                value = Some(HostTensor::download(&x)?);
                g
            }
            // (R, W) -> (R), and (R, H, Dh) -> (R, H).
            GradientReduction::Norm => g.sqr()?.sum(D::Minus1)?.sqrt()?,
            GradientReduction::Product => {
                let other = self.tap(kept.point).and_then(|tap| tap.other.as_ref());
                let along = match (&kept.direction, other) {
                    // The whole way, not the share of it that this pass goes: the mean over passes
                    // is multiplied by it.
                    (Some(direction), _) => own(direction)?,
                    (None, Some(other)) => {
                        (own(&other.upload(x.device())?.to_dtype(DType::F32)?)? - x)?
                    }
                    (None, None) => x,
                };
                (g * along)?.sum(D::Minus1)?
            }
            // (H, T, S) -> (T, S).
            GradientReduction::Relevance => (g * x)?.relu()?.mean(0)?,
            GradientReduction::MeanPattern => x.mean(0)?,
        };
        Ok(TapGradient {
            point: kept.point,
            span: span.clone(),
            value,
            gradient: HostTensor::download(&reduced)?,
        })
    }

    /// Moves a value as the blend says; returns it with the way that was before it.
    fn moved(blend: &Blend, value: &Tensor) -> TensorResult<(Tensor, Tensor)> {
        let Some(from) = &blend.from else {
            return Ok(((value * blend.share)?, value.clone()));
        };
        let from = from.upload(value.device())?.to_dtype(value.dtype())?;
        let way = (value - &from)?;
        Ok((((&way * blend.share)? + from)?, way))
    }
}

impl Hooks for Taps<'_> {
    fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> TensorResult<Tensor> {
        let (mut value, mut direction) = (value, None);
        if let Some(blend) = self.input.blend.as_ref().filter(|b| b.point == point) {
            let (moved, way) = Self::moved(blend, &value)?;
            // Detached: it is data of the product, and nothing flows back through it.
            (value, direction) = (moved, Some(way.detach().to_dtype(DType::F32)?));
        }
        let keeps_values = self.input.reduction == GradientReduction::Values;
        if self.tap(point).is_none() || !(self.is_tracked || keeps_values) {
            return Ok(value);
        }
        let value = value.to_dtype(DType::F32)?;
        let change = self
            .is_tracked
            .then(|| Var::zeros(value.shape(), DType::F32, value.device()));
        let change = change.transpose()?;
        let changed = match &change {
            Some(change) => (&value + change.as_tensor())?,
            None => value.clone(),
        };
        self.kept.push(Kept {
            point,
            spans: spans.to_vec(),
            value: value.detach(),
            direction,
            change,
        });
        Ok(changed)
    }

    fn wants(&self, point: Point, _: usize) -> bool {
        let blended = self.input.blend.as_ref();
        self.tap(point).is_some() || blended.is_some_and(|blend| blend.point == point)
    }
}
