//! Who computes: the kernels of this crate on a CPU, candle's elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Device;

static CANDLE: AtomicBool = AtomicBool::new(false);

/// Whether this crate's kernels serve `device`.
pub fn is_ours(device: &Device) -> bool {
    device.is_cpu() && !CANDLE.load(Ordering::Relaxed)
}

/// From now on candle's kernels serve the CPU as they serve a GPU, so that this path can be checked
/// on any machine. Call it before a model is loaded: weights are laid out for who computes with
/// them.
pub fn use_candle() {
    CANDLE.store(true, Ordering::Relaxed);
}
