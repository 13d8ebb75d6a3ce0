//! Operations on rows. All that is known of one stands here: how it is applied, which other rows it
//! reads, whether it is causal, and how it is hashed for the reuse of rows.

use std::sync::Arc;

use candle_core::{D, DType, Tensor};

use super::feature::FeatureEdit;
use super::noise::Noise;
use super::rows::Rows;
use super::tensors::{fit, mask, select};
use crate::nn::{HostTensor, Point, Result, Site, Span, digest, softmax};

/// A change of rows `x`.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Row i becomes what row `order[i]` was. At `projector.hook_tokens` there may be fewer.
    Gather(Arc<[u32]>),
    /// Row i becomes what `value` makes of the rows `groups[i]`; at `projector.hook_tokens` alone.
    Pool {
        /// Old rows behind each new one.
        groups: Arc<[Vec<u32>]>,
        /// Says what becomes of them.
        value: PoolValue,
    },
    /// `factor * x`.
    Scale(f64),
    /// `x + shift |x| + (constant + absolute |x|) value`.
    Add {
        /// The value to add.
        value: Value,
        /// Factor of the value.
        constant: f64,
        /// Factor of the value times the magnitude.
        absolute: f64,
        /// Factor of the magnitude.
        shift: f64,
    },
    /// The values themselves: `(n, ...)` for n chosen rows in ascending order, or one for all.
    Write(HostTensor),
    /// Rows of `values (N, ...)`: those of the numbers `order`, one for each chosen row in ascending
    /// order. Many edits share one tensor so.
    Take {
        /// The rows that there are.
        values: HostTensor,
        /// The row of each chosen one.
        order: Arc<[u32]>,
    },
    /// `mean + deviation * value` over the chosen rows of `over`, dimension by dimension.
    Like {
        /// The rows that the mean and the deviation are of.
        over: Arc<Rows>,
        /// Noise; the mean alone where it is `None`.
        value: Option<Noise>,
    },
    /// `x - x B^T B` for an orthonormal basis `B (k, width)`.
    Project(HostTensor),
    /// Attention scores become minus infinity at the keys of these tokens.
    Hide(Arc<Rows>),
    /// `x * min(1, max / |x|)`, the norm over the last dimension.
    ClampNorm(f64),
    /// Features of a sparse autoencoder get other values.
    SetFeature(FeatureEdit),
}

/// Says what a group of rows is pooled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolValue {
    /// Their mean.
    Mean,
    /// The first one plus the mean of the others.
    SeedPlusMean,
}

/// A value that is added to rows.
#[derive(Debug, Clone)]
pub enum Value {
    /// The same to every row: `(1, ...)`.
    Fixed(HostTensor),
    /// Drawn for every number.
    Noise(Noise),
}

/// Rows that an operation is applied to.
pub(super) struct EditedRows<'a> {
    pub(super) point: Point,
    /// The sequence or view that they belong to.
    pub(super) span: &'a Span,
    /// All rows of the span.
    pub(super) part: &'a Tensor,
    /// Numbers of the edited rows within the span; n of them.
    pub(super) rows: &'a [u32],
    /// The edited rows, `(n, ...)`.
    pub(super) old: &'a Tensor,
    /// The edited rows of all spans.
    pub(super) chosen: &'a Rows,
}

impl Operation {
    /// Returns all rows of a span in their new order and number; `None` for operations on single
    /// rows, which [`Self::apply`] does.
    pub(super) fn rearrange(&self, part: &Tensor) -> Result<Option<Tensor>> {
        match self {
            Self::Gather(order) => Ok(Some(select(part, order)?)),
            Self::Pool { groups, value } => {
                let x = part.to_dtype(DType::F32)?;
                let pooled = groups
                    .iter()
                    .map(|group| value.of(&x, group))
                    .collect::<Result<Vec<_>>>()?;
                // `(G, D)`, a row for each group.
                Ok(Some(Tensor::cat(&pooled, 0)?.to_dtype(part.dtype())?))
            }
            Self::Scale(_)
            | Self::Add { .. }
            | Self::Write(_)
            | Self::Take { .. }
            | Self::Like { .. }
            | Self::Project(_)
            | Self::ClampNorm(_)
            | Self::SetFeature(_)
            | Self::Hide(_) => Ok(None),
        }
    }

