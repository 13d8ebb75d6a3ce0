//! GGUF, the files of llama.cpp: what their keys say, and where their tensors stand.
//!
//! The header is read by candle. What it would panic on, or take the last of in silence, is refused
//! here first: see [`Gguf::open`].

use std::collections::BTreeMap;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};
use safetensors::Dtype;

use super::Error;
use super::format::Format;
use super::mapped::Bytes;
use super::pickled::Located;

/// Bytes of a header: keys, vocabulary and the list of tensors. The largest vocabulary, Gemma's,
/// takes 10 million with its merges; candle's values take up to 24 times their bytes in the file.
const MAX_HEADER: usize = 1 << 25;

/// Bytes before the first key: magic, version, and the numbers of tensors and of keys.
const FIXED: usize = 24;

/// A GGUF file whose header has been read.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    bytes: Bytes,
    keys: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
    /// Marks the byte at which the first tensor begins.
    data: u64,
}

/// Returns what is wrong, without the stack that candle's errors may carry.
fn first_line(error: &candle_core::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

impl Gguf {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = Bytes::map(path)?;
        let counts = counts(&bytes).map_err(|reason| damaged(path, reason))?;
        // candle bounds what it allocates by the bytes that it is given.
        let header = &bytes[..bytes.len().min(MAX_HEADER)];
        // candle divides by `general.alignment`, which may be 0.
        let read = catch_unwind(AssertUnwindSafe(|| Content::read(&mut Cursor::new(header))));
        let content = match read {
            Ok(Ok(content)) => content,
            Ok(Err(error)) if header.len() < bytes.len() => {
                let error = first_line(&error);
                let reason = format!("{error}; keys and vocabulary of {MAX_HEADER} bytes are read");
                return Err(damaged(path, reason));
            }
            Ok(Err(error)) => return Err(damaged(path, first_line(&error))),
            Err(_) => return Err(damaged(path, "general.alignment 0".into())),
        };
        // candle keeps the last of several.
        if counts != [content.tensor_infos.len(), content.metadata.len()] {
            return Err(damaged(path, "a key or a tensor occurs twice".into()));
        }
        let file = Self {
            path: path.to_owned(),
            bytes,
            keys: content.metadata.into_iter().collect(),
            tensors: content.tensor_infos.into_iter().collect(),
            data: content.tensor_data_offset,
        };
        file.check_keys()?;
        Ok(file)
    }

    /// Fails on a file that is one of several, or whose tensors stand at odd places.
    fn check_keys(&self) -> Result<(), Error> {
        let files = self.number("split.count")?.unwrap_or(1);
        if files > 1 {
            let reason = format!("{files}; files in one part are read (gguf-split --merge joins)");
            return Err(self.wrong("split.count", &reason));
        }
        // candle, which finds the tensors, takes no other type for it.
        let alignment = match self.keys.get("general.alignment") {
            None => 32,
            Some(Value::U32(alignment)) => u64::from(*alignment),
            Some(_) => return Err(self.wrong("general.alignment", "is not a number of 32 bits")),
        };
        // Blocks are read in place, and hold numbers of 2 and 4 bytes.
        if !(alignment.is_power_of_two() && (8..=1 << 16).contains(&alignment)) {
            let reason = format!("{alignment}; a power of two of 8 to 65536 is valid");
            return Err(self.wrong("general.alignment", &reason));
        }
        let odd = |info: &TensorInfo| !info.offset.is_multiple_of(alignment);
        match self.tensors.iter().find(|(_, info)| odd(info)) {
            None => Ok(()),
            Some((name, _)) => Err(self.damaged(format!("tensor {name} is not aligned"))),
        }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the error that `key` is not what it should be.
    pub fn wrong(&self, key: &str, reason: &str) -> Error {
        self.damaged(format!("{key} {reason}"))
    }

    fn damaged(&self, reason: String) -> Error {
        damaged(&self.path, reason)
    }

    /// Reads the key as what `as_type` makes of it, where it is there.
    fn get<'a, T>(
        &'a self,
        key: &str,
        kind: &str,
        as_type: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.keys.get(key) else {
            return Ok(None);
        };
        let wrong = || self.wrong(key, &format!("is not {kind}"));
        as_type(value).map(Some).ok_or_else(wrong)
    }

    /// Returns a text.
    pub fn text(&self, key: &str) -> Result<Option<&str>, Error> {
        self.get(key, "a text", text)
    }

    /// Returns a whole number from 0 on.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        let natural = |value| integer(value).and_then(|n| u64::try_from(n).ok());
        self.get(key, "a whole number", natural)
    }

    /// Returns a number.
    pub fn float(&self, key: &str) -> Result<Option<f64>, Error> {
        self.get(key, "a number", float)
    }

    /// Returns a truth value.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key, "true or false", flag)
    }

    /// Returns a list of texts.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, Error> {
        self.get(key, "a list of texts", |value| list(value, text))
    }

    /// Returns a list of whole numbers.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, Error> {
        self.get(key, "a list of whole numbers", |value| list(value, integer))
    }

    /// Returns a list of numbers.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f64>>, Error> {
        self.get(key, "a list of numbers", |value| list(value, float))
    }

    /// Returns the shape of a tensor, outputs first, as PyTorch has it.
    pub fn shape(&self, tensor: &str) -> Option<&[usize]> {
        // The file has inputs first; candle turns that round.
        Some(self.tensors.get(tensor)?.shape.dims())
    }

    /// Returns the numbers of a tensor that is one row of f32.
    pub fn row(&self, tensor: &str) -> Result<Option<Vec<f32>>, Error> {
        let Some(info) = self.tensors.get(tensor) else {
            return Ok(None);
        };
        let Located { bytes, shape, .. } = self.locate(tensor, info)?;
        if info.ggml_dtype != GgmlDType::F32 || shape.len() != 1 {
            return Err(self.wrong(tensor, "is not a row of f32"));
        }
        // Whole words: `locate` has taken four bytes for each number.
        let words = self.bytes[bytes].as_chunks().0.iter();
        Ok(Some(words.map(|word| f32::from_le_bytes(*word)).collect()))
    }

    /// Returns BLAKE3 of the whole file.
    pub fn digest(&self) -> blake3::Hash {
        blake3::hash(&self.bytes)
    }

    /// Returns the names of its tensors.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns where the tensors stand, under their own names, with the file's bytes.
    pub(super) fn into_located(self) -> Result<(Bytes, Vec<Located>), Error> {
        let located = self
            .tensors
            .iter()
            .map(|(name, info)| self.locate(name, info));
        let located = located.collect::<Result<_, _>>()?;
        Ok((self.bytes, located))
    }

    fn locate(&self, name: &str, info: &TensorInfo) -> Result<Located, Error> {
        let shape = info.shape.dims();
        let format = match info.ggml_dtype {
            GgmlDType::F32 => Format::Float(Dtype::F32),
            GgmlDType::F16 => Format::Float(Dtype::F16),
            GgmlDType::BF16 => Format::Float(Dtype::BF16),
            blocks => Format::Blocks(blocks),
        };
        let wrong = |reason: &str| self.damaged(format!("tensor {name} of {shape:?} {reason}"));
        let size = format
            .size(shape)
            .ok_or_else(|| wrong(&format!("is not whole blocks of {format}")))?;
        let start = self.data.checked_add(info.offset);
        let start = start.and_then(|at| usize::try_from(at).ok());
        let end = start.and_then(|at| at.checked_add(size));
        match (start, end) {
            (Some(start), Some(end)) if end <= self.bytes.len() => Ok(Located {
                name: name.to_owned(),
                bytes: start..end,
                format,
                shape: shape.to_vec(),
                fault: None,
            }),
            _ => Err(wrong("is cut off")),
        }
    }
}

