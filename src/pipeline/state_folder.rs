//! A folder that keeps what users would miss after a restart: uploads, kept activations, and small
//! documents such as the list of models that clients have loaded.
//!
//! An entry is a file: a header of one line (JSON), its bytes, and the BLAKE3 of both. It is written
//! beside its place, synced and renamed, so that it is there as a whole or not at all. Reading checks
//! the digest; what is damaged is dropped and never served. The files of a kind have a bound, which
//! is that of the store in memory.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::SystemTime;

use candle_core::DType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use super::state_index::StateIndex;
use super::tensor_bytes::tensor_bytes;
use crate::nn::HostTensor;

/// The format of folder and entries; a reader of another one leaves them alone.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";
const TEMPORARY: &str = "tmp";
const DOCUMENTS: &str = "documents";
/// Bounds the header of an entry: two names and a shape.
const MAX_HEADER_BYTES: usize = 1 << 16;
/// Bounds a document.
const MAX_DOCUMENT_BYTES: u64 = 16 << 20;
const DIGEST_BYTES: usize = blake3::OUT_LEN;

/// Says what an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// A picture.
    Uploads,
    /// Activations, f32.
    Activations,
}

impl StateKind {
    const ALL: [Self; 2] = [Self::Uploads, Self::Activations];

    fn folder(self) -> &'static str {
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
struct Header {
    format: u32,
    /// Names whom it belongs to.
    owner: String,
    /// Names it in requests.
    handle: String,
    /// Gives the shape of activations; empty otherwise.
    shape: Vec<usize>,
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
    fn new(path: &Path, reason: impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

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

#[derive(Debug)]
enum Job {
    Put(StateKind, Header, StateValue),
    Remove(StateKind, String),
    Touch(StateKind, String),
    Document(&'static str, Value),
    Flush(oneshot::Sender<()>),
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
        let lock = lock(path)?;
        check_format(path)?;
        // What a crash left half written.
        let _ = fs::remove_dir_all(path.join(TEMPORARY));
        let folders = StateKind::ALL.map(StateKind::folder);
        for name in folders.iter().chain(&[TEMPORARY, DOCUMENTS]) {
            builder.create(path.join(name)).map_err(failed)?;
        }
        let (jobs, inbox) = mpsc::channel();
        let mut writer = Writer {
            path: path.to_owned(),
            written: 0,
            uploads: StateIndex::new(limits.uploads),
            activations: StateIndex::new(limits.activations),
        };
        StateKind::ALL.iter().for_each(|kind| writer.count(*kind));
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
        files.sort();
        files
            .into_iter()
            .filter_map(move |(_, path)| match read_entry(&path, max_bytes) {
                Ok(entry) => Some(entry),
                Err(reason) => {
                    let shown = path.display();
                    tracing::warn!(path = %shown, reason, "an entry of --state is dropped");
                    let name = path.file_name().unwrap_or_default();
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

/// Lists the files of a folder with the times when they were used.
fn files_of(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| {
        let used = entry.metadata().ok()?.modified().ok()?;
        Some((used, entry.path()))
    });
    files.collect()
}

/// Returns the name of an entry's file, of which owner and handle are no part that could be a path.
fn file_name(owner: &str, handle: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(owner.len() as u64).to_le_bytes());
    hasher.update(owner.as_bytes());
    hasher.update(handle.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// Reads whom an entry says that it belongs to.
fn read_owner(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?.take(MAX_HEADER_BYTES as u64);
    let mut line = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut line).ok()?;
    let header: Header = serde_json::from_slice(&line).ok()?;
    Some(header.owner)
}

fn read_entry(path: &Path, max_bytes: u64) -> Result<StateEntry, String> {
    let mut bytes = read_checked(path, max_bytes.saturating_add(MAX_HEADER_BYTES as u64))?;
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
fn read_checked(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
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
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let file = File::open(path).map_err(|e| e.to_string())?;
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

/// Writes on the thread of its own.
struct Writer {
    path: PathBuf,
    /// Counts files, to name the next one.
    written: u64,
    uploads: StateIndex,
    activations: StateIndex,
}

impl Writer {
    fn run(mut self, inbox: &mpsc::Receiver<Job>) {
        // Until the folder is dropped.
        while let Ok(job) = inbox.recv() {
            let done = match job {
                Job::Put(kind, header, value) => self.put(kind, &header, &value),
                Job::Remove(kind, name) => self.remove(kind, &name),
                Job::Touch(kind, name) => self.touch(kind, &name),
                Job::Document(name, document) => self.document(name, &document),
                Job::Flush(done) => {
                    // Nobody may wait any more.
                    let _ = done.send(());
                    Ok(())
                }
            };
            if let Err(error) = done {
                tracing::error!(%error, "--state could not be written: it is not kept for a restart");
            }
        }
    }

    fn index(&mut self, kind: StateKind) -> &mut StateIndex {
        match kind {
            StateKind::Uploads => &mut self.uploads,
            StateKind::Activations => &mut self.activations,
        }
    }

    /// Counts the files that are there.
    fn count(&mut self, kind: StateKind) {
        let mut files = files_of(&self.path.join(kind.folder()));
        files.sort();
        for (_, path) in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let bytes = path.metadata().map_or(0, |metadata| metadata.len());
            // One without a header is counted, too, until it is dropped.
            let owner = read_owner(&path).unwrap_or_default();
            self.index(kind).add(&name, &owner, bytes);
        }
    }

    fn put(&mut self, kind: StateKind, header: &Header, value: &StateValue) -> io::Result<()> {
        let name = file_name(&header.owner, &header.handle);
        if self.index(kind).touch(&name) {
            return self.touch(kind, &name);
        }
        let mut line = serde_json::to_vec(header)?;
        line.push(b'\n');
        match value {
            StateValue::Picture(bytes) => self.keep(kind, &header.owner, &name, &[&line, bytes]),
            StateValue::Activations(values) => {
                let bytes = tensor_bytes(values, DType::F32).map_err(io::Error::other)?;
                self.keep(kind, &header.owner, &name, &[&line, &bytes])
            }
        }
    }

    /// Makes room for a file and writes it.
    fn keep(
        &mut self,
        kind: StateKind,
        owner: &str,
        name: &str,
        parts: &[&[u8]],
    ) -> io::Result<()> {
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>() + DIGEST_BYTES;
        let bytes = bytes as u64;
        if !self.index(kind).fits(bytes) {
            return Ok(());
        }
        while let Some(victim) = self.index(kind).victim(bytes) {
            self.remove(kind, &victim)?;
        }
        self.write(&self.place(kind, name), parts)?;
        self.index(kind).add(name, owner, bytes);
        Ok(())
    }

    fn document(&mut self, name: &str, document: &Value) -> io::Result<()> {
        let place = self.path.join(DOCUMENTS).join(name);
        self.write(&place, &[&serde_json::to_vec(document)?])
    }

    fn place(&self, kind: StateKind, name: &str) -> PathBuf {
        self.path.join(kind.folder()).join(name)
    }

    /// Writes a file and its digest, as a whole or not at all.
    fn write(&mut self, place: &Path, parts: &[&[u8]]) -> io::Result<()> {
        self.written += 1;
        let temporary = self.path.join(TEMPORARY).join(self.written.to_string());
        let mut file = File::create(&temporary)?;
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
            file.write_all(part)?;
        }
        file.write_all(hasher.finalize().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, place)?;
        // The name, too, has to survive.
        let folder = place.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }

    fn remove(&mut self, kind: StateKind, name: &str) -> io::Result<()> {
        // Even where it cannot be removed: it would be chosen again and again.
        self.index(kind).remove(name);
        match fs::remove_file(self.place(kind, name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn touch(&mut self, kind: StateKind, name: &str) -> io::Result<()> {
        self.index(kind).touch(name);
        match File::options().append(true).open(self.place(kind, name)) {
            Ok(file) => file.set_modified(SystemTime::now()),
            // It has made room meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
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
