//! The plans of a batch at work: the implementation of [`Hooks`].

use std::ops::Range;
use std::sync::Arc;

use candle_core::{D, DType, Tensor};

use super::observed::{Captured, Observed};
use super::plan::{Capture, Edit, Noise, Operation, Plan, Prune, Ranking, Reduction, Rows, Value};
use crate::nn::{Hooks, Point, Result, Site, Span, Stack, replace_rows, scatter_rows, softmax};

/// Performs a plan for each sequence on the rows of that sequence, and on no others.
#[derive(Debug)]
pub struct Applied {
    runs: Vec<(Arc<Plan>, Observed)>,
}

impl Applied {
    /// `runs[i]` belongs to the spans whose `sequence` is i.
    pub fn new(runs: Vec<(Arc<Plan>, Observed)>) -> Self {
        Self { runs }
    }

    /// One plan, and an account of its own.
    pub fn one(plan: &Arc<Plan>) -> Self {
        Self::new(vec![(plan.clone(), Observed::of(plan))])
    }

    /// The accounts, sequence by sequence.
    pub fn into_observed(self) -> impl Iterator<Item = Observed> {
        self.runs.into_iter().map(|(_, observed)| observed)
    }
}

impl Hooks for Applied {
    fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> Result<Tensor> {
        // Attention is (heads, rows, keys); elsewhere rows come first.
        let attention = matches!(point.site, Site::Scores | Site::Pattern);
        let mut parts: Vec<(Range<usize>, Tensor)> = Vec::new();
        for span in spans {
            let Some((plan, observed)) = self.runs.get_mut(span.sequence) else {
                continue;
            };
            if point.site == Site::ResidPre {
                observed.pass(point.stack, span);
            }
            let edits = plan.edits.get(&point).map_or(&[][..], Vec::as_slice);
            let captures = plan.captures.get(&point).map_or(&[][..], Vec::as_slice);
            let prune = point
                .layer
                .filter(|_| point.stack == Stack::LanguageModel && point.site == Site::Pattern);
            let prune = prune.and_then(|layer| plan.prunes.get(&layer));
            if edits.is_empty() && captures.is_empty() && prune.is_none() {
                continue;
            }
            let own = || {
                if attention {
                    value.transpose(0, 1)
                } else {
                    value.narrow(0, span.rows.start, span.rows.len())
                }
            };
            let (mut part, mut changed) = (own()?, false);
            for edit in edits {
                if let Some(new) = edit.apply(point, span, &part, observed)? {
                    (part, changed) = (new, true);
                }
            }
            for capture in captures {
                observed.captured.extend(capture.take(point, span, &part)?);
            }
            if let Some(Prune {
                ranking: Ranking::Received { from, .. },
                ..
            }) = prune
            {
                let rows = from.of(span);
                if !rows.is_empty() {
                    let looks = select(&part, &rows)?.to_dtype(DType::F32)?; // (n, H, S)
                    let received: Vec<f32> = looks.mean((0, 1))?.to_vec1()?;
                    observed.received = Some(span.keys.iter().copied().zip(received).collect());
                }
            }
            if changed {
                parts.push((span.rows.clone(), part));
            }
        }
        if attention {
            return match parts.pop() {
                Some((_, part)) => part.transpose(0, 1)?.contiguous(),
                None => Ok(value),
            };
        }
        replace_rows(value, parts)
    }

    fn wants(&self, point: Point, sequence: usize) -> bool {
        self.runs
            .get(sequence)
            .is_some_and(|(plan, _)| plan.acts_at(point))
    }

    fn path(&self, stack: Stack, sequence: usize) -> Option<&[usize]> {
        self.runs
            .get(sequence)
            .and_then(|(plan, _)| plan.paths.get(&stack))
            .map(AsRef::as_ref)
    }