fn damaged(path: &Path, reason: String) -> Error {
    Error::Gguf {
        path: path.to_owned(),
        reason,
    }
}

/// Returns the numbers of tensors and of keys that the header begins with.
fn counts(bytes: &[u8]) -> Result<[usize; 2], String> {
    let Some((fixed, _)) = bytes.split_at_checked(FIXED) else {
        return Err("shorter than a header".into());
    };
    if fixed[..4] != *b"GGUF" {
        return Err("does not begin with GGUF".into());
    }
    let mut version = [0; 4];
    version.copy_from_slice(&fixed[4..8]);
    let version = u32::from_le_bytes(version);
    // Version 1 counts in 4 bytes, and is of August 2023 alone.
    if !(2..=3).contains(&version) {
        return Err(format!("version {version}; 2 and 3 are read"));
    }
    Ok([count(fixed, 8), count(fixed, 16)])
}

/// Reads the number that stands at byte `at`.
fn count(fixed: &[u8], at: usize) -> usize {
    let mut count = [0; 8];
    count.copy_from_slice(&fixed[at..at + 8]);
    u64::from_le_bytes(count) as usize
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::U8(n) => Some(n.into()),
        Value::I8(n) => Some(n.into()),
        Value::U16(n) => Some(n.into()),
        Value::I16(n) => Some(n.into()),
        Value::U32(n) => Some(n.into()),
        Value::I32(n) => Some(n.into()),
        // What no i64 holds is no size, no id and no count.
        Value::U64(n) => n.try_into().ok(),
        Value::I64(n) => Some(n),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match *value {
        // The shortest number that is this f32: 1e-5, and not what f64 has beside it.
        Value::F32(n) => n.to_string().parse().ok(),
        Value::F64(n) => Some(n),
        _ => integer(value).map(|n| n as f64),
    }
    .filter(|n: &f64| n.is_finite())
}

fn list<'a, T>(value: &'a Value, of: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::Array(values) => values.iter().map(of).collect(),
        _ => None,
    }
}
