//! A file's bytes without reading them: the one place where a file is mapped.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;

use super::Error;

/// Says what stands in place of a file, and what brings it.
pub const LFS_POINTER: &str = "a Git LFS pointer stands in place of the file, which was not \
                               fetched; `git lfs pull` in its folder fetches it";

/// Tells whether these are not a file's bytes, but what Git puts there where Git LFS is not installed.
pub fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"version https://git-lfs.github.com/spec/")
}

/// Bytes that stand in a file, or in the binary.
#[derive(Debug)]
pub(super) enum Bytes {
    Mapped(memmap2::Mmap),
    Embedded(&'static [u8]),
}

impl Bytes {
    /// Maps `path` read-only.
    pub(super) fn map(path: &Path) -> Result<Self, Error> {
        Self::map_file(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
    }

    fn map_file(path: &Path) -> std::io::Result<Self> {
        // Opening a named pipe would wait for a writer, for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        let file = File::open(path)?;
        // An empty map is an error of the system's.
        if file.metadata()?.len() == 0 {
            return Ok(Self::Embedded(&[]));
        }
        let mapped = Self::mapped(&file)?;
        if is_lfs_pointer(&mapped) {
            return Err(std::io::Error::other(LFS_POINTER));
        }
        Ok(mapped)
    }

    fn mapped(file: &File) -> std::io::Result<Self> {
        // SAFETY: the map is read-only and private to this process. Whoever truncates a checkpoint
        // while it is being loaded gets a SIGBUS, as with every mapped reader; nothing is read from
        // it after loading.
        unsafe { memmap2::Mmap::map(file) }.map(Self::Mapped)
    }

    /// Lets go of the memory that some bytes take: a model that is loaded would be in it twice. They
    /// are read from the file again where somebody looks.
    pub(super) fn release(&self, range: &Range<usize>) {
        let Self::Mapped(map) = self else { return };
        #[cfg(unix)]
        {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the map is read-only and has a file behind it, so that its pages come back with
            // the bytes that they had. Nothing is lost where the system does not listen.
            let _ = unsafe { map.unchecked_advise_range(advice, range.start, range.len()) };
        }
        #[cfg(not(unix))]
        let _ = (map, range);
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Embedded(bytes) => bytes,
        }
    }
}
