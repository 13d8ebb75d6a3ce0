//! A checkpoint: safetensors files, single or sharded, as one map of names.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::Error;
use super::mapped::Bytes;
use super::names::{canonical, is_buffer};

#[derive(Debug)]
struct Entry {
    file: usize,
    bytes: Range<usize>,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// The tensors of one or more safetensors files, mapped, not read.
#[derive(Debug)]
pub struct Checkpoint {
    files: Vec<Bytes>,
    entries: BTreeMap<String, Entry>,
}

/// A view of a checkpoint that loads tensors to a device and remembers which were used.
#[derive(Debug)]
pub struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    device: Device,
    dtype: DType,
    used: RefCell<BTreeSet<String>>,
}

impl Checkpoint {
    /// All `*.safetensors` files of a folder.
    pub fn open_folder(folder: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: folder.to_owned(), source };
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .map_err(io)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()
            .map_err(io)?;
        paths.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
        paths.sort();
        if paths.is_empty() {
            return Err(Error::Empty(folder.to_owned()));
        }
        Self::open(&paths)
    }

    /// The given files.
    pub fn open(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut checkpoint = Self { files: Vec::new(), entries: BTreeMap::new() };
        for path in paths {
            checkpoint.add(Bytes::map(path)?, path)?;
        }
        Ok(checkpoint)
    }

    /// One file that stands in the binary.
    pub fn embedded(bytes: &'static [u8]) -> Result<Self, Error> {
        let mut checkpoint = Self { files: Vec::new(), entries: BTreeMap::new() };
        checkpoint.add(Bytes::Embedded(bytes), Path::new("embedded"))?;
        Ok(checkpoint)
    }

    fn add(&mut self, bytes: Bytes, path: &Path) -> Result<(), Error> {
        let container =
            |e: safetensors::SafeTensorError| Error::Container { path: path.to_owned(), reason: e.to_string() };
        // Checks the header's length, that the tensors tile the buffer, and that shapes fit sizes.
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(container)?;
        let data = header + 8;
        let file = self.files.len();
        for (name, info) in metadata.tensors() {
            let entry = Entry {
                file,
                bytes: data + info.data_offsets.0..data + info.data_offsets.1,
                dtype: info.dtype,
                shape: info.shape.clone(),
            };
            if entry.bytes.end > bytes.len() {
                return Err(Error::Container { path: path.to_owned(), reason: format!("tensor {name} is cut off") });
            }
            if !is_buffer(&name) && self.entries.insert(canonical(&name), entry).is_some() {
                return Err(Error::Twice { path: path.to_owned(), name });
            }
        }
        self.files.push(bytes);
        Ok(())
    }

    /// BLAKE3 over name, dtype, shape and bytes of every tensor, in the order of their names.
    pub fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for (name, entry) in &self.entries {
            hasher.update(format!("{name} {} {:?}\n", entry.dtype, entry.shape).as_bytes());
            hasher.update(&self.files[entry.file][entry.bytes.clone()]);
        }
    }

    /// Number of elements of all tensors.
    pub fn parameters(&self) -> u64 {
        self.entries.values().map(|e| e.shape.iter().map(|&d| d as u64).product::<u64>()).sum()
    }

    /// Loads to `device` as `dtype`.
    pub fn tensors(&self, dtype: DType, device: &Device) -> Tensors<'_> {
        Tensors { checkpoint: self, device: device.clone(), dtype, used: RefCell::default() }
    }
}

impl Tensors<'_> {
    /// The tensor `name`, which must have `shape`.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let entry = self.checkpoint.entries.get(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
        self.used.borrow_mut().insert(name.to_owned());
        if entry.shape != shape {
            return Err(Error::Shape { name: name.to_owned(), found: entry.shape.clone(), expected: shape.to_vec() });
        }
        let dtype = match entry.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => return Err(Error::Dtype { name: name.to_owned(), dtype: other.to_string() }),
        };
        let bytes = &self.checkpoint.files[entry.file][entry.bytes.clone()];
        Tensor::from_raw_buffer(bytes, dtype, shape, &self.device)
            .and_then(|t| t.to_dtype(self.dtype))
            .map_err(|source| Error::Device { name: name.to_owned(), source })
    }

    /// Whether the checkpoint has a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.checkpoint.entries.contains_key(name)
    }

    /// Says that `name` may be there without being read, a tied head for instance.
    pub fn ignore(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// The same for all tensors whose name begins with `prefix`.
    pub fn ignore_all(&self, prefix: &str) {
        let names = self.checkpoint.entries.keys().filter(|n| n.starts_with(prefix)).cloned();
        self.used.borrow_mut().extend(names);
    }

    /// Fails if a tensor was never asked for.
    pub fn finish(self) -> Result<(), Error> {
        let used = self.used.into_inner();
        let unused: Vec<String> = self.checkpoint.entries.keys().filter(|n| !used.contains(*n)).cloned().collect();
        if unused.is_empty() { Ok(()) } else { Err(Error::Unused(unused)) }
    }

    /// The device that tensors go to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The dtype that tensors get.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}
