//! Kernels for NVIDIA GPUs, in half precision: `*.cu` beside this file, called by `kernels`. Each
//! computes what a few of candle's operations compute, in one launch, and keeps the law of rows: the
//! bits of a row depend on that row alone. In f32 candle's operations serve.
//!
//! On a CPU that computes as a GPU does ([`use_candle`](super::use_candle)), `reference` stands in for
//! the kernels, so that all that leads to them is tested on any machine.

#[cfg(feature = "cuda")]
mod kernels;
mod norm_weights;
mod plans;
mod reference;
#[cfg(all(test, feature = "cuda"))]
mod tests;

use candle_core::{DType, Device, Result, Tensor, bail};

pub(super) use norm_weights::NormWeights;
pub(super) use plans::{DecodeRow, KeyStore, Plans, SplitRows, Uploaded};

use super::backend::Backend;
use super::cpu::activation::Function;
use super::cpu::attention::Scoring;

/// The widest head that [`attend`] takes.
const WIDEST_HEAD: usize = 256;
/// The widest row that [`norm`] takes: its numbers stand in shared memory.
const WIDEST_NORM: usize = 32_768;

/// Returns whether the kernels serve tensors of the device and dtype of `x`.
pub(super) fn serves(x: &Tensor) -> bool {
    let is_there = match x.device() {
        Device::Cuda(_) => cfg!(feature = "cuda"),
        // The stand-ins, after `use_candle`.
        Device::Cpu => Backend::of(x.device()) == Backend::Candle,
        // CUDA kernels alone; candle's operations serve there.
        Device::Metal(_) => false,
    };
    // The kernels have no backward.
    is_there && !x.track_op() && matches!(x.dtype(), DType::BF16 | DType::F16)
}

/// Returns whether [`attend`] serves `q` with heads of `width`.
pub(super) fn attends(q: &Tensor, width: usize) -> bool {
    if !serves(q) || !is_head(width) {
        return false;
    }
    match q.device() {
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => kernels::fits(q, width),
        _ => true,
    }
}

fn is_head(width: usize) -> bool {
    // Copied 16 bytes at a time, which are 8 numbers in half precision.
    width.is_multiple_of(8) && width <= WIDEST_HEAD
}

/// Returns whether [`rotate`] takes heads of `width`, of which `angles` rotate the first dimensions:
/// columns are moved in pairs, which must not cross from one half to the other.
pub(super) fn rotates(width: usize, angles: Option<&(Tensor, Tensor)>) -> bool {
    let half = angles.map_or(0, |(cosines, _)| cosines.dims()[1]);
    width.is_multiple_of(2) && half.is_multiple_of(2)
}

/// Returns whether [`norm`] takes rows of `width` numbers.
pub(super) fn norms(width: usize) -> bool {
    // 16 bytes at a time, too.
    width.is_multiple_of(8) && width <= WIDEST_NORM
}

/// Returns whether [`product`] takes a weight `(out, in)`: rows are read 16 bytes at a time.
pub(super) fn multiplies(weight: &Tensor) -> bool {
    weight.dims()[1].is_multiple_of(8) && weight.is_contiguous()
}

/// Opens the GPU number `ordinal`; fails in a binary that was built without the feature `cuda`.
pub fn open(ordinal: usize) -> Result<Device> {
    #[cfg(feature = "cuda")]
    return kernels::open(ordinal);
    #[cfg(not(feature = "cuda"))]
    Device::new_cuda(ordinal)
}

/// Lets go of what is kept of the GPU number `ordinal`, whose context is lost.
#[cfg(feature = "cuda")]
pub(super) fn forget(ordinal: usize) {
    kernels::forget(ordinal);
}

/// Calls a kernel, or on a CPU its stand-in of the same name.
macro_rules! dispatch {
    ($x:expr, $name:ident($($argument:expr),*)) => {
        match $x.device() {
            Device::Cpu => reference::$name($($argument),*),
            #[cfg(feature = "cuda")]
            _ => kernels::$name($($argument),*),
            #[cfg(not(feature = "cuda"))]
            _ => bail!("this binary was built without the feature cuda"),
        }
    };
}

/// Norms `x (R, D)`, or `x + delta`: returns the sum, which is `x` where nothing is added, and its
/// norm, `(R, D)` each.
pub(super) fn norm(
    x: &Tensor,
    delta: Option<&Tensor>,
    weights: &NormWeights<'_>,
) -> Result<(Tensor, Tensor)> {
    let width = weights.weight.elem_count();
    if x.dims().last() != Some(&width) || delta.is_some_and(|d| d.dims() != x.dims()) {
        bail!("a norm over {width} of {:?}", x.shape());
    }
    dispatch!(x, norm(x, delta, weights))
}

/// Takes queries `(R, H, Dh)`, keys and values `(R, K, Dh)` out of joined rows `(R, (H + 2 K) Dh)`, and
/// rotates the first dimensions of queries and keys by `angles`, `(R, Dr/2)` each.
pub(super) fn rotate(
    joined: &Tensor,
    (heads, kv_heads, width): (usize, usize, usize),
    angles: Option<&(Tensor, Tensor)>,
) -> Result<(Tensor, Tensor, Tensor)> {
    let columns = joined.dims2()?.1;
    let rotated = angles.map_or(0, |(cosines, _)| 2 * cosines.dims()[1]);
    let is_wrong = columns != (heads + 2 * kv_heads) * width || rotated > width;
    if is_wrong || !rotates(width, angles) {
        bail!("{columns} columns for {heads} and {kv_heads} heads of {width}");
    }
    dispatch!(joined, rotate(joined, (heads, kv_heads, width), angles))
}