    /// Returns the edited rows after the operation, at all heads and dimensions; computed in f32,
    /// returned in the dtype of the rows.
    pub(super) fn apply(&self, edited: &EditedRows<'_>) -> Result<Tensor> {
        // Hiding computes nothing, so that scores and patterns keep their dtype.
        if let Self::Hide(keys) = self {
            return hide(keys, edited);
        }
        let dtype = edited.old.dtype();
        let x = edited.old.to_dtype(DType::F32)?; // (n, ...)
        let new = match self {
            // Hidden above, or rearranged before this is called.
            Self::Gather(_) | Self::Pool { .. } | Self::Hide(_) => x,
            // Minus infinity or NaN times 0 would not be 0.
            Self::Scale(0.0) => x.zeros_like()?,
            Self::Scale(factor) => (x * *factor)?,
            Self::Add {
                value,
                constant,
                absolute,
                shift,
            } => add(&x, &value.rows(&x, edited)?, (*constant, *absolute, *shift))?,
            Self::Write(values) => write(values, &x, edited)?,
            Self::Take { values, order } => take(values, order, edited)?,
            Self::Like { over, value } => like(over, value.as_ref(), &x, edited)?,
            Self::Project(basis) => project(basis, &x)?,
            Self::ClampNorm(max) => clamp_norm(*max, &x)?,
            Self::SetFeature(edit) => edit.apply(&x)?,
        };
        new.to_dtype(dtype)
    }

    /// Returns whether masked attention scores must be restored after it: whatever is done to
    /// scores, a token that a row may not see stays hidden.
    pub(super) fn moves_masked_scores(&self) -> bool {
        !matches!(self, Self::Hide(_))
    }

    /// Returns the values, before and after, whose difference is the operation's effect; `None`
    /// where the effect is logged elsewhere.
    pub(super) fn effect(
        &self,
        point: Point,
        old: &Tensor,
        new: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        match (self, point.site) {
            // As patterns: the change of hidden scores themselves would be infinite.
            (Self::Hide(_), Site::Scores) => Ok(Some((softmax(old)?, softmax(new)?))),
            // The pattern is what the hidden scores made of it, which was logged there.
            (Self::Hide(_), _) => Ok(None),
            // The difference of infinities is no number.
            (_, Site::Scores) => {
                let masked = old.eq(f64::NEG_INFINITY)?;
                let zero = old.zeros_like()?;
                let (was, is) = (
                    masked.where_cond(&zero, old)?,
                    masked.where_cond(&zero, new)?,
                );
                Ok(Some((was, is)))
            }
            _ => Ok(Some((old.clone(), new.clone()))),
        }
    }

    /// Returns the rows beside its own that it reads.
    pub(super) fn reads(&self) -> Option<&Arc<Rows>> {
        // Without a wildcard: an operation that is new has to say.
        match self {
            Self::Like { over: rows, .. } | Self::Hide(rows) => Some(rows),
            Self::Gather(_)
            | Self::Pool { .. }
            | Self::Scale(_)
            | Self::Add { .. }
            | Self::Write(_)
            | Self::Take { .. }
            | Self::Project(_)
            | Self::SetFeature(_)
            | Self::ClampNorm(_) => None,
        }
    }

    /// Returns whether a row depends on no later row, so that rows may be computed in parts.
    pub(super) fn is_causal(&self) -> bool {
        match self {
            // A row of these comes of others, of which some may stand behind it.
            Self::Gather(_) | Self::Pool { .. } | Self::Like { .. } => false,
            Self::Scale(_)
            | Self::Add { .. }
            | Self::Write(_)
            | Self::Take { .. }
            | Self::Project(_)
            | Self::Hide(_)
            | Self::SetFeature(_)
            | Self::ClampNorm(_) => true,
        }
    }

