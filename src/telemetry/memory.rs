//! Memory in use.

use candle_core::Device;
#[cfg(feature = "cuda")]
use candle_core::cuda_backend::cudarc::driver::{
    result,
    sys::{self, CUmemPool_attribute},
};

/// Returns the bytes of a GPU that no process has, or that its pool keeps for the next tensor; `None`
/// for a CPU, whose memory is shared with all else, and where they are not known.
pub fn memory_free(device: &Device) -> Option<u64> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let (free, _) = device.cuda_stream().context().mem_get_info().ok()?;
            // What the pool keeps looks taken to the driver, and is the first thing that a new
            // tensor gets.
            Some(free as u64 + pooled(device))
        }
        _ => None,
    }
}

/// Returns the bytes in use: on a GPU by all processes, what their pools keep among them, on a CPU
/// resident by this one; `None` if they are not known.
pub fn memory_used(device: &Device) -> Option<u64> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let (free, total) = device.cuda_stream().context().mem_get_info().ok()?;
            Some((total - free) as u64)
        }
        _ => {
            let status = std::fs::read_to_string("/proc/self/status").ok()?;
            let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
            // The kernel says kB and means KiB.
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
        }
    }
}

/// Returns the bytes that the memory pool of a GPU has taken from the driver and no tensor uses.
#[cfg(feature = "cuda")]
fn pooled(device: &candle_core::CudaDevice) -> u64 {
    let taken = of_pool(
        device,
        CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
    );
    let used = of_pool(
        device,
        CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT,
    );
    // Without both nothing is known to be free beside what the driver says.
    taken
        .zip(used)
        .map_or(0, |(taken, used)| taken.saturating_sub(used))
}

#[cfg(feature = "cuda")]
fn of_pool(device: &candle_core::CudaDevice, attribute: CUmemPool_attribute) -> Option<u64> {
    let mut bytes = 0u64;
    #[expect(unsafe_code, reason = "cudarc has no safe form of these calls")]
    // SAFETY: the device is open, the pool is its own, and the attributes that are asked for are u64s.
    let status = unsafe {
        let device = device.cuda_stream().context().cu_device();
        let pool = result::device::get_default_mem_pool(device).ok()?;
        sys::cuMemPoolGetAttribute(pool, attribute, (&raw mut bytes).cast())
    };
    (status == sys::CUresult::CUDA_SUCCESS).then_some(bytes)
}
