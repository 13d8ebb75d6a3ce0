//! Attention in one kernel, which writes no scores.

use std::ffi::c_void;

use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::{Result, Tensor};

use super::launch::{address, checked, device_of, is_bf16, stream_of, uninitialised};
use crate::nn::attention_plan::{KeyPlace, KeySpan};
use crate::nn::cpu::attention::Scoring;
use crate::nn::cuda::plans::{DecodeRow, KeyStore, Plans, SplitRows, Uploaded};

/// Bytes of an element in half precision.
const HALF: i64 = 2;

/// The structure `Call` of `attention.cu`.
#[repr(C)]
struct Call {
    q: *const c_void,
    k: *const c_void,
    v: *const c_void,
    keys: *const c_void,
    values: *const c_void,
    sequences: *const c_void,
    tiles: *const c_void,
    visible: *const c_void,
    z: *mut c_void,
    key_stride: i64,
    layer: i32,
    heads: i32,
    kv_heads: i32,
    width: i32,
    scale: f32,
    softcap: f32,
}

#[expect(unsafe_code, reason = "kernels are called through C")]
unsafe extern "C" {
    fn scotoma_attend(
        call: *const Call,
        tiles: i32,
        few: i32,
        is_bf16: i32,
        stream: *mut c_void,
    ) -> i32;
    fn scotoma_attention_bytes(width: i32) -> i32;
}

impl Uploaded {
    fn words_from(&self, word: usize) -> Result<*const c_void> {
        #[expect(unsafe_code, reason = "the address of a part")]
        // SAFETY: within the words, as the plan counts them.
        Ok(unsafe { address(&self.words)?.cast::<u32>().add(word) }
            .cast_const()
            .cast())
    }
}

/// Returns whether the card of `q` has the shared memory that heads of `width` need.
pub(in crate::nn::cuda) fn fits(q: &Tensor, width: usize) -> bool {
    const MOST: sys::CUdevice_attribute =
        sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
    let Ok(device) = device_of(q) else {
        return false;
    };
    #[expect(unsafe_code, reason = "a function is called through C")]
    // SAFETY: it takes a number, and touches no device.
    let needed = unsafe { scotoma_attention_bytes(width as i32) };
    let most = device.cuda_stream().context().attribute(MOST);
    most.is_ok_and(|most| needed <= most)
}

/// Returns a tensor of q's shape for [`attend`] to fill.
pub(in crate::nn::cuda) fn output_like(q: &Tensor) -> Result<Tensor> {
    uninitialised(q.shape(), q)
}

/// Attends the rows of a plan, in `q (R, H, Dh)`, to their keys of `kv_heads` heads, and writes them to
/// the same rows of `z (R, H, Dh)`; other rows of `z` stay as they are.
pub(in crate::nn::cuda) fn attend(
    q: &Tensor,
    store: &KeyStore<'_>,
    uploaded: &Uploaded,
    kv_heads: usize,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let call = Call {
        keys: address(store.keys)?,
        values: address(store.values)?,
        key_stride: store.key_stride as i64,
        ..Call::new(q, uploaded, kv_heads, scoring, z)?
    };
    // SAFETY of the launch: the plan's rows are rows of q, and its keys are keys of the store, as
    // whoever made the plan has counted them; all tensors are contiguous.
    call.launch(q, uploaded)
}

/// Keeps the key and the value of each row behind those of its sequence, and attends the row to them.
pub(in crate::nn::cuda) fn decode(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    rows: &[DecodeRow],
    layer: usize,
    plans: &Plans,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let (_, heads, width) = q.dims3()?;
    let kv_heads = k.dim(1)?;
    let spans = rows.iter().map(|row| span_of(row, layer));
    let spans = spans.collect::<Result<Vec<_>>>()?;
    let uploaded = plans.upload(&spans, heads / kv_heads, q)?;
    let call = Call {
        k: address(k)?,
        v: address(v)?,
        // Offsets are addresses: each sequence has keys and values of its own.
        key_stride: width as i64,
        layer: layer as i32,
        ..Call::new(q, &uploaded, kv_heads, scoring, z)?
    };
    // SAFETY of the launch: the rows are rows of q, k and v, and their keys lie within their
    // sequences' tensors, as was checked.
    call.launch(q, &uploaded)
}

