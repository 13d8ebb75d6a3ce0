//! Describes how the numbers of a tensor stand in a file.

use std::fmt;

use candle_core::quantized::GgmlDType;
use safetensors::Dtype;

/// The format of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One after the other.
    Float(Dtype),
    /// Blocks of llama.cpp, along rows.
    Blocks(GgmlDType),
}

impl Format {
    /// Returns the bytes of a tensor; `None` where rows are not whole blocks, or no memory holds it.
    pub(super) fn size(self, shape: &[usize]) -> Option<usize> {
        let (numbers, bytes) = match self {
            Self::Float(dtype) => (1, dtype.bitsize() / 8),
            Self::Blocks(blocks) => (blocks.block_size(), blocks.type_size()),
        };
        // A scalar is a row of one number.
        let row = shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(numbers) {
            return None;
        }
        let count = shape
            .iter()
            .try_fold(1, |count: usize, &size| count.checked_mul(size));
        // Room for the numbers as f32, too.
        count?.checked_mul(4)?;
        (count? / numbers).checked_mul(bytes)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(dtype) => write!(f, "{dtype}"),
            Self::Blocks(blocks) => write!(f, "{blocks:?}"),
        }
    }
}
