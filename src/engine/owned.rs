//! The device that the engine's thread owns, or several that hold models together, with all that is
//! on them.

use candle_core::{DType, Device, Result, Tensor};

use crate::nn::{DeviceGroup, Home, let_go};

/// Open devices and the home of what is on them.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    id: DeviceGroup,
    devices: Vec<Device>,
    home: Home,
}

impl Owned {
    /// Opens devices on the calling thread, which is `home`.
    pub(super) fn open(id: &DeviceGroup, home: Home) -> Result<Self> {
        let (id, devices) = (id.clone(), id.open()?);
        Ok(Self { id, devices, home })
    }

    /// Returns the name of the devices.
    pub(super) fn id(&self) -> &DeviceGroup {
        &self.id
    }

    /// Lets go of the devices, with all that is on them.
    pub(super) fn close(&mut self) {
        // Tensors first: each is freed on the device that it is on.
        self.home.clear();
        self.devices.drain(..).for_each(let_go);
    }

    /// Opens the devices anew, and sees that they compute.
    pub(super) fn reopen(&mut self) -> Result<()> {
        let devices = self.id.open()?;
        for device in &devices {
            // A context may open and still fail at its first kernel.
            let ones = Tensor::ones(16, DType::F32, device)?;
            let sum = ones.sum_all()?.to_scalar::<f32>()?;
            if sum != 16.0 {
                candle_core::bail!("the device adds up 16 ones to {sum}");
            }
        }
        self.devices = devices;
        Ok(())
    }

    /// Returns the error that the driver's library has recorded of an earlier call, which it would
    /// hand to the next one.
    pub(super) fn take_stale_error(&self) -> Option<String> {
        self.devices.iter().find_map(stale_error)
    }

    /// Returns the devices; none while they are closed.
    pub(super) fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Returns the home.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }
}

fn stale_error(device: &Device) -> Option<String> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let error = device.cuda_stream().context().check_err().err()?;
            Some(error.to_string())
        }
        _ => None,
    }
}
