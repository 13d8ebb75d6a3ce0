//! Numbers in the memory of the process: what requests carry to the thread that owns a device, and
//! bring back.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, WithDType};

use super::home::{Home, OnDevice, for_host};

/// A tensor on the CPU, which every thread may read and drop; see [`upload`](Self::upload).
#[derive(Debug, Clone)]
pub struct HostTensor {
    values: Tensor,
    /// Copies that were kept, one for each device.
    kept: Arc<Mutex<Vec<OnDevice<Tensor>>>>,
}

impl HostTensor {
    /// Takes numbers.
    pub fn from_vec<T: WithDType>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Self> {
        let shape: Shape = shape.into();
        Ok(Self::of(Tensor::from_vec(values, shape, &Device::Cpu)?))
    }

    /// Reads numbers of `dtype` from little-endian bytes.
    pub fn from_bytes(bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Self> {
        let values = Tensor::from_raw_buffer(bytes, dtype, shape, &Device::Cpu)?;
        Ok(Self::of(values))
    }

    /// Copies a tensor from its device.
    pub fn download(tensor: &Tensor) -> Result<Self> {
        // On a CPU a copy, too: what leaves a step keeps none of its memory.
        let values = for_host(|| {
            if tensor.device().is_cpu() {
                tensor.force_contiguous()
            } else {
                tensor.to_device(&Device::Cpu)
            }
        });
        Ok(Self::of(values?))
    }

    fn of(values: Tensor) -> Self {
        Self {
            values,
            kept: Arc::default(),
        }
    }

    /// Copies the numbers to `device`, whose thread must be the calling one.
    pub fn upload(&self, device: &Device) -> Result<Tensor> {
        // On a CPU it is the same memory.
        self.values.to_device(device)
    }

    /// Returns a copy on `device`, made once, and freed at home when this and its clones have gone.
    /// For what many steps read.
    pub fn upload_once(&self, device: &Device) -> Result<Tensor> {
        if device.is_cpu() {
            return Ok(self.values.clone());
        }
        self.keep_copy(device, || self.upload(device))
    }

    /// Returns the copy that is kept on `device`, or the one that `make` makes, which is kept from
    /// then on.
    fn keep_copy(&self, device: &Device, make: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was there before its device was restarted is of no use.
        kept.retain(OnDevice::is_live);
        // Those of other threads are for their devices.
        for copy in kept.iter().filter(|copy| copy.is_here()) {
            let copy = copy.get()?;
            if copy.device().same_device(device) {
                return Ok(copy.clone());
            }
        }
        let copy = make()?;
        kept.push(Home::here().keep(copy.clone())?);
        Ok(copy)
    }

    /// Converts the numbers.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        // Without the copy that is kept, which holds the old numbers.
        Ok(Self::of(self.values.to_dtype(dtype)?))
    }

    /// Returns the same numbers in another shape.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        Ok(Self::of(self.values.reshape(shape.into())?))
    }

    /// Joins the rows of several, in order.
    pub fn cat(parts: &[&Self]) -> Result<Self> {
        if let [one] = parts {
            // Shared, not copied.
            return Ok((*one).clone());
        }
        let parts: Vec<&Tensor> = parts.iter().map(|part| &part.values).collect();
        Ok(Self::of(Tensor::cat(&parts, 0)?))
    }

    /// Returns the rows `rows`.
    pub fn rows(&self, rows: &[u32]) -> Result<Self> {
        let index = Tensor::from_slice(rows, rows.len(), &Device::Cpu)?;
        Ok(Self::of(self.values.index_select(&index, 0)?))
    }
}

impl Deref for HostTensor {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::thread;

    use super::*;

    /// Returns how many copies two steps make on the calling thread's device.
    fn copies(tensor: &HostTensor) -> usize {
        let made = Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            tensor.upload(&Device::Cpu)
        };
        for _ in 0..2 {
            tensor.keep_copy(&Device::Cpu, make).unwrap();
        }
        made.get()
    }

    #[test]
    fn each_device_keeps_a_copy_and_makes_another_after_a_restart() {
        let tensor = HostTensor::from_vec(vec![1f32, 2.0], 2).unwrap();
        let other = tensor.clone();
        thread::spawn(move || assert_eq!(copies(&other), 1))
            .join()
            .unwrap();
        assert_eq!(copies(&tensor), 1, "beside that of the other device");
        Home::here().clear();
        assert_eq!(copies(&tensor), 1, "in place of the one that is gone");
        assert_eq!(copies(&tensor), 0);
    }
}
