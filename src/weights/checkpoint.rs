//! A checkpoint: safetensors or PyTorch files, single or sharded, as one map of names.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::Error;
use super::adapter::Delta;
use super::blocks::{self, Blocks, Undo};
use super::dtype::Matrices;
use super::format::Format;
use super::mapped::Bytes;
use super::names::{canonical, is_buffer};
use super::packed::{Packed, Part};
use super::pickled::{self, Located};

/// A tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    file: usize,
    bytes: Range<usize>,
    pub(super) format: Format,
    pub(super) shape: Vec<usize>,
    pub(super) undo: Undo,
    /// Why its values cannot be read.
    pub(super) fault: Option<String>,
    /// The tensors that unpack it, where it is the codes of a quantised matrix. `shape` is that of
    /// the matrix.
    pub(super) packed: Option<Packed<Entry>>,
}

impl Entry {
    /// The same with its file counted behind `files` others.
    pub(super) fn behind(mut self, files: usize) -> Self {
        self.file += files;
        let parts = self.packed.iter_mut().flat_map(|p| p.parts.values_mut());
        parts.for_each(|part| part.file += files);
        self
    }

    /// Returns how many bytes it takes in its file.
    pub(super) fn size(&self) -> usize {
        let parts = self.packed.iter().flat_map(|p| p.parts.values());
        self.bytes.len() + parts.map(Self::size).sum::<usize>()
    }
}

/// The tensors of one or more files, mapped, not read.
#[derive(Debug, Default)]
pub struct Checkpoint {
    pub(super) files: Vec<Bytes>,
    pub(super) entries: BTreeMap<String, Entry>,
    /// The additions of an adapter, by the tensors' names.
    pub(super) deltas: BTreeMap<String, Delta<Entry>>,
    /// Tensors that an adapter brought whole.
    pub(super) replaced: BTreeSet<String>,
    /// Tensors that need not be read.
    pub(super) spare: BTreeSet<String>,
    /// True if every tensor that is asked for is drawn at random.
    random: bool,
}

/// A view of a checkpoint that loads tensors to a device and remembers which were used.
pub struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    device: Device,
    /// Devices of the tensors whose names begin so; all others go to `device`.
    device_map: Vec<(String, Device)>,
    dtype: DType,
    matrices: Matrices,
    used: RefCell<BTreeSet<String>>,
    /// Hears of bytes loaded and bytes in all.
    progress: &'a dyn Fn(u64, u64),
    loaded: Cell<u64>,
    drawn: Cell<u64>,
    total: u64,
}

impl Checkpoint {
    /// Opens the weights of a folder as Hugging Face writes one: one file, or the shards that an index
    /// lists; safetensors where there are some, else PyTorch's.
    pub fn open_folder(folder: &Path) -> Result<Self, Error> {
        for (index, single) in [
            ("model.safetensors.index.json", "model.safetensors"),
            ("pytorch_model.bin.index.json", "pytorch_model.bin"),
        ] {
            // The single file first, as transformers: an index beside it may be left from an older
            // upload, and name shards that are gone.
            if folder.join(single).is_file() {
                return Self::open(&[folder.join(single)]);
            }
            if folder.join(index).is_file() {
                return Self::open_index(folder, &folder.join(index));
            }
        }
        Err(Error::Empty(folder.to_owned()))
    }

