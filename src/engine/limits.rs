//! Bounds of the engine's work and memory.

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
