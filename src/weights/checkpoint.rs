//! A checkpoint: safetensors or PyTorch files, single or sharded, as one map of names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::DType;
use candle_core::quantized::GgmlDType;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::Error;
use super::adapter::Delta;
use super::blocks::{self, Undo};
use super::dtype::Matrices;
use super::format::Format;
use super::mapped::Bytes;
use super::names::{canonical, is_buffer};
use super::packed::Packed;
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
    /// Returns the same with its file counted behind `files` others.
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
    pub(super) random: bool,
}

impl Checkpoint {
    /// Opens the weights of a folder as Hugging Face writes one: one file, or the shards that an index
    /// lists; safetensors where there are some, else PyTorch's.
    pub fn open_folder(folder: &Path) -> Result<Self, Error> {
        // Safetensors before pickles, as transformers chooses where a folder has both.
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

    /// Opens the shards that an index lists; each tensor must stand in the shard that it names.
    fn open_index(folder: &Path, path: &Path) -> Result<Self, Error> {
        let index: Index = serde_json::from_slice(&Bytes::map(path)?)
            .map_err(|e| damaged_index(path, e.to_string()))?;
        let files: BTreeSet<&String> = index.weight_map.values().collect();
        // A name with a folder in it could lead anywhere.
        if let Some(file) = files.iter().find(|f| {
            Path::new(f)
                .file_name()
                .is_none_or(|name| name != f.as_str())
        }) {
            return Err(damaged_index(
                path,
                format!("{file:?} is not the name of a file"),
            ));
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
                let reason = format!("tensor {name} is not in {file}");
                return Err(damaged_index(path, reason));
            }
        }
        Ok(checkpoint)
    }

    /// Opens the given files.
    pub fn open(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut checkpoint = Self::default();
        for path in paths {
            let bytes = Bytes::map(path)?;
            // Whatever is called otherwise is PyTorch's: .bin, .pt, .pth.
            let located = if path.extension().is_some_and(|e| e == "safetensors") {
                safetensors(path, &bytes)?
            } else {
                pickled::locate(path, &bytes)?
            };
            checkpoint.add(bytes, path, located)?;
        }
        Ok(checkpoint)
    }

    /// Opens one safetensors file that stands in the binary.
    pub fn embedded(bytes: &'static [u8]) -> Result<Self, Error> {
        let mut checkpoint = Self::default();
        let path = Path::new("embedded");
        checkpoint.add(Bytes::Embedded(bytes), path, safetensors(path, bytes)?)?;
        Ok(checkpoint)
    }

    /// Creates one of no file at all: tensors are drawn when they are asked for.
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
            // Of pickles alone: the headers of other formats were checked against the file before.
            if range.end > bytes.len() {
                return Err(Error::Pickle {
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

    /// Lets go of the memory that the file's bytes of a tensor take; they are read again where somebody
    /// looks.
    pub(super) fn release(&self, entry: &Entry) {
        self.files[entry.file].release(&entry.bytes);
    }

    /// Returns BLAKE3 over name, dtype, shape and bytes of every tensor whose name begins with one
    /// of `prefixes`, in the order of their names; of quantised matrices and adapters over all
    /// parts.
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
            // Loading reads it again, if at all: until then its pages would only take memory.
            self.release(entry);
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
            // The rest stays behind: a CLIP file has a text model beside its tower.
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

    /// Puts `to` in place of `from` at the beginning of names; names that begin otherwise stay.
    pub fn rename(&mut self, from: &str, to: &str) {
        let renamed = |name: String| match name.strip_prefix(from) {
            Some(rest) => format!("{to}{rest}"),
            None => name,
        };
        let entries = std::mem::take(&mut self.entries).into_iter();
        self.entries = entries
            .map(|(name, entry)| (renamed(name), entry))
            .collect();
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

    /// Returns the number of elements of those tensors.
    pub fn parameters(&self, prefixes: &[&str]) -> u64 {
        self.part(prefixes)
            .map(|(_, e)| e.shape.iter().map(|&d| d as u64).product::<u64>())
            .sum()
    }

    /// Tells whether the matrix `name` can stay in the blocks of its file.
    pub(super) fn can_stay(&self, name: &str) -> bool {
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
        let part = self.part(prefixes);
        part.map(|(name, entry)| self.bytes_of(name, entry, size, matrices))
            .sum()
    }

    fn bytes_of(&self, name: &str, entry: &Entry, size: u64, matrices: Matrices) -> u64 {
        let numbers = entry.shape.iter().map(|&d| d as u64).product::<u64>();
        // Rows of the table are looked up as numbers.
        let is_table = name.contains("embed_tokens");
        match (matrices, &entry.shape[..]) {
            (Matrices::Blocks, _) if self.can_stay(name) => {
                let blocks = entry.bytes.len() as u64;
                // A model without a head of its own is tied: it multiplies by the table.
                let is_head = !self.entries.contains_key("lm_head.weight");
                match (is_table, is_head) {
                    (false, _) => blocks,
                    (true, false) => numbers * size,
                    // As the head it stays in its blocks.
                    (true, true) => numbers * size + blocks,
                }
            }
            // Two dimensions: norms and biases stay numbers.
            (Matrices::Quantized(format), &[_, input]) if is_of_decoder(name) && !is_table => {
                let sizes = |format: GgmlDType| (format.block_size(), format.type_size());
                let (block, bytes) = blocks::fitting(format, input).map_or((1, 4), sizes);
                numbers / block as u64 * bytes as u64
            }
            _ => numbers * size,
        }
    }

    fn part(&self, prefixes: &[&str]) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries
            .iter()
            .filter(move |(name, _)| prefixes.iter().any(|p| name.starts_with(p)))
    }
}

/// Tells whether a tensor is one of the language model.
pub(super) fn is_of_decoder(name: &str) -> bool {
    name.starts_with("language_model.") || name.starts_with("lm_head.")
}

fn damaged_index(path: &Path, reason: String) -> Error {
    Error::Index {
        path: path.to_owned(),
        reason,
    }
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
