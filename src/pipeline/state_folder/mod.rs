//! A folder that keeps what users would miss after a restart: uploads, kept activations, and small
//! documents such as the list of models that clients have loaded.
//!
//! An entry is a file: a header of one line (JSON), its bytes, and the BLAKE3 of both. It is written
//! beside its place, synced and renamed, so that it is there as a whole or not at all. Reading checks
//! the digest; what is damaged is dropped and never served. The files of a kind have a bound, which
//! is that of the store in memory.

mod files;
mod writer;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::oneshot;

use files::{FORMAT, Header, file_name, files_of, read_checked, read_entry};
pub use files::{StateEntry, StateFolderError, StateKind, StateLimits, StateValue};
use writer::{DOCUMENTS, Job, TEMPORARY, Writer};

const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";
/// Bounds a document.
const MAX_DOCUMENT_BYTES: u64 = 16 << 20;

/// A folder of one server. Writing is done on a thread of its own, in the order of the calls.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// Is `None` once the folder is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    /// Is locked until the folder is closed.
    lock: File,
}

impl StateFolder {
    /// Opens the folder at `path`, which is made where it is not there.
    ///
    /// # Errors
    /// A folder that cannot be written, that another server uses, or whose format is another.
    pub fn open(path: &Path, limits: StateLimits) -> Result<Self, StateFolderError> {
        let failed = |e: io::Error| StateFolderError::new(path, e);
        let mut builder = DirBuilder::new();
        // What is in it belongs to clients, and is nobody else's.
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(failed)?;
        // Before anything is read or removed.
        let lock = lock(path)?;
        check_format(path)?;
        // What a crash left half written.
        let _ = fs::remove_dir_all(path.join(TEMPORARY));
        let folders = StateKind::ALL.map(StateKind::folder);
        for name in folders.iter().chain(&[TEMPORARY, DOCUMENTS]) {
            builder.create(path.join(name)).map_err(failed)?;
        }
        // Unbounded: whoever keeps a value waits in `flush` before it answers.
        let (jobs, inbox) = mpsc::channel();
        let writer = Writer::new(path, limits);
        let start = std::thread::Builder::new().name("state".into());
        let writer = start.spawn(move || writer.run(&inbox)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            jobs: Some(jobs),
            writer: Some(writer),
            lock,
        })
    }

    /// Returns the entries of a kind, those first that were used least recently. What is damaged, or
    /// larger than `max_bytes`, is dropped with a warning.
    pub fn entries(
        &self,
        kind: StateKind,
        max_bytes: u64,
    ) -> impl Iterator<Item = StateEntry> + '_ {
        let mut files = files_of(&self.path.join(kind.folder()));
        // What was used last is read last, and stays where not all have room.
        files.sort();
        files
            .into_iter()
            .filter_map(move |(_, path)| match read_entry(&path, max_bytes) {
                Ok(entry) => Some(entry),
                Err(reason) => {
                    let shown = path.display();
                    tracing::warn!(path = %shown, reason, "an entry of --state is dropped");
                    let name = path.file_name().unwrap_or_default();
                    // Removed by the thread that writes, which counts what is there.
                    self.send(Job::Remove(kind, name.to_string_lossy().into_owned()));
                    None
                }
            })
    }

    /// Writes an entry, unless it is there.
    pub fn put(&self, kind: StateKind, owner: &str, handle: &str, value: StateValue) {
        let shape = match &value {
            StateValue::Picture(_) => Vec::new(),
            StateValue::Activations(values) => values.dims().to_vec(),
        };
        let header = Header {
            format: FORMAT,
            owner: owner.to_owned(),
            handle: handle.to_owned(),
            shape,
        };
        self.send(Job::Put(kind, header, value));
    }

    /// Removes an entry.
    pub fn remove(&self, kind: StateKind, owner: &str, handle: &str) {
        self.send(Job::Remove(kind, file_name(owner, handle)));
    }

    /// Marks an entry as used.
    pub fn touch(&self, kind: StateKind, owner: &str, handle: &str) {
        self.send(Job::Touch(kind, file_name(owner, handle)));
    }

    /// Writes a document in place of the one of that name.
    pub fn write_document(&self, name: &'static str, document: Value) {
        self.send(Job::Document(name, document));
    }

    /// Reads a document; `None` where there is none. One that is damaged is dropped with a warning.
    pub fn document(&self, name: &str) -> Option<Value> {
        let path = self.path.join(DOCUMENTS).join(name);
        let read = read_checked(&path, MAX_DOCUMENT_BYTES)
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
        match read {
            Ok(document) => Some(document),
            Err(_) if !path.exists() => None,
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "a document of --state is dropped");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Waits until all that was asked for before is on the disk.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.send(Job::Flush(done));
        // Where the thread has ended, nothing more is written.
        let _ = flushed.await;
    }

    /// Writes what is left and lets another server have the folder.
    pub async fn close(&self) {
        self.flush().await;
        // The end of the process does it as well.
        // Behind the last write: the next server must find all of it.
        let _ = self.lock.unlock();
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends with the folder.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for StateFolder {
    /// Writes what is left, before the lock goes.
    fn drop(&mut self) {
        // The writer ends once its inbox has no sender, and what was sent is done by then.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // It has said what went wrong.
            let _ = writer.join();
        }
    }
}

