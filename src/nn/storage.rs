//! Reads the numbers of candle's tensors for the kernels of [`cpu`](super::cpu).

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::cpu::simd::{Numbers, rounded, widened};

/// Returns the numbers of a tensor; fails where it is not contiguous or holds no floating-point
/// numbers.
pub(super) fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Numbers<'a>> {
    // A contiguous view may begin anywhere in its storage.
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("a kernel needs a contiguous tensor")
    };
    match storage {
        CpuStorage::F32(values) => Ok(Numbers::F32(&values[start..end])),
        CpuStorage::BF16(values) => Ok(Numbers::Bf16(&values[start..end])),
        CpuStorage::F16(values) => Ok(Numbers::F16(&values[start..end])),
        _ => bail!("a kernel needs f32, bf16 or f16"),
    }
}

/// Returns the f32 numbers of a contiguous tensor.
pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match numbers(storage, layout)? {
        Numbers::F32(values) => Ok(values),
        _ => bail!("a kernel needs f32"),
    }
}

/// Returns `x` as contiguous f32.
pub(super) fn as_floats(x: &Tensor) -> Result<Tensor> {
    // `Convert` has no backward, and reads the memory of the host.
    if x.dtype() == DType::BF16 && is_plain(x) {
        return x.contiguous()?.apply_op1_no_bwd(&Convert);
    }
    x.to_dtype(DType::F32)?.contiguous()
}

/// Returns f32 `x` as `dtype`.
pub(super) fn rounded_to(x: Tensor, dtype: DType) -> Result<Tensor> {
    if dtype == DType::BF16 && x.dtype() == DType::F32 && is_plain(&x) {
        return x.contiguous()?.apply_op1_no_bwd(&Convert);
    }
    x.to_dtype(dtype)
}

/// Returns numbers in the dtype of `like`.
pub(super) fn stored(values: Vec<f32>, like: Numbers<'_>) -> CpuStorage {
    match like {
        Numbers::F32(_) => CpuStorage::F32(values),
        Numbers::Bf16(_) => CpuStorage::BF16(rounded(&values)),
        Numbers::F16(_) => {
            // All in one call, in which `half` uses the conversions of the processor.
            let mut narrow = vec![f16::ZERO; values.len()];
            narrow.convert_from_f32_slice(&values);
            CpuStorage::F16(narrow)
        }
    }
}

/// Reports whether `x` is on a CPU, and no gradient flows through it.
fn is_plain(x: &Tensor) -> bool {
    x.device().is_cpu() && !x.track_op()
}

/// Makes f32 of bf16 and bf16 of f32; candle does it number by number on one thread.
struct Convert;

impl CustomOp1 for Convert {
    fn name(&self) -> &'static str {
        "convert"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let converted = match numbers(storage, layout)? {
            Numbers::F32(values) => CpuStorage::BF16(rounded(values)),
            Numbers::Bf16(values) => CpuStorage::F32(widened(values)),
            Numbers::F16(_) => bail!("f16 is converted by candle"),
        };
        Ok((converted, layout.shape().clone()))
    }
}
