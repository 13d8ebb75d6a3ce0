//! Bounds of the engine's work and memory.

use crate::nn::DeviceId;
use crate::telemetry::memory_free;

/// Bounds of what the engine takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests that may wait.
    pub queue: usize,
    /// (row, layer) pairs that may be admitted and not yet done.
    pub queue_rows: u64,
    /// Sequences that run at once.
    pub running: usize,
    /// Rows of one step; a sequence that cannot be cut into chunks may exceed it.
    pub step_rows: usize,
    /// Bytes of keys and values; prompts that were read are remembered as long as there is room.
    pub kv_bytes: usize,
    /// Bytes of encoded pictures.
    pub picture_bytes: u64,
    /// Bytes of the residual stream kept for variants to start from, for each request.
    pub checkpoint_bytes: u64,
}

impl Limits {
    /// Returns the bounds of engines on `devices`, before models are loaded to them. A GPU has larger
    /// steps, since it is fast, and keys and values of as many sequences as keep it busy.
    pub fn for_devices(devices: &[DeviceId]) -> Self {
        let default = Self::default();
        let on_gpu = devices.iter().filter(|device| !device.is_cpu());
        // Each device has an engine of its own; the smallest one bounds all.
        let free = on_gpu.map(|device| memory_free(&device.open().ok()?));
        let Some(free) = free.min() else {
            return default;
        };
        Self {
            running: 256,
            step_rows: 8192,
            // The rest is for weights, and for the rows of a step.
            kv_bytes: free.map_or(default.kv_bytes, |free| free as usize / 5 * 2),
            ..default
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 256,
            queue_rows: 1 << 28,
            running: 64,
            step_rows: 1024,
            kv_bytes: 4 << 30,
            picture_bytes: 1 << 30,
            checkpoint_bytes: 1 << 30,
        }
    }
}