/// Applies `function` to `x (R, F)`; of `x (R, 2 F)`, gates beside values, returns
/// `act(gate) * value` where `is_gated`.
pub(super) fn activate(x: &Tensor, function: Function, is_gated: bool) -> Result<Tensor> {
    dispatch!(x, activate(x, function, is_gated))
}

/// Computes `x W^T + b`: `x (R, in)`, `weight (out, in)`, `bias (out)` to `(R, out)`. On a GPU the bits of
/// a row do not depend on R.
pub(super) fn product(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ((_, input), (outputs, inputs)) = (x.dims2()?, weight.dims2()?);
    if input != inputs || x.dtype() != weight.dtype() || bias.is_some_and(|b| b.dims() != [outputs])
    {
        bail!("a product of {:?} and {:?}", x.shape(), weight.shape());
    }
    dispatch!(x, product(x, weight, bias))
}

/// Returns the likeliest entry of each row of `logits (R, V)`, the lowest among equals, and its
/// log-probability: `(R, 2)`, f32. The log-probability of a row that is not finite is not finite.
pub(super) fn likeliest(logits: &Tensor) -> Result<Tensor> {
    dispatch!(logits, likeliest(logits))
}

/// Returns a tensor of q's shape for [`attend`] to fill.
pub(super) fn output_like(q: &Tensor) -> Result<Tensor> {
    dispatch!(q, output_like(q))
}

/// Attends the rows of a plan, in `q (R, H, Dh)`, to their keys of `kv_heads` heads, and writes them to
/// the same rows of `z (R, H, Dh)`; other rows of `z` stay as they are.
pub(super) fn attend(
    q: &Tensor,
    store: &KeyStore<'_>,
    plan: &Uploaded,
    kv_heads: usize,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let width = q.dims3()?.2;
    if z.dims() != q.dims() || !is_head(width) || store.keys.dims() != store.values.dims() {
        bail!("attention of {:?} to {:?}", q.shape(), store.keys.shape());
    }
    dispatch!(q, attend(q, store, plan, kv_heads, scoring, z))
}

/// Attends rows of `q (R, H, Dh)` to keys and values in two places each, and writes them to the same
/// rows of `z (R, H, Dh)`; other rows of `z` stay as they are.
pub(super) fn attend_split(
    q: &Tensor,
    rows: &[SplitRows],
    plans: &Plans,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let width = q.dims3()?.2;
    // What does not fit is refused here: a kernel that reads beyond a tensor says nothing.
    for own in rows {
        let (first, rest) = (own.first.0.dims3()?, own.rest.0.dims3()?);
        let fits = first.1 == rest.1 && first.2 == width && rest.2 == width && is_head(width);
        let alike = own.first.1.dims3()? == first && own.rest.1.dims3()? == rest;
        if z.dims() != q.dims() || !fits || !alike {
            bail!("attention of {:?} to {first:?} and {rest:?}", q.shape());
        }
    }
    dispatch!(q, attend_split(q, rows, plans, scoring, z))
}

/// Decodes one layer: keeps the key and the value, of `k` and `v (R, K, Dh)`, of each row behind those
/// of its sequence, attends the row of `q (R, H, Dh)` to them, and writes it to `z (R, H, Dh)`; other
/// rows of `z` stay as they are.
pub(super) fn decode(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    rows: &[DecodeRow],
    layer: usize,
    plans: &Plans,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let (_, kv_heads, width) = k.dims3()?;
    if z.dims() != q.dims() || v.dims() != k.dims() || !is_head(width) {
        bail!("attention of {:?} to {:?}", q.shape(), k.shape());
    }
    for row in rows {
        // The kernel writes at `count - 1`: behind the room stand the keys of the next head.
        let (layers, two, heads, room, wide) = row.kv.dims5()?;
        let fits = row.index < layers && row.count <= room && row.visible.end <= row.count;
        if !fits || (two, heads, wide) != (2, kv_heads, width) {
            bail!(
                "{} keys at layer {} of {:?}",
                row.count,
                row.index,
                row.kv.shape()
            );
        }
    }
    dispatch!(q, decode((q, k, v), rows, layer, plans, scoring, z))
}

/// Returns room for the keys and values of a sequence at several layers, `(L, 2, K, S, Dh)`, for
/// [`place_keys`] and [`decode`] to fill; `like` has its dtype and device.
pub(super) fn room(shape: (usize, usize, usize, usize, usize), like: &Tensor) -> Result<Tensor> {
    dispatch!(like, room(shape, like))
}

/// Copies keys and values `(n, K, Dh)` into `kv (L, 2, K, S, Dh)`: at layer `index`, from key `first`
/// on.
pub(super) fn place_keys(
    (k, v): (&Tensor, &Tensor),
    kv: &Tensor,
    (index, first): (usize, usize),
) -> Result<()> {
    let (count, kv_heads, width) = k.dims3()?;
    let (layers, two, heads, room, wide) = kv.dims5()?;
    let fits = index < layers && first + count <= room && v.dims() == k.dims();
    if !fits || (two, heads, wide) != (2, kv_heads, width) {
        bail!("keys {:?} for {:?}", k.shape(), kv.shape());
    }
    dispatch!(k, place_keys((k, v), kv, (index, first)))
}