fn lock(path: &Path) -> Result<File, StateFolderError> {
    let path = path.join(LOCK_FILE);
    let failed = |e: io::Error| StateFolderError::new(&path, e);
    // Not truncated: the file is another server's until it is locked.
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let reason = "another server uses this folder; each needs one of its own";
            Err(StateFolderError::new(&path, reason))
        }
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

fn check_format(path: &Path) -> Result<(), StateFolderError> {
    let path = path.join(FORMAT_FILE);
    let own = format!("scotoma-state {FORMAT}\n");
    match fs::read_to_string(&path) {
        Ok(text) if text == own => Ok(()),
        Ok(text) => {
            let reason = format!("{:?}; this server reads {:?}", text.trim(), own.trim());
            Err(StateFolderError::new(&path, reason))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::write(&path, own).map_err(|e| StateFolderError::new(&path, e))
        }
        Err(e) => Err(StateFolderError::new(&path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: StateLimits = StateLimits {
        uploads: 1000,
        activations: 1000,
    };

    fn picture(text: &str) -> StateValue {
        StateValue::Picture(text.as_bytes().into())
    }

    fn entries(folder: &StateFolder) -> Vec<(String, Vec<u8>)> {
        let entries = folder.entries(StateKind::Uploads, 1 << 20);
        entries.map(|entry| (entry.owner, entry.bytes)).collect()
    }

    #[tokio::test]
    async fn entries_are_whole_or_not_there() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path(), LIMITS).unwrap();
        for owner in ["alice", "bob"] {
            folder.put(StateKind::Uploads, owner, "handle", picture(owner));
        }
        folder.put(StateKind::Uploads, "carol", "handle", picture("gone"));
        folder.remove(StateKind::Uploads, "carol", "handle");
        folder.touch(StateKind::Uploads, "alice", "handle");
        folder.flush().await;
        let error = StateFolder::open(place.path(), LIMITS)
            .unwrap_err()
            .to_string();
        assert!(error.contains("another server uses this folder"), "{error}");
        drop(folder);
        let folder = StateFolder::open(place.path(), LIMITS).unwrap();
        let found = entries(&folder);
        let expected = ["bob", "alice"].map(|name| (name.to_owned(), name.into()));
        assert_eq!(found, expected, "the least recently used one first");
        // A flipped bit, a file that is cut off, one that was moved.
        let path = |owner: &str| {
            place
                .path()
                .join("uploads")
                .join(file_name(owner, "handle"))
        };
        let mut bytes = fs::read(path("alice")).unwrap();
        fs::copy(path("bob"), path("mallory")).unwrap();
        bytes[3] ^= 1;
        fs::write(path("alice"), &bytes).unwrap();
        fs::write(path("eve"), &bytes[..7]).unwrap();
        assert_eq!(entries(&folder).len(), 1);
        folder.flush().await;
        assert!(!path("alice").exists() && !path("mallory").exists() && !path("eve").exists());
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path(), LIMITS).unwrap();
        // The bytes are written, and have nowhere to go.
        fs::remove_dir(place.path().join("uploads")).unwrap();
        folder.put(StateKind::Uploads, "alice", "handle", picture("lost"));
        folder.flush().await;
        let parts = fs::read_dir(place.path().join(TEMPORARY)).unwrap();
        assert_eq!(parts.count(), 0);
    }

    #[tokio::test]
    async fn the_folder_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path(), LIMITS).unwrap();
        let large = "x".repeat(300);
        folder.put(StateKind::Uploads, "bob", "small", picture("small"));
        for i in 0..9 {
            folder.put(StateKind::Uploads, "alice", &i.to_string(), picture(&large));
        }
        let too_large = "x".repeat(1000);
        folder.put(
            StateKind::Uploads,
            "alice",
            "too large",
            picture(&too_large),
        );
        folder.flush().await;
        let mut kept: Vec<String> = folder
            .entries(StateKind::Uploads, 1000)
            .map(|entry| entry.handle)
            .collect();
        // Files that are written within one tick of the clock have no order.
        kept.sort();
        assert_eq!(kept, ["7", "8", "small"]);
    }

    #[tokio::test]
    async fn documents_are_checked() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path(), LIMITS).unwrap();
        assert_eq!(folder.document("models"), None);
        folder.write_document("models", serde_json::json!(["a"]));
        folder.flush().await;
        assert_eq!(folder.document("models"), Some(serde_json::json!(["a"])));
        let path = place.path().join("documents/models");
        fs::write(&path, "[]").unwrap();
        assert_eq!(folder.document("models"), None);
        assert!(!path.exists());
        drop(folder);
        fs::write(place.path().join("format"), "scotoma-state 2\n").unwrap();
        let error = StateFolder::open(place.path(), LIMITS)
            .unwrap_err()
            .to_string();
        assert!(error.contains("this server reads"), "{error}");
    }
}
