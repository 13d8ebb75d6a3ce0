//! The tensors of a checkpoint on their way to a device: read, dequantised, merged with an adapter, or
//! drawn at random. Tells which of them nobody has asked for.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use safetensors::Dtype;

use super::blocks::{self, Blocks, Undo};
use super::checkpoint::{Checkpoint, Entry, is_of_decoder};
use super::dtype::Matrices;
use super::format::Format;
use super::packed::{Packed, Part};
use super::{Error, float_dtype};

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
    /// The tensor whose bytes were read last.
    last: RefCell<Option<Entry>>,
    drawn: Cell<u64>,
    total: u64,
}

impl Checkpoint {
    /// Loads to `device` as `dtype`; `progress` hears of bytes loaded and bytes in all.
    pub fn tensors<'a>(
        &'a self,
        dtype: DType,
        device: &Device,
        progress: &'a dyn Fn(u64, u64),
    ) -> Tensors<'a> {
        // Of all tensors, whether they are asked for or not: `finish` ends the count there.
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
            last: RefCell::default(),
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

    /// Returns the blocks of the matrix `name`, which must have `shape`, where it is kept in them.
    pub fn blocks(&self, name: &str, shape: &[usize]) -> Result<Option<Blocks<'_>>, Error> {
        // Only the CPU has products with blocks.
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
        let bytes = bytes.map_err(Error::of_device(name))?.into();
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
        // By now a copy stands in its place.
        if let Some(before) = self.last.replace(Some(entry.clone())) {
            self.checkpoint.release(&before);
        }
        bytes
    }

    /// Loads the tensor `name`, which must have `shape`, as the dtype that tensors get.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        if self.checkpoint.random {
            return self.draw(name, shape).map_err(Error::of_device(name));
        }
        let entry = self.entry(name, shape)?;
        let values = self.read(name, entry)?;
        let values = match self.checkpoint.deltas.get(name) {
            Some(delta) => delta
                .merge(values, |entry| self.read(name, entry))?
                .map_err(Error::of_device(name))?,
            None => values,
        };
        // After the merge, which is in f32.
        let values = values.to_dtype(self.dtype);
        values.map_err(Error::of_device(name))
    }

    /// Reads a tensor as it stands in a file, dequantised.
    fn read(&self, name: &str, entry: &Entry) -> Result<Tensor, Error> {
        if let Some(reason) = &entry.fault {
            return Err(unreadable(name, reason.clone()));
        }
        let device = self.device_of(name);
        if let Some(packed) = &entry.packed {
            return self.dequantize(name, entry, packed);
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
        values.map_err(Error::of_device(name))
    }

    /// Dequantises a packed matrix.
    fn dequantize(
        &self,
        name: &str,
        entry: &Entry,
        packed: &Packed<Entry>,
    ) -> Result<Tensor, Error> {
        let [out, input] = entry.shape[..] else {
            return Err(unreadable(name, "not a matrix".into()));
        };
        let mut parts = BTreeMap::new();
        for (part, entry) in &packed.parts {
            if let Format::Float(dtype) = entry.format {
                let bytes = self.bytes(entry);
                // Every part is counted as loaded, those that no scheme reads as well: `total`
                // counts them.
                parts.insert(*part, Part { bytes, dtype });
            }
        }
        let scheme = packed.scheme;
        let matrix = Packed { scheme, parts }.dequantize(self.bytes(entry), (out, input));
        let matrix = matrix.map_err(|reason| unreadable(name, reason))?;
        let placed = matrix.to_device(self.device_of(name));
        placed.map_err(Error::of_device(name))
    }

    /// Draws a tensor as models are initialised: norms 1, biases 0, all else of mean 0 and standard
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
                // Not of codes, which may be equal where their scales differ.
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

    /// Says the same of all tensors whose name begins with `prefix`.
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

    /// Returns the dtype that tensors get.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}

/// Returns the type of a tensor whose numbers are floats.
fn tensor_dtype(name: &str, dtype: Dtype) -> Result<DType, Error> {
    float_dtype(dtype).ok_or_else(|| Error::Dtype {
        name: name.to_owned(),
        dtype: dtype.to_string(),
    })
}

fn unreadable(name: &str, reason: String) -> Error {
    Error::Values {
        name: name.to_owned(),
        reason,
    }
}

/// Returns a number in 0..1 for each seed: the finaliser of SplitMix64 (Steele et al. 2014).
fn unit(seed: u64) -> f32 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // 24 bits: all that an f32 between 0 and 1 holds exactly.
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}