    fn survivors(&mut self, stack: Stack, layer: usize, span: &Span) -> Result<Option<Vec<u32>>> {
        let Some((plan, observed)) = self.runs.get_mut(span.sequence) else {
            return Ok(None);
        };
        let Some(prune) = plan
            .prunes
            .get(&layer)
            .filter(|_| stack == Stack::LanguageModel)
        else {
            return Ok(None);
        };
        let here = |token: &u32| span.tokens.binary_search(token).is_ok();
        let ranked: Vec<u32> = match &prune.ranking {
            Ranking::Fixed(ranked) => ranked.iter().copied().filter(here).collect(),
            Ranking::Received { visual, .. } => {
                let Some(received) = observed.received.take() else {
                    return Ok(None);
                };
                let score = |token: u32| received.get(&token).copied().unwrap_or(0.0);
                let mut ranked: Vec<u32> = visual.iter().copied().filter(here).collect();
                ranked.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
                ranked
            }
        };
        if ranked.is_empty() {
            return Ok(None);
        }
        let mut leaving: Vec<u32> = ranked.into_iter().skip(prune.keep).collect();
        leaving.sort_unstable();
        observed.left(
            prune.owner,
            Point::at(stack, layer, Site::ResidPost),
            span,
            &leaving,
        );
        let rows = (0..)
            .zip(span.tokens.iter())
            .filter(|(_, t)| leaving.binary_search(t).is_err())
            .map(|(row, _)| row);
        Ok((!leaving.is_empty()).then(|| rows.collect()))
    }
}

/// The rows `rows` of `x`.
fn select(x: &Tensor, rows: &[u32]) -> Result<Tensor> {
    if rows.is_empty() {
        return x.narrow(0, 0, 0);
    }
    x.contiguous()?
        .index_select(&Tensor::from_slice(rows, rows.len(), x.device())?, 0)
}

/// `values`, as wide as the prompt, with zeros up to the width of `like`: attention grows with the
/// answer, and what a token of the prompt would see there is masked.
fn fit(values: &Tensor, like: &Tensor) -> Result<Tensor> {
    let (has, wide) = (values.dim(D::Minus1)?, like.dim(D::Minus1)?);
    if has < wide {
        values.pad_with_zeros(D::Minus1, 0, wide - has)
    } else {
        Ok(values.clone())
    }
}

/// Ones at `chosen` of `count`, as a mask.
fn mask(chosen: Option<&[u32]>, count: usize, x: &Tensor) -> Result<Tensor> {
    let mut values = vec![u8::from(chosen.is_none()); count];
    for &i in chosen.unwrap_or_default() {
        if let Some(value) = values.get_mut(i as usize) {
            *value = 1;
        }
    }
    Tensor::from_vec(values, count, x.device())
}

impl Edit {
    /// The rows of `span` after it, or `None` where it has nothing to do with them.
    fn apply(
        &self,
        point: Point,
        span: &Span,
        part: &Tensor,
        observed: &mut Observed,
    ) -> Result<Option<Tensor>> {
        let rows = self.rows.of(span);
        if rows.is_empty() {
            return Ok(None);
        }
        match &self.operation {
            Operation::Gather(order) => {
                let new = select(part, order)?;
                if order.len() == rows.len() {
                    observed.changed(
                        self.owner,
                        point,
                        span,
                        span.tokens.to_vec(),
                        (part, &new),
                    )?;
                }
                return Ok(Some(new));
            }
            Operation::Pool(groups) => {
                let mean =
                    |group: &Vec<u32>| select(&part.to_dtype(DType::F32)?, group)?.mean_keepdim(0);
                let pooled = groups.iter().map(mean).collect::<Result<Vec<_>>>()?;
                return Ok(Some(Tensor::cat(&pooled, 0)?.to_dtype(part.dtype())?));
            }
            _ => {}
        }
        let whole = rows.len() == span.rows.len();
        let tokens = || rows.iter().map(|&row| span.tokens[row as usize]).collect();
        let old = if whole {
            part.contiguous()?
        } else {
            select(part, &rows)?
        };
        let new = match &self.operation {
            Operation::Hide(keys) => {
                let new = self.hide(point, span, &old, keys)?;
                // The pattern is what the hidden scores made of it; how much that is shows at the
                // scores.
                if point.site == Site::Scores {
                    observed.changed(
                        self.owner,
                        point,
                        span,
                        tokens(),
                        (&softmax(&old)?, &softmax(&new)?),
                    )?;
                }
                new
            }
            operation => {
                let new = self.compute(operation, span, part, &old, &rows)?;
                let mut new = self.within(&new, &old)?;
                // What is masked stays masked.
                let (mut was, mut is) = (old.clone(), new.clone());
                if point.site == Site::Scores {
                    let masked = old.eq(f64::NEG_INFINITY)?;
                    new = masked.where_cond(&old, &new)?;
                    let zero = old.zeros_like()?;
                    (was, is) = (
                        masked.where_cond(&zero, &old)?,
                        masked.where_cond(&zero, &new)?,
                    );
                }
                observed.changed(self.owner, point, span, tokens(), (&was, &is))?;
                new
            }
        };
        let new = if whole {
            new
        } else {
            scatter_rows(&part.contiguous()?, &new, &rows, part.device())?
        };
        Ok(Some(new))
    }

