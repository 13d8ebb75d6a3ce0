//! Counts the bytes that caches hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Tensor;

/// Counts bytes of tensors, each tensor once however many sequences share it; clones share the
/// count.
#[derive(Debug, Clone, Default)]
pub struct MemoryTracker(Arc<AtomicUsize>);

impl MemoryTracker {
    /// Returns the bytes that are held now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts the bytes of `tensors` until the reservation is dropped.
    pub(in crate::nn) fn reserve<'a>(
        &self,
        tensors: impl IntoIterator<Item = &'a Tensor>,
    ) -> MemoryReservation {
        let bytes = tensors
            .into_iter()
            .map(|t| t.elem_count() * t.dtype().size_in_bytes())
            .sum();
        // Relaxed: the engine's thread alone decides by it.
        self.0.fetch_add(bytes, Ordering::Relaxed);
        MemoryReservation {
            tracker: self.clone(),
            bytes,
        }
    }
}

/// Bytes that are counted for as long as this lives.
#[derive(Debug)]
pub(in crate::nn) struct MemoryReservation {
    tracker: MemoryTracker,
    bytes: usize,
}

impl MemoryReservation {
    /// Returns the number of bytes.
    pub(in crate::nn) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.tracker.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
