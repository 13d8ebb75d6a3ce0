//! Kernels that work row by row: norms, rotary embeddings, activations, the likeliest token, and
//! copies of keys into slots.

use std::ffi::c_void;

use candle_core::{DType, Result, Tensor, bail};

use super::launch::{
    address, address_or_null, checked, device_of, is_bf16, stream_of, uninitialised,
    uninitialised_as,
};
use crate::nn::cpu::activation::Function;
use crate::nn::cuda::norm_weights::NormWeights;

#[expect(unsafe_code, reason = "kernels are called through C")]
unsafe extern "C" {
    fn scotoma_norm(
        x: *const c_void,
        delta: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        total: *mut c_void,
        y: *mut c_void,
        rows: i32,
        width: i32,
        eps: f32,
        is_layer: i32,
        is_f32: i32,
        is_bf16: i32,
        stream: *mut c_void,
    ) -> i32;
    fn scotoma_rotate(
        joined: *const c_void,
        cosines: *const c_void,
        sines: *const c_void,
        q: *mut c_void,
        k: *mut c_void,
        v: *mut c_void,
        rows: i32,
        heads: i32,
        kv_heads: i32,
        width: i32,
        rotated: i32,
        is_bf16: i32,
        stream: *mut c_void,
    ) -> i32;
    fn scotoma_activate(
        x: *const c_void,
        y: *mut c_void,
        rows: i32,
        width: i32,
        kind: i32,
        is_gated: i32,
        is_bf16: i32,
        stream: *mut c_void,
    ) -> i32;
    fn scotoma_likeliest(
        x: *const c_void,
        y: *mut c_void,
        rows: i32,
        width: i32,
        is_bf16: i32,
        stream: *mut c_void,
    ) -> i32;
    fn scotoma_place_keys(
        k: *const c_void,
        v: *const c_void,
        keys: *mut c_void,
        values: *mut c_void,
        count: i32,
        kv_heads: i32,
        width: i32,
        key_stride: i64,
        head_stride: i64,
        stream: *mut c_void,
    ) -> i32;
}

/// Norms `x (R, D)`, or `x + delta`: returns the sum, which is `x` where nothing is added, and its
/// norm, `(R, D)` each.
pub(in crate::nn::cuda) fn norm(
    x: &Tensor,
    delta: Option<&Tensor>,
    norm: &NormWeights<'_>,
) -> Result<(Tensor, Tensor)> {
    let (x, delta) = (x.contiguous()?, delta.map(Tensor::contiguous).transpose()?);
    let width = norm.weight.elem_count();
    if x.dims().last() != Some(&width) || delta.as_ref().is_some_and(|d| d.dims() != x.dims()) {
        bail!("a norm over {width} of {:?}", x.shape());
    }
    let device = device_of(&x)?;
    let y = uninitialised(x.shape(), &x)?;
    let total = delta
        .as_ref()
        .map(|_| uninitialised(x.shape(), &x))
        .transpose()?;
    if x.elem_count() > 0 {
        #[expect(unsafe_code, reason = "a kernel is called through C")]
        // SAFETY: every address is of a contiguous tensor of as many elements as the kernel reads.
        let status = unsafe {
            scotoma_norm(
                address(&x)?,
                address_or_null(delta.as_ref())?,
                address(norm.weight)?,
                address_or_null(norm.bias)?,
                address_or_null(total.as_ref())?,
                address(&y)?,
                (x.elem_count() / width) as i32,
                width as i32,
                norm.eps as f32,
                i32::from(norm.bias.is_some()),
                i32::from(norm.weight.dtype() == DType::F32),
                is_bf16(&x),
                stream_of(device),
            )
        };
        checked("a norm", status)?;
    }
    // Nothing was added: the sum is x itself, and is not copied.
    Ok((total.unwrap_or(x), y))
}

