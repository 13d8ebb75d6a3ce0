//! Names of devices. A name can be passed around; the device behind it is opened by the thread that
//! owns it, and by no other.

use std::fmt;

use candle_core::{DType, Device, DeviceLocation, Result};

use crate::nn::backend::Backend;
use crate::nn::cuda::open as open_gpu;

/// Names a device, as requests, records and flags do: `cpu`, `cuda:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceId {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(usize),
    /// An Apple GPU, by its number.
    Metal(usize),
}

impl DeviceId {
    /// Returns the name of an open device.
    pub fn of(device: &Device) -> Self {
        match device.location() {
            DeviceLocation::Cpu => Self::Cpu,
            DeviceLocation::Cuda { gpu_id } => Self::Cuda(gpu_id),
            DeviceLocation::Metal { gpu_id } => Self::Metal(gpu_id),
        }
    }

    /// Opens the device. The calling thread must be the one that will own it: on CUDA its context
    /// is bound to this thread alone.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            // Not candle's own: see `nn::cuda` for its stream and its pool of memory.
            Self::Cuda(number) => open_gpu(number),
            Self::Metal(number) => Device::new_metal(number),
        }
    }

    /// Returns whether its memory is that of the process.
    pub fn is_cpu(self) -> bool {
        self == Self::Cpu
    }

    /// Returns the dtype of weights where none is asked for: f32 on the CPU, where not every
    /// processor multiplies narrower types faster, and bf16 on a GPU.
    pub fn default_dtype(self) -> DType {
        if self.is_cpu() {
            DType::F32
        } else {
            DType::BF16
        }
    }

    /// Returns the backend of tensors that are loaded onto it now.
    pub fn backend(self) -> Backend {
        if self.is_cpu() {
            Backend::of(&Device::Cpu)
        } else {
            Backend::Candle
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal(number) => write!(f, "metal:{number}"),
        }
    }
}
