//! Chooses the implementation of the forward pass.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Device;

static PREFER_CANDLE: AtomicBool = AtomicBool::new(false);

/// An implementation of the forward pass. Weights are laid out for one when they are loaded, and
/// keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The kernels of this crate, on a CPU.
    Cpu,
    /// candle's kernels, on a GPU, or on a CPU after [`use_candle`].
    Candle,
}

impl Backend {
    /// Returns the backend of tensors that are loaded onto `device` now.
    pub fn of(device: &Device) -> Self {
        // Read when something is loaded; what is loaded keeps its backend.
        if device.is_cpu() && !PREFER_CANDLE.load(Ordering::Relaxed) {
            Self::Cpu
        } else {
            Self::Candle
        }
    }
}

/// Makes candle's kernels serve the CPU as they serve a GPU, so that this path can be checked on
/// any machine. Must be called before a model is loaded.
pub fn use_candle() {
    // Relaxed: callers set it before any model is loaded.
    PREFER_CANDLE.store(true, Ordering::Relaxed);
}
