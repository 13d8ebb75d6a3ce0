//! Memory in use.

use candle_core::Device;

/// Returns the bytes of a GPU that no process has; `None` for a CPU, whose memory is shared with all
/// else, and where they are not known.
pub fn memory_free(device: &Device) -> Option<u64> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let (free, _) = device.cuda_stream().context().mem_get_info().ok()?;
            Some(free as u64)
        }
        _ => None,
    }
}

/// Returns the bytes in use: on a GPU by all processes, on a CPU resident by this one; `None` if
/// they are not known.
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
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
        }
    }
}