    /// `new` at the chosen heads and dimensions, `old` elsewhere.
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

    /// All of `old (n, ...)`, the rows `rows` of `part`, after the operation; in f32, then in the
    /// dtype of `old`.
    fn compute(
        &self,
        operation: &Operation,
        span: &Span,
        part: &Tensor,
        old: &Tensor,
        rows: &[u32],
    ) -> Result<Tensor> {
        let dtype = old.dtype();
        let x = old.to_dtype(DType::F32)?;
        let new = match operation {
            Operation::Scale(0.0) => x.zeros_like()?,
            Operation::Scale(factor) => (x * *factor)?,
            Operation::Add {
                value,
                constant,
                absolute,
                shift,
            } => {
                let value = match value {
                    Value::Fixed(value) => fit(value, &x)?.broadcast_as(x.shape())?,
                    Value::Noise(noise) => noise.rows(span, rows, &x)?,
                };
                let mut sum = (&x + (&value * *constant)?)?;
                if *absolute != 0.0 || *shift != 0.0 {
                    let magnitude = x.abs()?;
                    sum = ((sum + (&magnitude * *shift)?)? + ((magnitude * value)? * *absolute)?)?;
                }
                sum
            }
            Operation::Write(values) if values.dim(0)? == 1 => {
                fit(&values.to_dtype(DType::F32)?, &x)?
                    .broadcast_as(x.shape())?
                    .contiguous()?
            }
            Operation::Write(values) => {
                let view = (span.image, span.view);
                let rank = |&row: &u32| self.rows.rank(view, span.tokens[row as usize]) as u32;
                select(
                    &fit(&values.to_dtype(DType::F32)?, &x)?,
                    &rows.iter().map(rank).collect::<Vec<_>>(),
                )?
            }
            Operation::Like { over, value } => {
                let all = select(&part.to_dtype(DType::F32)?, &over.of(span))?;
                let mean = all.mean_keepdim(0)?;
                let like = mean.broadcast_as(x.shape())?;
                match value {
                    None => like.contiguous()?,
                    Some(noise) => {
                        let deviation = all.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?.sqrt()?;
                        (like + noise.rows(span, rows, &x)?.broadcast_mul(&deviation)?)?
                    }
                }
            }
            Operation::Project(basis) => {
                let (shape, width) = (x.shape().clone(), x.dim(D::Minus1)?);
                let flat = x.reshape(((), width))?; // (n, W)
                let basis = fit(basis, &x)?;
                let mut rest = flat;
                // Direction by direction, so that a row depends on itself alone.
                for direction in 0..basis.dim(0)? {
                    let direction = basis.narrow(0, direction, 1)?; // (1, W)
                    let along = rest.broadcast_mul(&direction)?.sum_keepdim(1)?; // (n, 1)
                    rest = (&rest - along.broadcast_mul(&direction)?)?;
                }
                rest.reshape(shape)?
            }
            Operation::Gather(_) | Operation::Pool(_) | Operation::Hide(_) => x,
        };
        new.to_dtype(dtype)
    }

