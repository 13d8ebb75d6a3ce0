//! The device that the engine's thread owns, with all that is on it.

use candle_core::{DType, Device, Result, Tensor};

use crate::nn::{DeviceId, Home, let_go};

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

    /// Returns the name of the device.
    pub(super) fn id(&self) -> DeviceId {
        self.id
    }

    /// Lets go of the device, with all that is on it.
    pub(super) fn close(&mut self) {
        self.home.clear();
        let_go(std::mem::replace(&mut self.device, Device::Cpu));
    }

    /// Opens the device anew, and sees that it computes.
    pub(super) fn reopen(&mut self) -> Result<()> {
        let device = self.id.open()?;
        let ones = Tensor::ones(16, DType::F32, &device)?;
        let sum = ones.sum_all()?.to_scalar::<f32>()?;
        if sum != 16.0 {
            candle_core::bail!("the device adds up 16 ones to {sum}");
        }
        self.device = device;
        Ok(())
    }

    /// Returns the error that the driver's library has recorded of an earlier call, which it would
    /// hand to the next one.
    pub(super) fn take_stale_error(&self) -> Option<String> {
        match &self.device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                let error = device.cuda_stream().context().check_err().err()?;
                Some(error.to_string())
            }
            _ => None,
        }
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