    /// The shards that an index lists; each tensor must stand in the shard that the index names.
    fn open_index(folder: &Path, path: &Path) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Index {
            path: path.to_owned(),
            reason,
        };
        let index: Index =
            serde_json::from_slice(&Bytes::map(path)?).map_err(|e| damaged(e.to_string()))?;
        let files: BTreeSet<&String> = index.weight_map.values().collect();
        // A name with a folder in it could lead anywhere.
        if let Some(file) = files.iter().find(|f| {
            Path::new(f)
                .file_name()
                .is_none_or(|name| name != f.as_str())
        }) {
            return Err(damaged(format!("{file:?} is not the name of a file")));
        }
        let paths: Vec<PathBuf> = files.iter().map(|f| folder.join(f)).collect();
        let checkpoint = Self::open(&paths)?;
        for (name, file) in &index.weight_map {
            let entry = checkpoint.entries.get(&canonical(name));
            let stands = entry.is_some_and(|e| {
                paths[e.file]
                    .file_name()
                    .is_some_and(|f| f == file.as_str())
            });
            if !stands && !is_buffer(name) {
                return Err(damaged(format!("tensor {name} is not in {file}")));
            }
        }
        Ok(checkpoint)
    }

    /// The given files.
    pub fn open(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut checkpoint = Self::default();
        for path in paths {
            let bytes = Bytes::map(path)?;
            let located = if path.extension().is_some_and(|e| e == "safetensors") {
                safetensors(path, &bytes)?
            } else {
                pickled::locate(path, &bytes)?
            };
            checkpoint.add(bytes, path, located)?;
        }
        Ok(checkpoint)
    }

    /// One safetensors file that stands in the binary.
    pub fn embedded(bytes: &'static [u8]) -> Result<Self, Error> {
        let mut checkpoint = Self::default();
        let path = Path::new("embedded");
        checkpoint.add(Bytes::Embedded(bytes), path, safetensors(path, bytes)?)?;
        Ok(checkpoint)
    }

    /// No file at all: tensors are drawn when they are asked for.
    pub fn random() -> Self {
        Self {
            random: true,
            ..Self::default()
        }
    }

    /// Tells whether its tensors are drawn.
    pub fn is_random(&self) -> bool {
        self.random
    }

    pub(super) fn add(
        &mut self,
        bytes: Bytes,
        path: &Path,
        located: Vec<Located>,
    ) -> Result<(), Error> {
        let file = self.files.len();
        for Located {
            name,
            bytes: range,
            format,
            shape,
            fault,
        } in located
        {
            if range.end > bytes.len() {
                return Err(Error::Container {
                    path: path.to_owned(),
                    reason: format!("tensor {name} is cut off"),
                });
            }
            let entry = Entry {
                file,
                bytes: range,
                format,
                shape,
                undo: Undo::default(),
                fault,
                packed: None,
            };
            // Two spellings of one tensor would load one of them by chance.
            if !is_buffer(&name) && self.entries.insert(canonical(&name), entry).is_some() {
                return Err(Error::Twice {
                    path: path.to_owned(),
                    name,
                });
            }
        }
        self.files.push(bytes);
        Ok(())
    }

    /// Returns the bytes of a tensor.
    pub(super) fn bytes(&self, entry: &Entry) -> &[u8] {
        &self.files[entry.file][entry.bytes.clone()]
    }

    /// BLAKE3 over name, dtype, shape and bytes of every tensor whose name begins with one of
    /// `prefixes`, in the order of their names.
    pub fn digest(&self, prefixes: &[&str]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        if self.random {
            hasher.update(b"random");
        }
        for (name, entry) in self.part(prefixes) {
            // Under our own names: the digest of a model is that of its numbers, in whichever
            // layout of files they come.
            hasher.update(format!("{name} {} {:?}\n", entry.format, entry.shape).as_bytes());
            hasher.update(self.bytes(entry));
            if let Some(packed) = &entry.packed {
                hasher.update(format!("{}\n", packed.scheme).as_bytes());
                for (part, entry) in &packed.parts {
                    let head = format!("{part} {} {:?}\n", entry.format, entry.shape);
                    hasher.update(head.as_bytes());
                    hasher.update(self.bytes(entry));
                }
            }
            let Some(delta) = self.deltas.get(name) else {
                continue;
            };
            for (part, entry) in [
                ("A", Some(&delta.a)),
                ("B", Some(&delta.b)),
                ("magnitude", delta.magnitude.as_ref()),
            ] {
                let Some(entry) = entry else { continue };
                hasher.update(
                    // The scale is no tensor, and changes all that is merged.
                    format!(
                        "{part} {} {:?} {}\n",
                        entry.format, entry.shape, delta.scale
                    )
                    .as_bytes(),
                );
                hasher.update(self.bytes(entry));
            }
        }
        hasher.finalize()
    }

    /// Tells whether a tensor's name begins with `prefix`.
    pub fn has_any(&self, prefix: &str) -> bool {
        self.entries.keys().any(|name| name.starts_with(prefix))
    }

    /// Takes over the tensors of `other` whose name begins with `from`, which becomes `to`; leaves
    /// the rest.
    pub fn graft(&mut self, other: Self, from: &str, to: &str) {
        let files = self.files.len();
        self.files.extend(other.files);
        for (name, entry) in other.entries {
            if let Some(rest) = name.strip_prefix(from) {
                self.entries
                    .insert(format!("{to}{rest}"), entry.behind(files));
            }
        }
    }

    /// Tells whether an adapter adds to the tensor `name`.
    pub fn is_adapted(&self, name: &str) -> bool {
        self.deltas.contains_key(name)
    }

    /// Tells whether an adapter stands in place of the tensor `name`.
    pub fn is_replaced(&self, name: &str) -> bool {
        self.replaced.contains(name)
    }

    /// Reads the names as those of Hugging Face's `ViTModel`, and makes a vision tower of it.
    pub fn into_tower(mut self) -> Self {
        self.entries = self
            .entries
            .into_iter()
            .map(|(name, entry)| (super::names::canonical_vit(&name), entry))
            .collect();
        self
    }

    /// Number of elements of those tensors.
    pub fn parameters(&self, prefixes: &[&str]) -> u64 {
        self.part(prefixes)
            .map(|(_, e)| e.shape.iter().map(|&d| d as u64).product::<u64>())
            .sum()
    }

    /// Tells whether the matrix `name` can stay in the blocks of its file.
    fn can_stay(&self, name: &str) -> bool {
        let format = self.entries.get(name).map(|entry| entry.format);
        // No adapter is merged into such files, whose sum would be of no blocks.
        matches!(format, Some(Format::Blocks(format)) if blocks::can_stay(format))
    }

    /// Tells whether any matrix can stay in the blocks of its file.
    pub fn has_blocks(&self) -> bool {
        self.entries.keys().any(|name| self.can_stay(name))
    }

    /// Returns the bytes that all tensors take in f32, of whatever type they are in the file.
    pub fn floats_bytes(&self) -> u64 {
        self.resident_bytes(&[""], DType::F32.size_in_bytes() as u64, Matrices::Numbers)
    }

    /// Returns the bytes that those tensors take as numbers of `size` bytes, but for matrices that
    /// are kept in blocks.
    pub fn resident_bytes(&self, prefixes: &[&str], size: u64, matrices: Matrices) -> u64 {
        let bytes = |(name, entry): (&String, &Entry)| {
            let numbers = entry.shape.iter().map(|&d| d as u64).product::<u64>();
            // Rows of the table are looked up as numbers.
            let is_table = name.contains("embed_tokens");
            match (matrices, &entry.shape[..]) {
                (Matrices::Blocks, _) if self.can_stay(name) => {
                    let blocks = entry.bytes.len() as u64;
                    let is_head = !self.entries.contains_key("lm_head.weight");
                    match (is_table, is_head) {
                        (false, _) => blocks,
                        (true, false) => numbers * size,
                        // As the head it stays in its blocks.
                        (true, true) => numbers * size + blocks,
                    }
                }
                (Matrices::Quantized(format), &[_, input]) if is_of_decoder(name) && !is_table => {
                    let sizes = |format: GgmlDType| (format.block_size(), format.type_size());
                    let (block, bytes) = blocks::fitting(format, input).map_or((1, 4), sizes);
                    numbers / block as u64 * bytes as u64
                }
                _ => numbers * size,
            }
        };
        self.part(prefixes).map(bytes).sum()
    }

    fn part(&self, prefixes: &[&str]) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries
            .iter()
            .filter(move |(name, _)| prefixes.iter().any(|p| name.starts_with(p)))
    }

    /// Loads to `device` as `dtype`; `progress` hears of bytes loaded and bytes in all.
    pub fn tensors<'a>(
        &'a self,
        dtype: DType,
        device: &Device,
        progress: &'a dyn Fn(u64, u64),
    ) -> Tensors<'a> {
        let total = self.entries.values().map(|e| e.size() as u64).sum();
        if self.random && !device.is_cpu() {
            // A device that cannot be seeded draws other numbers, which is as good for what they
            // are for.
            let _ = device.set_seed(0);
        }
        let (used, loaded, drawn) = (RefCell::default(), Cell::default(), Cell::default());
        Tensors {
            checkpoint: self,
            device: device.clone(),
            device_map: Vec::new(),
            dtype,
            matrices: Matrices::Numbers,
            used,
            progress,
            loaded,
            drawn,
            total,
        }
    }
}

