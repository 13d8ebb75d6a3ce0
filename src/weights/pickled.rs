//! PyTorch's zip checkpoints (`pytorch_model.bin`, `mm_projector.bin`): where each tensor's bytes stand in the file.
//!
//! The pickle inside is read by candle, which executes nothing: a foreign opcode is an error, and an object that is no
//! tensor is passed over, so that a tensor hidden in one is reported missing.

use std::io::Cursor;
use std::ops::Range;
use std::panic::catch_unwind;
use std::path::Path;

use candle_core::DType;
use candle_core::pickle::{TensorInfo, read_pth_tensor_info};
use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

use super::Error;

/// One tensor of the file.
pub(super) struct Located {
    pub(super) name: String,
    pub(super) bytes: Range<usize>,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

/// The tensors of the checkpoint at `path`, whose content is `bytes`.
pub(super) fn locate(path: &Path, bytes: &[u8]) -> Result<Vec<Located>, Error> {
    let damaged = |reason: String| Error::Pickle { path: path.to_owned(), reason };
    // Candle's reader takes the arguments of a malformed call by their places and may panic on it.
    let infos = catch_unwind(|| read_pth_tensor_info(path, false, None))
        .map_err(|_| damaged("malformed pickle".into()))?
        .map_err(|e| damaged(e.to_string()))?;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(e.to_string()))?;
    infos
        .iter()
        .map(|info| place(info, &mut archive).map_err(|m| damaged(format!("tensor {}: {m}", info.name))))
        .collect()
}

fn place(info: &TensorInfo, archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<Located, String> {
    let entry = archive.by_name(&info.path).map_err(|e| e.to_string())?;
    if entry.compression() != CompressionMethod::Stored {
        return Err("compressed; torch stores tensors as they are".into());
    }
    if !info.layout.is_contiguous() {
        return Err("not contiguous".into());
    }
    let dtype = match info.dtype {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        other => return Err(format!("dtype {}; f32, f16 and bf16 are read", other.as_str())),
    };
    let data = entry.data_start().ok_or("no data")? as usize;
    let (size, shape) = (info.dtype.size_in_bytes(), info.layout.shape().dims().to_vec());
    let count = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).ok_or("too many elements")?;
    let span = |n: usize| n.checked_mul(size).ok_or("too many elements");
    let (start, length) = (span(info.layout.start_offset())?, span(count)?);
    if start.checked_add(length).is_none_or(|end| end as u64 > entry.size()) {
        return Err(format!("{count} elements do not fit in a storage of {} bytes", entry.size()));
    }
    Ok(Located { name: info.name.clone(), bytes: data + start..data + start + length, dtype, shape })
}