/// Takes queries `(R, H, Dh)`, keys and values `(R, K, Dh)` out of joined rows `(R, (H + 2 K) Dh)`, and
/// rotates the first dimensions of queries and keys by `angles`, `(R, Dr/2)` each.
pub(in crate::nn::cuda) fn rotate(
    joined: &Tensor,
    (heads, kv_heads, width): (usize, usize, usize),
    angles: Option<&(Tensor, Tensor)>,
) -> Result<(Tensor, Tensor, Tensor)> {
    let (rows, columns) = joined.dims2()?;
    let rotated = match angles {
        Some((cosines, _)) => 2 * cosines.dim(1)?,
        None => 0,
    };
    if columns != (heads + 2 * kv_heads) * width || rotated > width {
        bail!("{columns} columns for {heads} and {kv_heads} heads of {width}");
    }
    let device = device_of(joined)?;
    let q = uninitialised((rows, heads, width), joined)?;
    let k = uninitialised((rows, kv_heads, width), joined)?;
    let v = uninitialised((rows, kv_heads, width), joined)?;
    if rows > 0 {
        #[expect(unsafe_code, reason = "a kernel is called through C")]
        // SAFETY: the shapes were checked; all tensors are contiguous.
        let status = unsafe {
            scotoma_rotate(
                address(joined)?,
                address_or_null(angles.map(|(cosines, _)| cosines))?,
                address_or_null(angles.map(|(_, sines)| sines))?,
                address(&q)?,
                address(&k)?,
                address(&v)?,
                rows as i32,
                heads as i32,
                kv_heads as i32,
                width as i32,
                rotated as i32,
                is_bf16(joined),
                stream_of(device),
            )
        };
        checked("a rotary embedding", status)?;
    }
    Ok((q, k, v))
}

/// Returns the number of a function in `rows.cu`.
fn number(function: Function) -> i32 {
    match function {
        // The cases of `activation` in rows.cu.
        Function::Gelu => 0,
        Function::GeluTanh => 1,
        Function::QuickGelu => 2,
        Function::Silu => 3,
        Function::Relu => 4,
    }
}

/// Applies `function` to `x (R, F)`; of `x (R, 2 F)`, gates beside values, returns
/// `act(gate) * value` where `is_gated`.
pub(in crate::nn::cuda) fn activate(
    x: &Tensor,
    function: Function,
    is_gated: bool,
) -> Result<Tensor> {
    let x = x.contiguous()?;
    let (rows, columns) = x.dims2()?;
    let width = if is_gated { columns / 2 } else { columns };
    let device = device_of(&x)?;
    let y = uninitialised((rows, width), &x)?;
    if rows > 0 {
        #[expect(unsafe_code, reason = "a kernel is called through C")]
        // SAFETY: both tensors are contiguous and of the shapes that the kernel is told.
        let status = unsafe {
            scotoma_activate(
                address(&x)?,
                address(&y)?,
                rows as i32,
                width as i32,
                number(function),
                i32::from(is_gated),
                is_bf16(&x),
                stream_of(device),
            )
        };
        checked("an activation", status)?;
    }
    Ok(y)
}

/// Returns the likeliest entry of each row of `logits (R, V)`, the lowest among equals, and its
/// log-probability: `(R, 2)`, f32. The log-probability of a row that is not finite is not finite.
pub(in crate::nn::cuda) fn likeliest(logits: &Tensor) -> Result<Tensor> {
    let logits = logits.contiguous()?;
    let (rows, width) = logits.dims2()?;
    let device = device_of(&logits)?;
    let found = uninitialised_as((rows, 2), DType::F32, &logits)?;
    if rows > 0 {
        #[expect(unsafe_code, reason = "a kernel is called through C")]
        // SAFETY: both tensors are contiguous and of the shapes that the kernel is told.
        let status = unsafe {
            scotoma_likeliest(
                address(&logits)?,
                address(&found)?,
                rows as i32,
                width as i32,
                is_bf16(&logits),
                stream_of(device),
            )
        };
        checked("the search for the likeliest token", status)?;
    }
    Ok(found)
}

/// Copies keys and values `(n, K, Dh)` into `kv (L, 2, K, S, Dh)`: at layer `index`, from key `first`
/// on.
pub(in crate::nn::cuda) fn place_keys(
    (k, v): (&Tensor, &Tensor),
    kv: &Tensor,
    (index, first): (usize, usize),
) -> Result<()> {
    let (k, v) = (k.contiguous()?, v.contiguous()?);
    let (count, kv_heads, width) = k.dims3()?;
    let (_, _, _, room, _) = kv.dims5()?;
    let device = device_of(&k)?;
    // 16 bits an element.
    let values = 2 * kv_heads * room * width;
    let keys = index * 2 * values + 2 * first * width;
    if count > 0 {
        #[expect(unsafe_code, reason = "a kernel is called through C")]
        // SAFETY: the copy ends within the layer, as checked; `kv` is contiguous.
        let status = unsafe {
            let to = address(kv)?.byte_add(keys);
            scotoma_place_keys(
                address(&k)?,
                address(&v)?,
                to,
                to.byte_add(values),
                count as i32,
                kv_heads as i32,
                width as i32,
                width as i64,
                (room * width) as i64,
                stream_of(device),
            )
        };
        checked("a copy of keys", status)?;
    }
    Ok(())
}
