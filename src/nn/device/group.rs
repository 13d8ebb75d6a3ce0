//! Several devices that hold one model.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Result};

use super::id::DeviceId;
use crate::nn::backend::Backend;

/// Names the devices of a model, as requests, records and flags do: `cuda:0`, or `cuda:0+cuda:1`,
/// over which its layers are spread in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceGroup(Arc<[DeviceId]>);

impl DeviceGroup {
    /// Names `first` and the devices of the later layers.
    pub fn new(first: DeviceId, later: impl IntoIterator<Item = DeviceId>) -> Self {
        Self(std::iter::once(first).chain(later).collect())
    }

    /// Returns the devices in the order of the layers; at least one.
    pub fn ids(&self) -> &[DeviceId] {
        &self.0
    }

    /// Returns the device of tower, projectors and embeddings.
    pub fn first(&self) -> DeviceId {
        // `new` takes one at least.
        self.0[0]
    }

    /// Opens the devices. The calling thread must be the one that will own them.
    pub fn open(&self) -> Result<Vec<Device>> {
        self.0.iter().map(|id| id.open()).collect()
    }

    /// Returns whether all of its memory is that of the process.
    pub fn is_cpu(&self) -> bool {
        self.0.iter().all(|id| id.is_cpu())
    }

    /// Returns the dtype of weights where none is asked for: that of a GPU, if there is one.
    pub fn default_dtype(&self) -> DType {
        let card = self.0.iter().find(|id| !id.is_cpu());
        // A CPU beside a GPU computes in bf16, too: rows pass from one to the other.
        card.copied().unwrap_or(self.first()).default_dtype()
    }

    /// Returns the backend of tensors that are loaded onto it now; that of a CPU, if there is one.
    pub fn backend(&self) -> Backend {
        let mut backends = self.0.iter().map(|id| id.backend());
        let cpu = backends.find(|backend| *backend == Backend::Cpu);
        // Decode slots need every layer to compute as a GPU does, and one that is on the CPU does
        // not.
        cpu.unwrap_or(Backend::Candle)
    }
}

impl From<DeviceId> for DeviceGroup {
    fn from(id: DeviceId) -> Self {
        Self::new(id, [])
    }
}

impl fmt::Display for DeviceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, id) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "+" };
            write!(f, "{separator}{id}")?;
        }
        Ok(())
    }
}
