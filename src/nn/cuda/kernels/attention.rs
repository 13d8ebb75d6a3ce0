//! Attention in one kernel, which writes no scores.

use std::ffi::c_void;

use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::{Result, Tensor};

use super::launch::{address, checked, device_of, is_bf16, stream_of, uninitialised};
use crate::nn::cpu::attention::Scoring;
use crate::nn::cuda::plans::{KeyStore, Uploaded};

/// The structure `Call` of `attention.cu`.
#[repr(C)]
struct Call {
    q: *const c_void,
    keys: *const c_void,
    values: *const c_void,
    sequences: *const c_void,
    tiles: *const c_void,
    visible: *const c_void,
    z: *mut c_void,
    key_stride: i64,
    head_stride: i64,
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
    fn scotoma_append_keys(
        k: *const c_void,
        v: *const c_void,
        keys: *mut c_void,
        values: *mut c_void,
        sequences: *const c_void,
        count: i32,
        kv_heads: i32,
        width: i32,
        key_stride: i64,
        head_stride: i64,
        stream: *mut c_void,
    ) -> i32;
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
    let (_, heads, width) = q.dims3()?;
    let plan = &uploaded.plan;
    if plan.tiles == 0 {
        return Ok(());
    }
    let device = device_of(q)?;
    let call = Call {
        q: address(q)?,
        keys: address(store.keys)?,
        values: address(store.values)?,
        sequences: uploaded.words_from(0)?,
        tiles: uploaded.words_from(plan.first_tile())?,
        visible: uploaded.words_from(plan.first_range())?,
        z: address(z)?,
        key_stride: store.key_stride as i64,
        head_stride: store.head_stride as i64,
        heads: heads as i32,
        kv_heads: kv_heads as i32,
        width: width as i32,
        scale: scoring.scale as f32,
        // 0 is none to the kernel.
        softcap: scoring.softcap.unwrap_or(0.0) as f32,
    };
    #[expect(unsafe_code, reason = "a kernel is called through C")]
    // SAFETY: the plan's rows are rows of q, and its keys are keys of the store, as whoever made the
    // plan has counted them; all tensors are contiguous.
    let status = unsafe {
        scotoma_attend(
            &raw const call,
            plan.tiles as i32,
            i32::from(plan.is_few),
            is_bf16(q),
            stream_of(device),
        )
    };
    checked("attention", status)
}

/// Copies the key and the value, `(R, K, Dh)`, of the one row of each sequence of a plan to the last of
/// its keys in the store.
pub(in crate::nn::cuda) fn append_keys(
    (k, v): (&Tensor, &Tensor),
    store: &KeyStore<'_>,
    uploaded: &Uploaded,
) -> Result<()> {
    let (_, kv_heads, width) = k.dims3()?;
    let device = device_of(k)?;
    #[expect(unsafe_code, reason = "a kernel is called through C")]
    // SAFETY: as in `attend`.
    let status = unsafe {
        scotoma_append_keys(
            address(k)?,
            address(v)?,
            address(store.keys)?,
            address(store.values)?,
            uploaded.words_from(0)?,
            uploaded.plan.sequences as i32,
            kv_heads as i32,
            width as i32,
            store.key_stride as i64,
            store.head_stride as i64,
            stream_of(device),
        )
    };
    checked("a copy of keys", status)
}
