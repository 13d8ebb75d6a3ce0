//! The files of entries: what they are called, what stands in them, and reading them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::nn::HostTensor;

/// The format of folder and entries; a reader of another one leaves them alone.
pub(super) const FORMAT: u32 = 1;
/// Bounds the header of an entry: two names and a shape.
const MAX_HEADER_BYTES: usize = 1 << 16;
pub(super) const DIGEST_BYTES: usize = blake3::OUT_LEN;

/// Says what an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// A picture.
    Uploads,
    /// Activations, f32.
    Activations,
}

impl StateKind {
    pub(super) const ALL: [Self; 2] = [Self::Uploads, Self::Activations];

    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Activations => "activations",
        }
    }
}

/// Bounds the files of a folder, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct StateLimits {
    /// Pictures.
    pub uploads: u64,
    /// Activations.
    pub activations: u64,
}

/// Begins an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    /// Names whom it belongs to.
    pub(super) owner: String,
    /// Names it in requests.
    pub(super) handle: String,
    /// Gives the shape of activations; empty otherwise.
    pub(super) shape: Vec<usize>,
}

/// Holds an entry that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// Names whom it belongs to.
    pub owner: String,
    /// Names it in requests.
    pub handle: String,
    /// Gives the shape of activations; empty otherwise.
    pub shape: Vec<usize>,
    /// Holds the bytes of a picture, or numbers (f32, little-endian).
    pub bytes: Vec<u8>,
}

/// Holds what is to be written.
#[derive(Debug, Clone)]
pub enum StateValue {
    /// The bytes of a picture.
    Picture(Arc<[u8]>),
    /// Numbers.
    Activations(HostTensor),
}

/// Says why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", .path.display())]
pub struct StateFolderError {
    path: PathBuf,
    reason: String,
}

impl StateFolderError {
    pub(super) fn new(path: &Path, reason: impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Lists the files of a folder with the times when they were used.
pub(super) fn files_of(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| {
        let used = entry.metadata().ok()?.modified().ok()?;
        Some((used, entry.path()))
    });
    files.collect()
}

/// Returns the name of an entry's file, of which owner and handle are no part that could be a path.
pub(super) fn file_name(owner: &str, handle: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    // The length, too, so that no owner and handle read as another pair.
    hasher.update(&(owner.len() as u64).to_le_bytes());
    hasher.update(owner.as_bytes());
    hasher.update(handle.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// Reads whom an entry says that it belongs to.
pub(super) fn read_owner(path: &Path) -> Option<String> {
    // Bounded: anything may lie in the folder, and it is opened at every start.
    let file = File::open(path).ok()?.take(MAX_HEADER_BYTES as u64);
    let mut line = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut line).ok()?;
    let header: Header = serde_json::from_slice(&line).ok()?;
    Some(header.owner)
}

pub(super) fn read_entry(path: &Path, max_bytes: u64) -> Result<StateEntry, String> {
    // The digest before the header: nothing of a damaged file is believed.
    let mut bytes = read_checked(path, max_bytes.saturating_add(MAX_HEADER_BYTES as u64))?;
    // A file without a line's end is not searched through.
    let searched = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    let end = searched.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or("it has no header")?;
    let header: Header = serde_json::from_slice(&bytes[..end]).map_err(|e| e.to_string())?;
    if header.format != FORMAT {
        return Err(format!("it is of format {}", header.format));
    }
    // Whoever moves a file gives it to nobody else.
    let expected = file_name(&header.owner, &header.handle);
    if path.file_name().is_none_or(|name| *name != *expected) {
        return Err("its name is of another entry".into());
    }
    bytes.drain(..=end);
    Ok(StateEntry {
        owner: header.owner,
        handle: header.handle,
        shape: header.shape,
        bytes,
    })
}

/// Reads a file whose last bytes are the digest of the others, which are returned.
pub(super) fn read_checked(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    // Of the name itself: a link may lead anywhere.
    let metadata = fs::symlink_metadata(path).map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err("it is no regular file".into());
    }
    let limit = max_bytes.saturating_add(DIGEST_BYTES as u64);
    if metadata.len() > limit {
        return Err(format!(
            "{} bytes; at most {limit} are kept",
            metadata.len()
        ));
    }
    // The limit holds before the allocation.
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let file = File::open(path).map_err(|e| e.to_string())?;
    // Of what is there now: the file may have grown since it was measured.
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(|e| e.to_string())?;
    let end = bytes.len().checked_sub(DIGEST_BYTES);
    let end = end.ok_or("it is cut off")?;
    if blake3::hash(&bytes[..end]).as_bytes() != &bytes[end..] {
        return Err("its digest is another".into());
    }
    bytes.truncate(end);
    Ok(bytes)
}