    /// Feeds everything but the row sets to `hasher`: two operations with the same digest and the
    /// same rows make the same of the same input.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) -> Result<()> {
        match self {
            Self::Gather(order) => {
                hasher.update(format!("gather {order:?}").as_bytes());
            }
            Self::Pool { groups, value } => {
                hasher.update(format!("pool {value:?} {groups:?}").as_bytes());
            }
            Self::Scale(factor) => {
                hasher.update(b"scale").update(&factor.to_le_bytes());
            }
            Self::Add {
                value,
                constant,
                absolute,
                shift,
            } => {
                hasher.update(b"add");
                for factor in [constant, absolute, shift] {
                    hasher.update(&factor.to_le_bytes());
                }
                match value {
                    Value::Fixed(value) => hash_tensor(value, hasher)?,
                    Value::Noise(noise) => noise.hash(hasher),
                }
            }
            Self::Write(values) => hash_tensor(values, hasher.update(b"write"))?,
            Self::Take { values, order } => {
                hasher.update(format!("take {order:?}").as_bytes());
                hash_tensor(values, hasher)?;
            }
            Self::Like { value, .. } => {
                hasher.update(b"like");
                if let Some(noise) = value {
                    noise.hash(hasher);
                }
            }
            Self::Project(basis) => hash_tensor(basis, hasher.update(b"project"))?,
            Self::Hide(_) => {
                hasher.update(b"hide");
            }
            Self::ClampNorm(max) => {
                hasher.update(b"clamp norm").update(&max.to_le_bytes());
            }
            Self::SetFeature(edit) => edit.hash(hasher),
        }
        Ok(())
    }
}

impl PoolValue {
    /// Returns what it makes of the rows `group` of `x`, `(1, D)`.
    fn of(self, x: &Tensor, group: &[u32]) -> Result<Tensor> {
        // `(g, D)`, the seed first.
        let rows = select(x, group)?;
        match self {
            Self::SeedPlusMean if group.len() > 1 => {
                let others = rows.narrow(0, 1, group.len() - 1)?;
                rows.narrow(0, 0, 1)? + others.mean_keepdim(0)?
            }
            Self::Mean | Self::SeedPlusMean => rows.mean_keepdim(0),
        }
    }
}

impl Value {
    /// Returns it in the shape of `x`.
    fn rows(&self, x: &Tensor, edited: &EditedRows<'_>) -> Result<Tensor> {
        match self {
            Self::Fixed(value) => {
                let value = value.upload_once(x.device())?;
                fit(&value, x)?.broadcast_as(x.shape())
            }
            Self::Noise(noise) => noise.rows(edited.span, edited.rows, x),
        }
    }
}

fn add(x: &Tensor, value: &Tensor, (constant, absolute, shift): (f64, f64, f64)) -> Result<Tensor> {
    let sum = (x + (value * constant)?)?;
    // Most additions have no part by magnitude, which would cost two passes over the rows.
    if absolute == 0.0 && shift == 0.0 {
        return Ok(sum);
    }
    let magnitude = x.abs()?;
    (sum + (&magnitude * shift)?)? + ((magnitude * value)? * absolute)?
}

fn take(values: &HostTensor, order: &[u32], edited: &EditedRows<'_>) -> Result<Tensor> {
    let view = (edited.span.image, edited.span.view);
    // By rank over all views: the span may be a chunk, or one view of several.
    let rank = |&row: &u32| edited.chosen.rank(view, edited.span.tokens[row as usize]);
    let places: Vec<u32> = edited.rows.iter().map(|row| order[rank(row)]).collect();
    let values = values.upload_once(edited.old.device())?;
    select(&values, &places)?.to_dtype(DType::F32)
}

