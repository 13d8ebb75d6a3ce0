//! Files that commands read and write; every error names the file.

use std::path::{Path, PathBuf};

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| named(path, &e))
}

/// Reads a text file.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| named(path, &e))
}

/// Writes a file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|e| named(path, &e))
}

/// Creates a folder and those above it, unless they exist.
pub(super) fn create_folder(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path).map_err(|e| named(path, &e))
}

/// Puts the name of a file before an error.
pub(super) fn named(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// Returns `text` as the name of a file of one of `kinds`, which are endings without their dot.
pub(super) fn of_kind(text: &str, kinds: &[&str]) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let kind = path.extension().and_then(|kind| kind.to_str());
    if kind.is_some_and(|kind| kinds.contains(&kind)) {
        return Ok(path);
    }
    let kinds = kinds.join(", .");
    Err(format!("a name that ends in one of .{kinds} is needed"))
}

/// Writes a file at once or not at all: whoever reads meanwhile sees what was there before.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    write(Path::new(&part), bytes)?;
    std::fs::rename(&part, path).map_err(|e| named(path, &e))
}
