//! Bounds of the engine's work and memory.

use crate::nn::{DeviceGroup, DeviceId};
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
    pub fn for_devices(devices: &[DeviceGroup]) -> Self {
        let default = Self::default();
        let on_gpu = devices.iter().filter(|group| !group.is_cpu());
        // Each has an engine of its own; the smallest one bounds all.
        let Some(free) = on_gpu.map(free_on).min() else {
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

/// Returns the free bytes of the cards of a group, each as the fullest of them; `None` where nobody
/// knows them.
fn free_on(group: &DeviceGroup) -> Option<u64> {
    // A group may name the CPU beside cards, whose memory says nothing about theirs.
    let cards: Vec<&DeviceId> = group.ids().iter().filter(|id| !id.is_cpu()).collect();
    // `None` is below every number: one card that does not tell leaves the group unknown.
    let free = cards.iter().map(|id| memory_free(&id.open().ok()?)).min()?;
    free.map(|free| free * cards.len() as u64)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 256,
            // Some 13,000 prompts of 640 rows, through 32 layers.
            queue_rows: 1 << 28,
            running: 64,
            step_rows: 1024,
            // 8,192 tokens of a Llama with 7B parameters in half precision.
            kv_bytes: 4 << 30,
            picture_bytes: 1 << 30,
            checkpoint_bytes: 1 << 30,
        }
    }
}
