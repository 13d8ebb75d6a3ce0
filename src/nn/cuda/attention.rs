//! Attention in one kernel, which writes no scores.

use std::cell::RefCell;
use std::ffi::c_void;

use candle_core::{Result, Tensor, bail};

use super::launch::{address, checked, device_of, is_bf16, stream_of, uninitialised};
use crate::nn::attention_plan::{AttentionPlan, KeySpan};
use crate::nn::cpu::attention::Scoring;

/// The widest head that the kernel takes.
const WIDEST: usize = 256;

/// The most words of one upload.
const UPLOAD_WORDS: usize = 8192;

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

/// Plans of a pass on its device: most layers of a pass have the same.
#[derive(Debug, Default)]
pub(in crate::nn) struct Plans(RefCell<Vec<(AttentionPlan, Tensor)>>);

/// A plan on its device.
pub(in crate::nn) struct Uploaded {
    plan: AttentionPlan,
    words: Tensor,
}

impl Plans {
    /// Lays `spans` out and uploads them, unless an earlier layer has.
    pub(in crate::nn) fn upload(
        &self,
        spans: &[KeySpan],
        group: usize,
        like: &Tensor,
    ) -> Result<Uploaded> {
        let plan = AttentionPlan::new(spans, group);
        let mut known = self.0.borrow_mut();
        if let Some((_, words)) = known.iter().find(|(p, _)| *p == plan) {
            let words = words.clone();
            return Ok(Uploaded { plan, words });
        }
        // In parts that the driver takes without waiting for the card, which are at most 64 KB.
        let parts = plan
            .words
            .chunks(UPLOAD_WORDS)
            .map(|part| Tensor::from_slice(part, part.len(), like.device()))
            .collect::<Result<Vec<_>>>()?;
        let words = match parts.as_slice() {
            [one] => one.clone(),
            _ => Tensor::cat(&parts, 0)?,
        };
        known.push((plan.clone(), words.clone()));
        Ok(Uploaded { plan, words })
    }
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

/// Keys and values that a plan's offsets are counted in.
pub(in crate::nn) struct KeyStore<'a> {
    /// Contiguous.
    pub(in crate::nn) keys: &'a Tensor,
    /// Contiguous.
    pub(in crate::nn) values: &'a Tensor,
    /// Elements from a key to the next one.
    pub(in crate::nn) key_stride: usize,
    /// Elements from a head to the next one.
    pub(in crate::nn) head_stride: usize,
}

/// Returns whether the kernel takes heads of `width`.
pub(in crate::nn) fn takes(width: usize) -> bool {
    width.is_multiple_of(8) && width <= WIDEST
}

/// Returns a tensor of q's shape for [`attend`] to fill.
pub(in crate::nn) fn output_like(q: &Tensor) -> Result<Tensor> {
    uninitialised(q.shape(), q)
}

/// Attends the rows of a plan, in `q (R, H, Dh)`, to their keys of `kv_heads` heads, and writes them to
/// the same rows of `z (R, H, Dh)`; other rows of `z` stay as they are.
pub(in crate::nn) fn attend(
    q: &Tensor,
    store: &KeyStore<'_>,
    uploaded: &Uploaded,
    kv_heads: usize,
    scoring: Scoring,
    z: &Tensor,
) -> Result<()> {
    let (_, heads, width) = q.dims3()?;
    if z.dims() != q.dims() || !takes(width) || store.keys.dims() != store.values.dims() {
        bail!("attention of {:?} to {:?}", q.shape(), store.keys.shape());
    }
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
pub(in crate::nn) fn append_keys(
    (k, v): (&Tensor, &Tensor),
    store: &KeyStore<'_>,
    uploaded: &Uploaded,
) -> Result<()> {
    let (_, kv_heads, width) = k.dims3()?;
    if v.dims() != k.dims() || !width.is_multiple_of(8) {
        bail!("keys {:?} and values {:?}", k.shape(), v.shape());
    }
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
