//! Checkpoints: from files to named tensors.
//!
//! Owns the containers (safetensors, PyTorch's zip files,
//! GGUF) and the name layouts in the wild. It must
//! not know what tensors mean: the model asks for shapes, and a tensor that is missing, of another
//! shape, or left over is an error that names it.

mod adapt;
mod adapter;
mod blocks;
mod checkpoint;
mod dtype;
mod format;
mod gguf;
mod gguf_names;
mod mapped;
mod names;
mod packed;
mod pickle;
mod pickled;
mod quantization;
mod tensors;
mod unpack;

pub use blocks::Blocks;
pub use checkpoint::Checkpoint;
pub use dtype::{Matrices, WeightFormat};
pub use gguf::Gguf;
pub use gguf_names::{Changes, ROPE_FACTORS};
pub use mapped::{LFS_POINTER, is_lfs_pointer};
pub use quantization::Quantization;
pub use tensors::Tensors;

use std::path::PathBuf;

use candle_core::DType;
use safetensors::Dtype;

/// An error of a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The container is damaged.
    #[error("{path}: not a valid safetensors file: {reason}")]
    Container {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The PyTorch file is damaged, or holds what is not read.
    #[error("{path}: not a PyTorch checkpoint that can be read: {reason}")]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The GGUF file is damaged, or holds what is not read.
    #[error("{path}: not a GGUF file that can be read: {reason}")]
    Gguf {
        /// The file.
        path: PathBuf,
        /// Why, with the key or the tensor.
        reason: String,
    },
    /// An adapter that does not fit its base, or that is not read.
    #[error("adapter: {reason}")]
    Adapter {
        /// The reason, with the module or field.
        reason: String,
    },
    /// The index does not fit the shards.
    #[error("{path}: {reason}")]
    Index {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A folder without weights.
    #[error("{0}: neither model.safetensors nor pytorch_model.bin, nor an index of one")]
    Empty(PathBuf),
    /// Two tensors that mean the same.
    #[error("{path}: tensor {name} occurs twice")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The model needs a tensor that is not there.
    #[error("missing tensor {0}")]
    Missing(String),
    /// The model has no use for these tensors.
    #[error("unused tensors: {}", .0.join(", "))]
    Unused(Vec<String>),
    /// Not the shape that the configuration implies.
    #[error("tensor {name} has shape {found:?}, the configuration implies {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape by the configuration.
        expected: Vec<usize>,
    },
    /// Not a floating-point tensor.
    #[error("tensor {name} has dtype {dtype}; f32, f16 and bf16 are read")]
    Dtype {
        /// The tensor.
        name: String,
        /// The dtype in the file.
        dtype: String,
    },
    /// Numbers that are infinite or not numbers.
    #[error("tensor {0} holds a number that is not finite")]
    NotFinite(String),
    /// Values that cannot be read.
    #[error("tensor {name}: {reason}")]
    Values {
        /// The tensor.
        name: String,
        /// Why.
        reason: String,
    },
    /// The device refused.
    #[error("tensor {name}: {source}")]
    Device {
        /// The tensor.
        name: String,
        /// Why.
        source: candle_core::Error,
    },
}

impl Error {
    /// Blames the device for the tensor `name`.
    pub(crate) fn of_device(name: &str) -> impl Fn(candle_core::Error) -> Self {
        move |source| Self::Device {
            name: name.to_owned(),
            source,
        }
    }
}

/// Returns the type of floats that can be computed with.
fn float_dtype(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}
