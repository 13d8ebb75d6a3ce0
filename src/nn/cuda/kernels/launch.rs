//! Parts of every launch: addresses of tensors, the stream, errors.

use std::ffi::c_void;

use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::driver::DevicePtr;
use candle_core::{CudaDevice, DType, Device, Result, Storage, Tensor, bail};

/// Returns the device of `x`, with its context bound to this thread.
pub(super) fn device_of(x: &Tensor) -> Result<&CudaDevice> {
    let Device::Cuda(device) = x.device() else {
        bail!("a kernel for GPUs needs a tensor on one")
    };
    device
        .cuda_stream()
        .context()
        .bind_to_thread()
        .map_err(|e| candle_core::Error::Cuda(Box::new(e)))?;
    Ok(device)
}

/// Returns the stream of `device`, as the runtime takes it.
pub(super) fn stream_of(device: &CudaDevice) -> *mut c_void {
    device.cuda_stream().cu_stream().cast()
}

/// Returns the address of the first element of `x`, which is contiguous. It holds as long as the
/// tensor; what is launched on the device's stream before the tensor is dropped may use it, since the
/// memory is freed in the order of the stream.
pub(super) fn address(x: &Tensor) -> Result<*mut c_void> {
    if !x.is_contiguous() {
        bail!("a kernel needs a contiguous tensor, not {:?}", x.layout())
    }
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        bail!("a kernel for GPUs needs a tensor on one")
    };
    let stream = storage.device.cuda_stream();
    let (base, size) = match &storage.slice {
        CudaStorageSlice::BF16(values) => (values.device_ptr(&stream).0, 2),
        CudaStorageSlice::F16(values) => (values.device_ptr(&stream).0, 2),
        CudaStorageSlice::F32(values) => (values.device_ptr(&stream).0, 4),
        CudaStorageSlice::U32(values) => (values.device_ptr(&stream).0, 4),
        _ => bail!("a kernel has no {:?}", x.dtype()),
    };
    let address = base + (layout.start_offset() * size) as u64;
    // Rows are read 16 bytes at a time.
    if size == 2 && !address.is_multiple_of(16) {
        bail!("a kernel needs a tensor that begins at 16 bytes")
    }
    Ok(address as *mut c_void)
}

/// Returns [`address`] of a tensor, or null where there is none.
pub(super) fn address_or_null(x: Option<&Tensor>) -> Result<*mut c_void> {
    x.map_or(Ok(std::ptr::null_mut()), address)
}

/// Returns a tensor that a kernel fills.
pub(super) fn uninitialised<S: Into<candle_core::Shape>>(
    shape: S,
    like: &Tensor,
) -> Result<Tensor> {
    uninitialised_as(shape, like.dtype(), like)
}

/// Returns a tensor of another dtype that a kernel fills.
pub(super) fn uninitialised_as<S: Into<candle_core::Shape>>(
    shape: S,
    dtype: DType,
    like: &Tensor,
) -> Result<Tensor> {
    #[expect(unsafe_code, reason = "zeros that are written over cost a launch")]
    // SAFETY: the caller launches a kernel that writes every element before anything reads one.
    unsafe {
        Tensor::empty(shape, dtype, like.device())
    }
}

/// Returns 1 for bf16 and 0 for f16.
pub(super) fn is_bf16(x: &Tensor) -> i32 {
    i32::from(x.dtype() == DType::BF16)
}

/// Turns what a launch returned into an error that says which one failed.
pub(super) fn checked(what: &str, status: i32) -> Result<()> {
    checked_by("CUDA", what, status)
}

/// Turns what a call of `library` returned into an error that says which one failed; the engine
/// reads off the text what became of the device.
pub(super) fn checked_by(library: &str, what: &str, status: i32) -> Result<()> {
    if status != 0 {
        let text = format!("{what} failed with {library} status {status}");
        return Err(candle_core::Error::Cuda(text.into()));
    }
    Ok(())
}
