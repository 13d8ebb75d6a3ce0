//! A device that was lost: nothing that was on it can be freed piece by piece.

use candle_core::Device;

/// Lets go of a device whose context is of no use, so that it can be opened anew. All tensors must
/// be gone.
#[cfg_attr(
    not(feature = "cuda"),
    expect(unused_variables, reason = "a CPU has no context")
)]
pub fn let_go(device: Device) {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        // cuBLASLt's handle is kept by the number of the card, which the new context will have,
        // too.
        crate::nn::cuda::forget(device.cuda_stream().context().ordinal());
        reset(&device);
        // Its handles (cuBLAS's, cuRAND's) are left behind: their destructors panic where the
        // driver refuses them, and it refuses all that belongs to a lost context.
        std::mem::forget(device);
    }
}

/// Destroys the context that all handles of the device share; the next one to open the device gets
/// a new one.
#[cfg(feature = "cuda")]
#[expect(
    unsafe_code,
    reason = "cudarc has no safe form of this call of the driver"
)]
fn reset(device: &candle_core::CudaDevice) {
    use candle_core::cuda_backend::cudarc::driver::sys;

    let device = device.cuda_stream().context().cu_device();
    // Safety: the number is that of an open device. What belonged to its context is not used again:
    // tensors are gone, and handles are left behind.
    let result = unsafe { sys::cuDevicePrimaryCtxReset_v2(device) };
    if result != sys::CUresult::CUDA_SUCCESS {
        tracing::error!(?result, "the device's context cannot be reset");
    }
}
