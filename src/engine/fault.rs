//! Faults of a device: what an error means for the step that met it, and for the device.

use std::fmt;
use std::sync::Arc;

use super::error::Error;

/// The meaning of a step's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Something in the step: shapes, a panic, a plan that does not fit.
    Work,
    /// The device refused, and may not the next time: memory ran out, a handle was busy.
    Device,
    /// The device's context is lost: every call fails from now on.
    Lost,
}

/// The driver's names of errors after which a context is of no use. The manual says of each that
/// the process is left in an inconsistent state, and that further work returns the same error.
const LOST: [&str; 19] = [
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    "CUDA_ERROR_MISALIGNED_ADDRESS",
    "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    "CUDA_ERROR_INVALID_PC",
    "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "CUDA_ERROR_LAUNCH_FAILED",
    "CUDA_ERROR_LAUNCH_TIMEOUT",
    "CUDA_ERROR_ASSERT",
    "CUDA_ERROR_ECC_UNCORRECTABLE",
    "CUDA_ERROR_NVLINK_UNCORRECTABLE",
    "CUDA_ERROR_CONTAINED",
    "CUDA_ERROR_EXTERNAL_DEVICE",
    "CUDA_ERROR_TENSOR_MEMORY_LEAK",
    "CUDA_ERROR_CONTEXT_IS_DESTROYED",
    "CUDA_ERROR_DEINITIALIZED",
    "CUDA_ERROR_DEVICE_UNAVAILABLE",
    "CUDA_ERROR_SYSTEM_NOT_READY",
    "CUDA_ERROR_UNKNOWN",
];

/// The numbers of the same, as kernels of this crate report them.
const LOST_STATUS: [u32; 18] = [
    4, 46, 214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 802, 911, 999,
];

/// The words before such a number.
const STATUS: &str = "CUDA status ";

impl FaultKind {
    /// Reads an error's meaning off the driver's name or number for it.
    pub(super) fn of(error: &Error) -> Self {
        let Error::Fault(text) = error else {
            return Self::Work;
        };
        let status = text.split_once(STATUS).map(|(_, number)| {
            let end = number.find(|c: char| !c.is_ascii_digit());
            number[..end.unwrap_or(number.len())].parse()
        });
        let is_lost = matches!(status, Some(Ok(number)) if LOST_STATUS.contains(&number));
        if is_lost || LOST.iter().any(|name| text.contains(name)) {
            return Self::Lost;
        }
        let of_device = [
            "CUDA_ERROR_",
            "CUBLAS_STATUS_",
            "cuBLAS status ",
            "CURAND_STATUS_",
            STATUS,
        ];
        if of_device.iter().any(|name| text.contains(name)) {
            Self::Device
        } else {
            Self::Work
        }
    }

    /// Returns its name, as metrics have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Device => "device",
            Self::Lost => "device_lost",
        }
    }
}

/// The state of an engine's device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// Takes requests.
    Serving,
    /// Was lost, and is opened anew.
    Restarting,
    /// Is open and empty: models can be loaded, and then [`Engine::resume`](super::Engine::resume) is due.
    Restarted,
}

/// Looks at the token ids of each sequence of a step.
type Check = dyn Fn(&[&[u32]]) -> Result<(), String> + Send + Sync;

/// Fails steps at will, as a device would; nothing by default. For tests of what becomes of requests
/// when a device fails.
#[derive(Clone, Default)]
pub struct StepCheck(Option<Arc<Check>>);

impl fmt::Debug for StepCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StepCheck").field(&self.0.is_some()).finish()
    }
}

impl StepCheck {
    /// Fails the steps that `check` refuses, given the token ids of each sequence that takes part.
    pub fn new(check: impl Fn(&[&[u32]]) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(check)))
    }

    pub(super) fn run<'a>(&self, ids: impl Iterator<Item = &'a [u32]>) -> Result<(), Error> {
        match &self.0 {
            Some(check) => check(&ids.collect::<Vec<_>>()).map_err(Error::Fault),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_the_drivers_name() {
        for (text, kind) in [
            ("shape mismatch in matmul", FaultKind::Work),
            (
                "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
                FaultKind::Device,
            ),
            (
                "CublasError(CUBLAS_STATUS_EXECUTION_FAILED)",
                FaultKind::Device,
            ),
            (
                "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access\")",
                FaultKind::Lost,
            ),
            ("attention failed with CUDA status 2", FaultKind::Device),
            // Of the library, whose numbers are others.
            ("a product failed with cuBLAS status 4", FaultKind::Device),
            ("attention failed with CUDA status 700", FaultKind::Lost),
        ] {
            assert_eq!(FaultKind::of(&Error::Fault(text.into())), kind, "{text}");
        }
        assert_eq!(FaultKind::of(&Error::NotFinite), FaultKind::Work);
    }
}
