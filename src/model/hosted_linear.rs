//! A linear map in the memory of the process, which runs wherever the rows are.

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};

use crate::nn::{Home, Linear, OnDevice, Result};

/// A linear map that any thread may hold, and a copy of it on the device where it last ran.
#[derive(Debug)]
pub(super) struct HostedLinear {
    linear: Linear,
    uploaded: Mutex<Option<OnDevice<Linear>>>,
}

impl HostedLinear {
    /// Hosts a map that is on the CPU.
    pub(super) fn new(linear: Linear) -> Self {
        Self {
            linear,
            uploaded: Mutex::default(),
        }
    }

    /// Returns the sizes of the weight, (out, in).
    pub(super) fn sizes(&self) -> (usize, usize) {
        self.linear.sizes()
    }

    /// Maps rows `x (n, in)` of f32 to `(n, out)`, on the thread of the device that they are on.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // On a CPU the map itself; elsewhere a copy, made when it first runs there.
        if x.device().is_cpu() {
            return self.linear.forward(x);
        }
        self.uploaded_to(x.device())?.get()?.forward(x)
    }

    fn uploaded_to(&self, device: &Device) -> Result<OnDevice<Linear>> {
        let mut known = self.uploaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Not one of another device, nor one that was there before its device was restarted.
        if let Some(uploaded) = known.as_ref()
            && let Ok(there) = uploaded.get()
            && there.device().same_device(device)
        {
            return Ok(uploaded.clone());
        }
        let weight = self.linear.weight()?.to_device(device)?;
        let bias = self.linear.bias().map(|bias| bias.to_device(device));
        let uploaded = Home::here().keep(Linear::new(weight, bias.transpose()?)?)?;
        *known = Some(uploaded.clone());
        Ok(uploaded)
    }
}
