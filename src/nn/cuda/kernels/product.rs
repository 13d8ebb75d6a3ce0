//! Products with weights: a kernel of this crate for few rows, cuBLASLt for many, with the same bits.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use candle_core::cuda_backend::cudarc::driver::{DriverError, sys};
use candle_core::{CudaDevice, DType, Device, Result, Tensor, bail};

use super::launch::{
    address, address_or_null, checked, checked_by, device_of, is_bf16, stream_of, uninitialised,
};

/// The most rows that the kernel for few rows takes.
const FEW: usize = 64;

/// Number of products whose time decides between the kernels.
const TRIALS: usize = 5;

#[expect(unsafe_code, reason = "kernels are called through C")]
unsafe extern "C" {
    fn scotoma_few_rows(
        x: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        y: *mut c_void,
        rows: i32,
        outputs: i32,
        input: i32,
        is_bf16: i32,
        stream: *mut c_void,
    ) -> i32;
    fn scotoma_forget(device: i32);
    fn scotoma_product(
        device: i32,
        x: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        y: *mut c_void,
        rows: i32,
        outputs: i32,
        input: i32,
        is_bf16: i32,
        stream: *mut c_void,
    ) -> i32;
}

/// Lets go of what cuBLASLt keeps of a device whose context is lost.
pub(in crate::nn::cuda) fn forget(ordinal: usize) {
    #[expect(unsafe_code, reason = "a function is called through C")]
    // SAFETY: it takes a number, and touches no device.
    unsafe {
        scotoma_forget(ordinal as i32);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    FewRows,
    Library,
}

/// The choice between the kernels goes by these: device, outputs, inputs, rows rounded up, dtype.
type Key = (usize, usize, usize, usize, DType);

/// The faster kernel for each kind of product, measured once.
static FASTER: LazyLock<Mutex<HashMap<Key, Kernel>>> = LazyLock::new(Mutex::default);

/// Computes `x W^T + b`: `x (R, in)`, `weight (out, in)`, `bias (out)` to `(R, out)`. The bits of a row
/// do not depend on R.
pub(in crate::nn::cuda) fn product(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let x = x.contiguous()?;
    let ((rows, input), (outputs, inputs)) = (x.dims2()?, weight.dims2()?);
    if input != inputs || x.dtype() != weight.dtype() || bias.is_some_and(|b| b.dims() != [outputs])
    {
        bail!("a product of {:?} and {:?}", x.shape(), weight.shape());
    }
    let device = device_of(&x)?;
    let y = uninitialised((rows, outputs), &x)?;
    // CUDA refuses a launch of no blocks.
    if rows == 0 {
        return Ok(y);
    }
    let call = Call {
        x: &x,
        weight,
        bias,
        y: &y,
        device,
    };
    let kernel = if rows <= FEW {
        call.faster()?
    } else {
        Kernel::Library
    };
    call.run(kernel)?;
    Ok(y)
}

/// One product.
struct Call<'a> {
    x: &'a Tensor,
    weight: &'a Tensor,
    bias: Option<&'a Tensor>,
    y: &'a Tensor,
    device: &'a CudaDevice,
}

impl Call<'_> {
    fn run(&self, kernel: Kernel) -> Result<()> {
        let (x, weight) = (address(self.x)?, address(self.weight)?);
        let (bias, y) = (address_or_null(self.bias)?, address(self.y)?);
        let (rows, outputs, input) = (
            self.x.dims()[0] as i32,
            self.weight.dims()[0] as i32,
            self.weight.dims()[1] as i32,
        );
        let (half, stream) = (is_bf16(self.x), stream_of(self.device));
        let ordinal = self.device.cuda_stream().context().ordinal() as i32;
        #[expect(unsafe_code, reason = "kernels are called through C")]
        // SAFETY: the shapes were checked; all tensors are contiguous.
        let status = unsafe {
            match kernel {
                Kernel::FewRows => {
                    scotoma_few_rows(x, weight, bias, y, rows, outputs, input, half, stream)
                }
                Kernel::Library => scotoma_product(
                    ordinal, x, weight, bias, y, rows, outputs, input, half, stream,
                ),
            }
        };
        match kernel {
            Kernel::FewRows => checked("a product", status),
            Kernel::Library => checked_by("cuBLAS", "a product", status),
        }
    }

    /// Returns the faster kernel for this many rows, which are at most [`FEW`]; measures both when it
    /// is asked for the first time.
    fn faster(&self) -> Result<Kernel> {
        // Rounded up as the kernel rounds, whose tiles have 8, 16, 32 or 64 rows: a serving engine
        // comes by every number, and would measure each.
        let rows = self.x.dims()[0].next_power_of_two().max(8);
        let (outputs, input) = self.weight.dims2()?;
        let ordinal = self.device.cuda_stream().context().ordinal();
        let key = (ordinal, outputs, input, rows, self.x.dtype());
        // Locked to look and to enter: other threads go on while this one measures.
        let known = || FASTER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&kernel) = known().get(&key) {
            return Ok(kernel);
        }
        // A small card may not have the shared memory that the kernel for few rows wants.
        let kernel = match self.time(Kernel::FewRows) {
            Ok(few) if few <= self.time(Kernel::Library)? && self.is_lawful()? => Kernel::FewRows,
            Ok(_) | Err(_) => Kernel::Library,
        };
        known().insert(key, kernel);
        Ok(kernel)
    }

    /// Measures a kernel, warm.
    fn time(&self, kernel: Kernel) -> Result<Duration> {
        let (stream, flags) = (
            self.device.cuda_stream(),
            sys::CUevent_flags::CU_EVENT_DEFAULT,
        );
        // The first launch loads the kernel, and lets cuBLASLt choose an algorithm.
        self.run(kernel)?;
        let start = stream.record_event(Some(flags)).map_err(driver)?;
        for _ in 0..TRIALS {
            self.run(kernel)?;
        }
        let end = stream.record_event(Some(flags)).map_err(driver)?;
        let milliseconds = start.elapsed_ms(&end).map_err(driver)?;
        Ok(Duration::from_secs_f32(milliseconds.max(0.0) / 1e3))
    }

    /// Returns whether both kernels give the same bits on this card; else one of them has to serve
    /// rows alone and in company.
    fn is_lawful(&self) -> Result<bool> {
        let is_lawful = self.bits(Kernel::FewRows)? == self.bits(Kernel::Library)?;
        if !is_lawful {
            tracing::warn!(
                weight = ?self.weight.shape(),
                "products of few rows and of many differ on this card; cuBLASLt serves both"
            );
        }
        Ok(is_lawful)
    }

    /// Runs a kernel and returns the bits of what it has computed.
    fn bits(&self, kernel: Kernel) -> Result<Vec<u32>> {
        self.run(kernel)?;
        let values = self.y.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        let values = values.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.into_iter().map(f32::to_bits).collect())
    }
}

fn driver(error: DriverError) -> candle_core::Error {
    candle_core::Error::Cuda(Box::new(error))
}