/// Says where the keys of a row that decodes are. The layer counts from what all layers of a plain
/// path share, so that they share the plan, too.
fn span_of(row: &DecodeRow, layer: usize) -> Result<KeySpan> {
    let (_, _, kv_heads, room, width) = row.kv.dims5()?;
    let head_stride = room * width;
    let layer_stride = 2 * kv_heads * head_stride;
    let before = (row.index as i64 - layer as i64) * layer_stride as i64;
    let keys = element(&row.kv)? + before;
    let values = keys + (kv_heads * head_stride) as i64;
    Ok(KeySpan {
        place: KeyPlace::whole((keys, values), layer_stride, head_stride),
        first_row: row.row,
        count: row.count,
        visible: vec![row.visible.clone()],
    })
}

/// Attends rows to keys and values in two places.
pub(in crate::nn::cuda) fn attend_split(
    q: &Tensor,
    rows: &[SplitRows],
    plans: &Plans,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let Some((_, kv_heads, width)) = rows.first().map(|r| r.rest.0.dims3()).transpose()? else {
        return Ok(());
    };
    let spans = rows.iter().map(split_span).collect::<Result<Vec<_>>>()?;
    let uploaded = plans.upload(&spans, q.dim(1)? / kv_heads, q)?;
    let call = Call {
        // Offsets are addresses.
        key_stride: (kv_heads * width) as i64,
        ..Call::new(q, &uploaded, kv_heads, scoring, z)?
    };
    // SAFETY of the launch: the rows are rows of q, and see as many keys as the two places have.
    call.launch(q, &uploaded)
}

/// Says where the keys of rows are that are in two places.
fn split_span(rows: &SplitRows) -> Result<KeySpan> {
    let (split, kv_heads, width) = rows.first.0.dims3()?;
    // Counted back, so that key number `split` is the first one of `rest`.
    let before = (split * kv_heads * width) as i64;
    let rest = |t: &Tensor| Ok::<_, candle_core::Error>(element(t)? - before);
    Ok(KeySpan {
        place: KeyPlace {
            first: (element(&rows.first.0)?, element(&rows.first.1)?),
            rest: (rest(&rows.rest.0)?, rest(&rows.rest.1)?),
            split,
            layer_stride: 0,
            head_stride: width,
        },
        first_row: rows.first_row,
        count: split + rows.rest.0.dim(0)?,
        visible: rows.visible.clone(),
    })
}

/// Returns the address of a tensor in elements, as offsets from a call without keys count.
fn element(x: &Tensor) -> Result<i64> {
    // Exact: `address` refuses what does not begin at 16 bytes.
    Ok(address(x)? as i64 / HALF)
}

/// Returns room for the keys and values of a sequence.
pub(in crate::nn::cuda) fn room(
    shape: (usize, usize, usize, usize, usize),
    like: &Tensor,
) -> Result<Tensor> {
    uninitialised(shape, like)
}

impl Call {
    /// Describes a call of a plan, without keys.
    fn new(
        q: &Tensor,
        uploaded: &Uploaded,
        kv_heads: usize,
        scoring: Scoring,
        z: &Tensor,
    ) -> Result<Self> {
        let ((_, heads, width), plan) = (q.dims3()?, &uploaded.plan);
        Ok(Self {
            q: address(q)?,
            k: std::ptr::null(),
            v: std::ptr::null(),
            keys: std::ptr::null(),
            values: std::ptr::null(),
            sequences: uploaded.words_from(0)?,
            tiles: uploaded.words_from(plan.first_tile())?,
            visible: uploaded.words_from(plan.first_range())?,
            z: address(z)?,
            key_stride: 0,
            layer: 0,
            heads: heads as i32,
            kv_heads: kv_heads as i32,
            width: width as i32,
            scale: scoring.scale as f32,
            // 0 is none to the kernel.
            softcap: scoring.softcap.unwrap_or(0.0) as f32,
        })
    }

    fn launch(&self, q: &Tensor, uploaded: &Uploaded) -> Result<()> {
        let (device, plan) = (device_of(q)?, &uploaded.plan);
        if plan.tiles == 0 {
            return Ok(());
        }
        #[expect(unsafe_code, reason = "a kernel is called through C")]
        // SAFETY: the callers say why all addresses hold what the plan reads.
        let status = unsafe {
            scotoma_attend(
                std::ptr::from_ref(self),
                plan.tiles as i32,
                i32::from(plan.is_few),
                is_bf16(q),
                stream_of(device),
            )
        };
        checked("attention", status)
    }
}
