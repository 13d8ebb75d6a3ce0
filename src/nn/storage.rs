//! Reads the numbers of candle's tensors for the kernels of [`cpu`](super::cpu).

use candle_core::{CpuStorage, DType, Layout, Result, Tensor, bail};

use super::cpu::simd::Numbers;

/// Returns the numbers of a tensor; fails where it is not contiguous or holds no floating-point
/// numbers.
pub(super) fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Numbers<'a>> {
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
    x.to_dtype(DType::F32)?.contiguous()
}