    /// Scores `(n, H, S)` with minus infinity at the hidden keys, but for rows that would see
    /// nothing; or the pattern with zeros there.
    fn hide(&self, point: Point, span: &Span, old: &Tensor, keys: &Rows) -> Result<Tensor> {
        let view = (span.image, span.view);
        let hidden: Vec<u32> = (0..)
            .zip(span.keys.iter())
            .filter(|(_, t)| keys.holds(view, **t))
            .map(|(i, _)| i)
            .collect();
        let width = old.dim(D::Minus1)?;
        let heads = mask(self.heads.as_deref(), old.dim(1)?, old)?.unsqueeze(1)?; // (H, 1)
        let hidden = heads.broadcast_mul(&mask(Some(&hidden), width, old)?.unsqueeze(0)?)?; // (H, S)
        let hidden = hidden.broadcast_as(old.shape())?;
        if point.site == Site::Pattern {
            return hidden.where_cond(&old.zeros_like()?, old);
        }
        let nothing = (old.ones_like()? * f64::NEG_INFINITY)?;
        let masked = hidden.where_cond(&nothing, old)?;
        let blind = masked.max_keepdim(D::Minus1)?.eq(f64::NEG_INFINITY)?;
        blind.broadcast_as(old.shape())?.where_cond(old, &masked)
    }
}

impl Noise {
    /// The numbers of the rows `rows` of a span, in the shape of `like`, f32.
    fn rows(&self, span: &Span, rows: &[u32], like: &Tensor) -> Result<Tensor> {
        let width = self.width.min(like.dim(D::Minus1)?);
        let count = like.elem_count() / like.dim(D::Minus1)? / rows.len() * self.width;
        let mut values = Vec::with_capacity(rows.len() * count);
        if let Some(draws) = self.draws.get(span.image) {
            for &row in rows {
                let number = span.view * self.per_view + span.tokens[row as usize] as usize;
                values.extend(draws.noise(number, count, self.gaussian));
            }
        }
        let mut shape = like.dims().to_vec();
        shape.pop();
        shape.push(self.width);
        fit(
            &Tensor::from_vec(values, shape, like.device())?.narrow(D::Minus1, 0, width)?,
            like,
        )
    }
}

impl Capture {
    /// What it takes of the rows of a span.
    fn take(&self, point: Point, span: &Span, part: &Tensor) -> Result<Option<Captured>> {
        let rows = self.rows.of(span);
        if rows.is_empty() {
            return Ok(None);
        }
        let mut value = if rows.len() == span.rows.len() {
            part.copy()?
        } else {
            select(part, &rows)?
        };
        if let Some(heads) = &self.heads {
            value = value
                .contiguous()?
                .index_select(&Tensor::from_slice(heads, heads.len(), value.device())?, 1)?;
        }
        let mut tokens: Vec<u32> = rows.iter().map(|&r| span.tokens[r as usize]).collect();
        let dtype = value.dtype();
        let mut lens = None;
        value = match &self.reduction {
            Reduction::None => value,
            Reduction::Mean => value
                .to_dtype(DType::F32)?
                .mean_keepdim(0)?
                .to_dtype(dtype)?,
            Reduction::Norm => value
                .to_dtype(DType::F32)?
                .sqr()?
                .sum(D::Minus1)?
                .sqrt()?
                .to_dtype(dtype)?,
            Reduction::Last => {
                tokens.drain(..tokens.len() - 1);
                value.narrow(0, rows.len() - 1, 1)?
            }
            Reduction::TopTokens(top) => {
                lens = Some((*top, Vec::new()));
                value
            }
            Reduction::Received(keys) => {
                let view = (span.image, span.view);
                let numbers = (0..)
                    .zip(span.keys.iter())
                    .filter(|(_, t)| keys.holds(view, **t));
                let (numbers, seen): (Vec<u32>, Vec<u32>) = numbers.map(|(i, &t)| (i, t)).unzip();
                tokens = seen;
                let received = value.to_dtype(DType::F32)?.mean((0, 1))?; // (S)
                select(&received, &numbers)?.to_dtype(dtype)?
            }
        };
        let first = span.tokens.first().copied().unwrap_or(0);
        let prompt = self.rows.views.get(&(0, 0)).map_or(0, Vec::len) as u32;
        let generated = point.stack == Stack::LanguageModel && first >= prompt;
        let step = if generated { first - prompt + 1 } else { 0 };
        let value = value.contiguous()?;
        Ok(Some(Captured {
            target: self.target,
            point,
            step,
            view: (span.image, span.view),
            tokens,
            value,
            lens,
        }))
    }
}
