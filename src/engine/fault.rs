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

/// The driver's names and numbers of errors after which a context is of no use. The manual says of
/// each that the process is left in an inconsistent state, and that further work returns the same
/// error.
const LOST: [(&str, u32); 19] = [
    ("CUDA_ERROR_ILLEGAL_ADDRESS", 700),
    ("CUDA_ERROR_ILLEGAL_INSTRUCTION", 715),
    ("CUDA_ERROR_MISALIGNED_ADDRESS", 716),
    ("CUDA_ERROR_INVALID_ADDRESS_SPACE", 717),
    ("CUDA_ERROR_INVALID_PC", 718),
    ("CUDA_ERROR_HARDWARE_STACK_ERROR", 714),
    ("CUDA_ERROR_LAUNCH_FAILED", 719),
    ("CUDA_ERROR_LAUNCH_TIMEOUT", 702),
    ("CUDA_ERROR_ASSERT", 710),
    ("CUDA_ERROR_ECC_UNCORRECTABLE", 214),
    ("CUDA_ERROR_NVLINK_UNCORRECTABLE", 220),
    ("CUDA_ERROR_CONTAINED", 226),
    ("CUDA_ERROR_EXTERNAL_DEVICE", 911),
    ("CUDA_ERROR_TENSOR_MEMORY_LEAK", 721),
    ("CUDA_ERROR_CONTEXT_IS_DESTROYED", 709),
    ("CUDA_ERROR_DEINITIALIZED", 4),
    ("CUDA_ERROR_DEVICE_UNAVAILABLE", 46),
    ("CUDA_ERROR_SYSTEM_NOT_READY", 802),
    ("CUDA_ERROR_UNKNOWN", 999),
];
/// The words before such a number in the errors of this crate's kernels.
const STATUS: &str = "CUDA status ";

impl FaultKind {
    /// Reads an error's meaning off the driver's name or number for it.
    pub(super) fn of(error: &Error) -> Self {
        let Error::Fault(text) = error else {
            return Self::Work;
        };
        // By its text: candle boxes what the driver returned, and a panic has nothing else.
        let status: Option<u32> = text.split_once(STATUS).and_then(|(_, number)| {
            // The number may stand amid a sentence.
            let end = number.find(|c: char| !c.is_ascii_digit());
            number[..end.unwrap_or(number.len())].parse().ok()
        });
        let is_lost = |(name, number): &(&str, u32)| text.contains(name) || status == Some(*number);
        if LOST.iter().any(is_lost) {
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
            ("attention failed with CUDA status 226", FaultKind::Lost),
        ] {
            assert_eq!(FaultKind::of(&Error::Fault(text.into())), kind, "{text}");
        }
        assert_eq!(FaultKind::of(&Error::NotFinite), FaultKind::Work);
    }
}
