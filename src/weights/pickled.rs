//! PyTorch's zip checkpoints (`pytorch_model.bin`, `mm_projector.bin`): where each tensor's bytes
//! stand in the file.
//!
//! The pickle inside is read by [`pickle`], which executes nothing: a foreign opcode is an error,
//! and an object that is no tensor is passed over, so that a tensor hidden in one is reported
//! missing. A tensor that cannot be read is an error when it is asked for: checkpoints hold integer
//! buffers that nobody reads.

use std::borrow::Cow;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

use super::Error;
use super::format::Format;
use super::pickle::{self, Described};

/// One tensor of the file.
pub(super) struct Located {
    pub(super) name: String,
    pub(super) bytes: Range<usize>,
    pub(super) format: Format,
    pub(super) shape: Vec<usize>,
    /// Why its values cannot be read.
    pub(super) fault: Option<String>,
}

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Finds the tensors of the checkpoint at `path`, whose content is `bytes`.
pub(super) fn locate(path: &Path, bytes: &[u8]) -> Result<Vec<Located>, Error> {
    // Before 1.6 torch wrote pickles one after the other, without a zip around them.
    if bytes.first() == Some(&0x80) {
        let mend = "torch.save(torch.load(FILE, weights_only=True), FILE) writes today's";
        return Err(damaged(
            path,
            format!("written by a torch before 1.6; {mend}"),
        ));
    }
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(path, e.to_string()))?;
    let names: Vec<String> = archive
        .file_names()
        .flatten()
        .map(Cow::into_owned)
        .collect();
    let data = names
        .iter()
        // The folder within is called as the file was when it was saved.
        .find(|n| n.ends_with("/data.pkl"))
        .ok_or_else(|| damaged(path, "no data.pkl".into()))?;
    let prefix = data.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    // Only newer versions of torch write it; where it is absent, files are little-endian in
    // practice.
    if let Some(order) = names
        .iter()
        .find(|n| n.strip_prefix(prefix.as_str()) == Some("byteorder"))
    {
        let range = stored(&mut archive, order).map_err(|reason| damaged(path, reason))?;
        if bytes.get(range) != Some(b"little") {
            return Err(damaged(path, "its byte order is not little".into()));
        }
    }
    let range = stored(&mut archive, data).map_err(|reason| damaged(path, reason))?;
    let pickle = bytes
        .get(range)
        .ok_or_else(|| damaged(path, "data.pkl is cut off".into()))?;
    let tensors = pickle::tensors(pickle).map_err(|reason| damaged(path, reason))?;
    Ok(tensors
        .into_iter()
        .map(|tensor| place(tensor, &prefix, &mut archive))
        .collect())
}

fn damaged(path: &Path, reason: String) -> Error {
    Error::Pickle {
        path: path.to_owned(),
        reason,
    }
}

/// Finds a file of the archive, which must not be compressed.
fn stored(archive: &mut Archive<'_>, name: &str) -> Result<Range<usize>, String> {
    let entry = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    if entry.compression() != CompressionMethod::Stored {
        return Err(format!(
            "{name} is compressed; torch stores tensors as they are"
        ));
    }
    let start = entry.data_start().ok_or("no data")?;
    let end = start.checked_add(entry.size()).ok_or("too long")?;
    Ok(start as usize..end as usize)
}

/// Finds a tensor; an empty range and a fault if it cannot be read.
fn place(tensor: Described, prefix: &str, archive: &mut Archive<'_>) -> Located {
    let dtype = dtype(&tensor.kind);
    let range = match dtype {
        Some(dtype) => range(&tensor, dtype.bitsize() / 8, prefix, archive),
        None => Err(format!("dtype {}; f32, f16 and bf16 are read", tensor.kind)),
    };
    // The fault is told where the tensor is asked for: nobody may ever ask.
    let Described { name, shape, .. } = tensor;
    // Any dtype: the fault says more, if the tensor is asked for at all.
    let format = Format::Float(dtype.unwrap_or(Dtype::U8));
    match range {
        Ok(bytes) => Located {
            name,
            bytes,
            format,
            shape,
            fault: None,
        },
        Err(fault) => Located {
            name,
            bytes: 0..0,
            format,
            shape,
            fault: Some(fault),
        },
    }
}

/// Returns the dtype of a storage class, or of a dtype's name.
fn dtype(kind: &str) -> Option<Dtype> {
    Some(match kind {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "DoubleStorage" => Dtype::F64,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        _ => return None,
    })
}

fn range(
    tensor: &Described,
    size: usize,
    prefix: &str,
    archive: &mut Archive<'_>,
) -> Result<Range<usize>, String> {
    let count = tensor
        .shape
        .iter()
        .try_fold(1_usize, |n, &d| n.checked_mul(d))
        .ok_or("too many elements")?;
    if !is_contiguous(tensor) {
        return Err("not contiguous; .contiguous() before torch.save writes it so".into());
    }
    // Tensors may share a storage, of which each is a part.
    let entry = stored(archive, &format!("{prefix}data/{}", tensor.key))?;
    let span = |n: usize| n.checked_mul(size).ok_or("too many elements");
    let (start, length) = (span(tensor.offset)?, span(count)?);
    if start
        .checked_add(length)
        .is_none_or(|end| end > entry.len())
    {
        return Err(format!(
            "{count} elements do not fit in a storage of {} bytes",
            entry.len()
        ));
    }
    Ok(entry.start + start..entry.start + start + length)
}

/// Tells whether numbers stand row by row without gaps; the stride of a dimension of one entry
/// says nothing.
fn is_contiguous(tensor: &Described) -> bool {
    let mut expected = 1_usize;
    tensor
        .shape
        .iter()
        .zip(&tensor.strides)
        .rev()
        .all(|(&size, &stride)| {
            let fits = size <= 1 || stride == expected;
            expected = expected.saturating_mul(size);
            fits
        })
}
