//! The device that the engine's thread owns, with all that is on it.

use candle_core::{Device, Result};

use crate::nn::{DeviceId, Home};

/// An open device and the home of what is on it.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    id: DeviceId,
    device: Device,
    home: Home,
}

impl Owned {
    /// Opens a device on the calling thread, which is `home`.
    pub(super) fn open(id: DeviceId, home: Home) -> Result<Self> {
        let device = id.open()?;
        Ok(Self { id, device, home })
    }

    /// Returns the device.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the home.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }
}