impl std::fmt::Debug for Tensors<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensors")
            .field("device", &self.device)
            .field("dtype", &self.dtype)
            .finish_non_exhaustive()
    }
}

impl Tensors<'_> {
    /// Sends the tensors whose names begin with `prefix` to `device`.
    pub fn place(&mut self, prefix: String, device: &Device) {
        if self.checkpoint.random && !device.is_cpu() {
            // As in `Checkpoint::tensors`.
            let _ = device.set_seed(0);
        }
        self.device_map.push((prefix, device.clone()));
    }

    /// Says how matrices are kept.
    pub fn keep(&mut self, matrices: Matrices) {
        self.matrices = matrices;
    }

    /// Returns the device that the tensor `name` goes to.
    pub fn device_of(&self, name: &str) -> &Device {
        let mut placed = self.device_map.iter();
        let own = placed.find(|(prefix, _)| name.starts_with(prefix.as_str()));
        own.map_or(&self.device, |(_, device)| device)
    }

    /// The blocks of the matrix `name`, which must have `shape`, where it is kept in them.
    pub fn blocks(&self, name: &str, shape: &[usize]) -> Result<Option<Blocks<'_>>, Error> {
        if !self.device_of(name).is_cpu() {
            return Ok(None);
        }
        match self.matrices {
            Matrices::Quantized(format) => return self.quantized(name, shape, format),
            Matrices::Blocks if self.checkpoint.can_stay(name) => {}
            Matrices::Blocks | Matrices::Numbers => return Ok(None),
        }
        let entry = self.entry(name, shape)?;
        let Format::Blocks(format) = entry.format else {
            return Ok(None);
        };
        let bytes = blocks::in_order(self.bytes(entry), &entry.shape, entry.undo);
        Ok(Some(Blocks { format, bytes }))
    }

    /// Quantises a matrix of the language model.
    fn quantized(
        &self,
        name: &str,
        shape: &[usize],
        format: GgmlDType,
    ) -> Result<Option<Blocks<'_>>, Error> {
        let input = shape.last().copied().unwrap_or_default();
        let Some(format) = blocks::fitting(format, input).filter(|_| is_of_decoder(name)) else {
            return Ok(None);
        };
        let bytes = blocks::quantize(&self.get(name, shape)?, format);
        let bytes = bytes.map_err(|source| Error::Device {
            name: name.to_owned(),
            source,
        })?;
        let bytes = bytes.into();
        Ok(Some(Blocks { format, bytes }))
    }

    /// Finds a tensor, which must have `shape`.
    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry, Error> {
        let missing = || Error::Missing(name.to_owned());
        let entry = self.checkpoint.entries.get(name).ok_or_else(missing)?;
        self.used.borrow_mut().insert(name.to_owned());
        if entry.shape == shape {
            return Ok(entry);
        }
        Err(Error::Shape {
            name: name.to_owned(),
            found: entry.shape.clone(),
            expected: shape.to_vec(),
        })
    }

    /// Returns the bytes of a tensor, counted as loaded.
    fn bytes(&self, entry: &Entry) -> &[u8] {
        let bytes = self.checkpoint.bytes(entry);
        self.loaded.set(self.loaded.get() + bytes.len() as u64);
        (self.progress)(self.loaded.get(), self.total);
        bytes
    }

    /// The tensor `name`, which must have `shape`.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        if self.checkpoint.random {
            return self.draw(name, shape).map_err(|source| Error::Device {
                name: name.to_owned(),
                source,
            });
        }
        let entry = self.entry(name, shape)?;
        let values = self.read(name, entry)?;
        let device = |source| Error::Device {
            name: name.to_owned(),
            source,
        };
        let values = match self.checkpoint.deltas.get(name) {
            Some(delta) => delta
                .merge(values, |entry| self.read(name, entry))?
                .map_err(device)?,
            None => values,
        };
        // After the merge, which is in f32.
        values.to_dtype(self.dtype).map_err(device)
    }

    /// A tensor as it stands in a file.
    fn read(&self, name: &str, entry: &Entry) -> Result<Tensor, Error> {
        if let Some(reason) = &entry.fault {
            return Err(Error::Values {
                name: name.to_owned(),
                reason: reason.clone(),
            });
        }
        let device = self.device_of(name);
        if let Some(packed) = &entry.packed {
            return self.unpack(name, entry, packed);
        }
        let bytes = blocks::in_order(self.bytes(entry), &entry.shape, entry.undo);
        let values = match entry.format {
            Format::Float(dtype) => {
                Tensor::from_raw_buffer(&bytes, tensor_dtype(name, dtype)?, &entry.shape, device)
            }
            Format::Blocks(format) => {
                let values = blocks::dequantize(&bytes, format, &entry.shape);
                values.and_then(|values| values.to_device(device))
            }
        };
        let values = values.and_then(|values| match entry.undo {
            Undo::PlusOne => values.to_dtype(DType::F32)? - 1.0,
            Undo::Nothing | Undo::Interleaved(_) => Ok(values),
        });
        values.map_err(|source| Error::Device {
            name: name.to_owned(),
            source,
        })
    }

    /// Dequantises a packed matrix.
    fn unpack(&self, name: &str, entry: &Entry, packed: &Packed<Entry>) -> Result<Tensor, Error> {
        let values = |reason| Error::Values {
            name: name.to_owned(),
            reason,
        };
        let [out, input] = entry.shape[..] else {
            return Err(values("not a matrix".into()));
        };
        let mut parts = BTreeMap::new();
        for (part, entry) in &packed.parts {
            if let Format::Float(dtype) = entry.format {
                let bytes = self.bytes(entry);
                parts.insert(*part, Part { bytes, dtype });
            }
        }
        let scheme = packed.scheme;
        let matrix = Packed { scheme, parts }.dequantize(self.bytes(entry), (out, input));
        let matrix = matrix.map_err(values)?;
        let placed = matrix.to_device(self.device_of(name));
        placed.map_err(|source| Error::Device {
            name: name.to_owned(),
            source,
        })
    }

    /// A tensor as models are initialised: norms 1, biases 0, all else of mean 0 and standard
    /// deviation 0.02.
    fn draw(&self, name: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
        const DEVIATION: f32 = 0.02;
        let device = self.device_of(name);
        let count: usize = shape.iter().product();
        self.drawn.set(self.drawn.get() + count as u64);
        // How many there will be nobody knows.
        (self.progress)(self.drawn_bytes(), self.drawn_bytes());
        let values = if name.rsplit('.').next() == Some("bias") {
            Tensor::zeros(shape, DType::F32, device)?
        } else if name.contains("norm") {
            Tensor::ones(shape, DType::F32, device)?
        } else if device.is_cpu() {
            // By the name, not by the order of reading: a tensor is the same whichever others are
            // loaded, and on all threads.
            let seed = u64::from_le_bytes(
                blake3::hash(name.as_bytes()).as_bytes()[..8]
                    .try_into()
                    .unwrap_or_default(),
            );
            // Uniform: twelve times as fast as normal numbers, and of the same deviation.
            let values: Vec<f32> = (0..count)
                .into_par_iter()
                .map(|i| DEVIATION * 3f32.sqrt() * (2.0 * unit(seed.wrapping_add(i as u64)) - 1.0))
                .collect();
            Tensor::from_vec(values, shape, device)?
        } else {
            Tensor::randn(0f32, DEVIATION, shape, device)?
        };
        values.to_dtype(self.dtype)
    }

    fn drawn_bytes(&self) -> u64 {
        self.drawn.get() * self.dtype.size_in_bytes() as u64
    }

    /// Says how many numbers were drawn.
    pub fn drawn(&self) -> u64 {
        self.drawn.get()
    }

    /// Tells whether the checkpoint has a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.checkpoint.entries.contains_key(name)
    }

    /// Tells whether both are there with the same dtype, shape and bytes, before any adapter.
    pub fn are_equal(&self, one: &str, other: &str) -> bool {
        let found = [one, other].map(|name| {
            self.checkpoint
                .entries
                .get(name)
                .filter(|entry| entry.fault.is_none() && entry.packed.is_none())
        });
        let [Some(one), Some(other)] = found else {
            return false;
        };
        // Bytes of the map: a table of half a gigabyte is compared without a copy.
        (one.format, &one.shape) == (other.format, &other.shape)
            && self.checkpoint.bytes(one) == self.checkpoint.bytes(other)
    }

    /// Says that `name` may be there without being read, a tied head for instance.
    pub fn ignore(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// The same for all tensors whose name begins with `prefix`.
    pub fn ignore_all(&self, prefix: &str) {
        let names = self
            .checkpoint
            .entries
            .keys()
            .filter(|n| n.starts_with(prefix))
            .cloned();
        self.used.borrow_mut().extend(names);
    }

    /// Fails if a tensor was never asked for.
    pub fn finish(self) -> Result<(), Error> {
        let total = self.total + self.drawn_bytes();
        (self.progress)(total, total);
        let used = self.used.into_inner();
        let unused: Vec<String> = self
            .checkpoint
            .entries
            .keys()
            .filter(|n| !used.contains(*n) && !self.checkpoint.spare.contains(*n))
            .cloned()
            .collect();
        if unused.is_empty() {
            Ok(())
        } else {
            Err(Error::Unused(unused))
        }
    }

    /// The dtype that tensors get.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}

/// Tells whether a tensor is one of the language model.
fn is_of_decoder(name: &str) -> bool {
    name.starts_with("language_model.") || name.starts_with("lm_head.")
}

/// Returns the type of a tensor whose numbers are floats.
fn tensor_dtype(name: &str, dtype: Dtype) -> Result<DType, Error> {
    match dtype {
        Dtype::F32 => Ok(DType::F32),
        Dtype::F16 => Ok(DType::F16),
        Dtype::BF16 => Ok(DType::BF16),
        other => Err(Error::Dtype {
            name: name.to_owned(),
            dtype: other.to_string(),
        }),
    }
}

/// A number in 0..1 for each seed: the finaliser of SplitMix64 (Steele et al. 2014).
fn unit(seed: u64) -> f32 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // 24 bits: all that an f32 between 0 and 1 holds exactly.
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

/// `model.safetensors.index.json` or `pytorch_model.bin.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads the places of the tensors in a safetensors file.
fn safetensors(path: &Path, bytes: &[u8]) -> Result<Vec<Located>, Error> {
    // Checks the header's length, that the tensors tile the buffer, and that shapes fit sizes.
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| Error::Container {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    // Behind the length of the header, which has 8 bytes.
    let data = header + 8;
    let tensors = metadata.tensors().into_iter();
    Ok(tensors
        .map(|(name, info)| Located {
            name,
            bytes: data + info.data_offsets.0..data + info.data_offsets.1,
            format: Format::Float(info.dtype),
            shape: info.shape.clone(),
            fault: None,
        })
        .collect())
}
