//! Opens a GPU.

use candle_core::cuda_backend::cudarc::driver::{result, sys};
use candle_core::{Device, Result};

use super::launch::checked;

/// Opens the GPU number `ordinal`: one stream for all threads, and freed memory that is kept for the
/// next tensor.
pub(in crate::nn::cuda) fn open(ordinal: usize) -> Result<Device> {
    // Of its own: candle's default is the stream of the thread that asks, and then weights that one
    // thread loads are not in order with what another one computes.
    let device = Device::new_cuda_with_stream(ordinal)?;
    let context = device.as_cuda_device()?.cuda_stream().context().clone();
    #[expect(unsafe_code, reason = "candle has no safe call for either")]
    // SAFETY: one stream does all work of a device, so that nothing has to be tracked between streams;
    // the pool is the device's own, and the value is a u64 as the attribute wants.
    unsafe {
        context.disable_event_tracking();
        let pool = result::device::get_default_mem_pool(context.cu_device()).map_err(driver)?;
        // By default a pool gives its memory back whenever the host waits, and asks for it again.
        let mut keep = u64::MAX;
        let kept = sys::cuMemPoolSetAttribute(
            pool,
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
            (&raw mut keep).cast(),
        );
        checked("a memory pool", kept as i32)?;
    }
    Ok(device)
}

fn driver(error: candle_core::cuda_backend::cudarc::driver::DriverError) -> candle_core::Error {
    candle_core::Error::Cuda(Box::new(error))
}
