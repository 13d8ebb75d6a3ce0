//! Files that commands read and write; every error names the file.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write as _};
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

/// A file that is written piece by piece.
pub(super) struct Pieces {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Pieces {
    /// Creates the file, or empties it.
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|e| named(path, &e))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.file.write_all(bytes);
        written.map_err(|e| named(&self.path, &e))
    }

    /// Writes what is still in memory. Without it a full disk would not be told of: what is left
    /// when this is dropped is written without a word.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        self.file.flush().map_err(|e| named(&self.path, &e))
    }
}

/// Creates a folder and those above it, unless they exist.
pub(super) fn create_folder(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path).map_err(|e| named(path, &e))
}

/// Puts the name of a file before an error.
pub(super) fn named(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// Finds the files in a folder, and in those within, that have another one beside them: the same
/// name with `ending` behind it.
pub(super) fn beside(folder: &Path, ending: &str) -> Result<BTreeSet<PathBuf>, String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(|e| named(folder, &e))? {
        let entry = entry.map_err(|e| named(folder, &e))?;
        let name = entry.file_name();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(beside(&entry.path(), ending)?);
        } else if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(ending)) {
            found.insert(folder.join(name));
        }
    }
    Ok(found)
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
    // Beside the file: a rename is one step only within a file system.
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    write(Path::new(&part), bytes)?;
    std::fs::rename(&part, path).map_err(|e| named(path, &e))
}

/// Fails if a file cannot be written. Nothing is left of a file that was not there.
pub(super) fn check_writable(path: &Path) -> Result<(), String> {
    let tried = match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => Err(ErrorKind::IsADirectory.into()),
        // Opened to append: nothing of it is lost if the command fails before it writes.
        Ok(about) if about.is_file() => OpenOptions::new().append(true).open(path).map(drop),
        // A pipe or a device: opening one may wait for its reader.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => match std::fs::read_link(path) {
            // A link to a file that is not there yet, which will be created.
            Ok(target) => return check_writable(&path.with_file_name(target)),
            Err(_) => create_and_remove(path),
        },
        Err(error) => Err(error),
    };
    tried.map_err(|e| named(path, &e))
}

/// Fails if a folder, which may not be there yet, cannot be written to. Nothing is left of it.
pub(super) fn check_folder(path: &Path) -> Result<(), String> {
    let tried = match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => create_and_remove(&path.join(".scotoma-check")),
        Ok(_) => Err(ErrorKind::NotADirectory.into()),
        Err(_) => match path.parent() {
            Some(above) if above.as_os_str().is_empty() => return check_folder(Path::new(".")),
            Some(above) => return check_folder(above),
            None => Ok(()),
        },
    };
    tried.map_err(|e| named(path, &e))
}

/// Only creating a file shows whether its folder lets us; `create_new` never takes another's file.
fn create_and_remove(path: &Path) -> std::io::Result<()> {
    let created = OpenOptions::new().write(true).create_new(true).open(path);
    created.and_then(|_| std::fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        check_writable(&file).unwrap();
        assert!(!file.exists());
        write(&file, b"kept").unwrap();
        check_writable(&file).unwrap();
        assert_eq!(read(&file).unwrap(), b"kept");
        for path in [folder.path().join("none/a.csv"), folder.path().into()] {
            let error = check_writable(&path).unwrap_err();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
        let link = folder.path().join("link.csv");
        std::os::unix::fs::symlink("later.csv", &link).unwrap();
        check_writable(&link).unwrap();
        std::fs::remove_file(&link).unwrap();
        check_folder(&folder.path().join("new/one")).unwrap();
        check_folder(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        for path in [file.join("report"), file] {
            let error = check_folder(&path).unwrap_err();
            assert!(error.contains("a.csv: not a directory"), "{error}");
        }
    }
}