fn write(values: &HostTensor, x: &Tensor, edited: &EditedRows<'_>) -> Result<Tensor> {
    let values = values.upload_once(x.device())?;
    let values = fit(&values.to_dtype(DType::F32)?, x)?;
    // One row for every token, or the rows of the chosen tokens in ascending order, of which this
    // span may hold some.
    if values.dim(0)? == 1 {
        return values.broadcast_as(x.shape())?.contiguous();
    }
    let view = (edited.span.image, edited.span.view);
    let rank = |&row: &u32| edited.chosen.rank(view, edited.span.tokens[row as usize]) as u32;
    select(&values, &edited.rows.iter().map(rank).collect::<Vec<_>>())
}

fn like(over: &Rows, noise: Option<&Noise>, x: &Tensor, edited: &EditedRows<'_>) -> Result<Tensor> {
    // Moments over all rows of `over`, not over the edited ones.
    let all = select(&edited.part.to_dtype(DType::F32)?, &over.of(edited.span))?;
    // `(1, ...)` of `(m, ...)`.
    let mean = all.mean_keepdim(0)?;
    let like = mean.broadcast_as(x.shape())?;
    let Some(noise) = noise else {
        return like.contiguous();
    };
    // Divided by n: it is that of the rows themselves, and no estimate.
    let deviation = all.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?.sqrt()?;
    let noise = noise.rows(edited.span, edited.rows, x)?;
    like + noise.broadcast_mul(&deviation)?
}

fn project(basis: &HostTensor, x: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    // `(k, W)`, at attention padded to as many keys as there are by now.
    let basis = fit(&basis.upload_once(x.device())?, x)?;
    let mut rest = x.reshape(((), width))?; // (n, W)
    // Direction by direction: a matrix product would make a row's bits depend on its neighbours.
    for direction in 0..basis.dim(0)? {
        let direction = basis.narrow(0, direction, 1)?; // (1, W)
        let along = rest.broadcast_mul(&direction)?.sum_keepdim(1)?; // (n, 1)
        rest = (&rest - along.broadcast_mul(&direction)?)?;
    }
    rest.reshape(x.shape())
}

fn clamp_norm(max: f64, x: &Tensor) -> Result<Tensor> {
    let norm = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?; // (n, .., 1)
    // Infinite for a row of zeros, which the choice below leaves as it is.
    let factor = ((norm.ones_like()? * max)? / &norm)?;
    let clamped = x.broadcast_mul(&factor)?;
    // Rows within the limit are chosen, not multiplied by 1: they keep their bits.
    let above = norm.gt(max)?.broadcast_as(x.shape())?;
    above.where_cond(&clamped, x)
}

/// Returns scores `(n, H, S)` with minus infinity at the hidden keys, but for rows that would see
/// nothing; or the pattern with zeros there.
fn hide(keys: &Rows, edited: &EditedRows<'_>) -> Result<Tensor> {
    let old = edited.old;
    let hidden = keys.places(edited.span, &edited.span.keys);
    let hidden = mask(Some(&hidden), old.dim(D::Minus1)?, old)?; // (S)
    let hidden = hidden.broadcast_as(old.shape())?; // (n, H, S)
    if edited.point.site == Site::Pattern {
        return hidden.where_cond(&old.zeros_like()?, old);
    }
    let nothing = (old.ones_like()? * f64::NEG_INFINITY)?;
    let masked = hidden.where_cond(&nothing, old)?;
    // A softmax over minus infinities alone has no value: such rows keep their scores, and their
    // pattern is zeroed.
    let blind = masked.max_keepdim(D::Minus1)?.eq(f64::NEG_INFINITY)?;
    blind.broadcast_as(old.shape())?.where_cond(old, &masked)
}

fn hash_tensor(tensor: &Tensor, hasher: &mut blake3::Hasher) -> Result<()> {
    // The shape first: the same numbers in other rows are another tensor.
    hasher.update(format!("{:?}", tensor.dims()).as_bytes());
    digest::update(hasher, tensor)
}
