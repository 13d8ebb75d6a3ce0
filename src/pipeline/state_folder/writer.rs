//! Writes the folder, on a thread of its own.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::SystemTime;

use candle_core::DType;
use serde_json::Value;
use tokio::sync::oneshot;

use super::files::{
    DIGEST_BYTES, Header, StateKind, StateLimits, StateValue, file_name, files_of, read_owner,
};
use crate::pipeline::state_index::StateIndex;
use crate::pipeline::tensor_bytes::tensor_bytes;

/// The folder of files that are not complete yet.
pub(super) const TEMPORARY: &str = "tmp";
/// The folder of documents.
pub(super) const DOCUMENTS: &str = "documents";

#[derive(Debug)]
pub(super) enum Job {
    Put(StateKind, Header, StateValue),
    Remove(StateKind, String),
    Touch(StateKind, String),
    Document(&'static str, Value),
    Flush(oneshot::Sender<()>),
}

/// Does what it is told, one thing after the other.
pub(super) struct Writer {
    path: PathBuf,
    /// Counts files, to name the next one.
    written: u64,
    uploads: StateIndex,
    activations: StateIndex,
}

impl Writer {
    /// Creates a writer for the folder at `path`, which counts what is there.
    pub(super) fn new(path: &Path, limits: StateLimits) -> Self {
        let mut writer = Self {
            path: path.to_owned(),
            written: 0,
            uploads: StateIndex::new(limits.uploads),
            activations: StateIndex::new(limits.activations),
        };
        StateKind::ALL.iter().for_each(|kind| writer.count(*kind));
        writer
    }

    /// Works until the folder is dropped.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Job>) {
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
                let message = "--state could not be written: it is not kept for a restart";
                tracing::error!(%error, "{message}");
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
        // In the order of their use.
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
        // The name is a digest of what it is: the same again is used again.
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
        // It would push out everything else and have no room all the same.
        if !self.index(kind).fits(bytes) {
            return Ok(());
        }
        // Before the file is written, so that the folder never exceeds its bound.
        while let Some(victim) = self.index(kind).victim(bytes) {
            self.remove(kind, &victim)?;
        }
        // Counted only once it is there: a write that failed takes no room.
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
        // A name of its own: a file that could not be finished is never written on.
        self.written += 1;
        // Beside its place and not in it: half a file is never found under a name.
        let temporary = self.path.join(TEMPORARY).join(self.written.to_string());
        let written = write_whole(&temporary, parts).and_then(|()| fs::rename(&temporary, place));
        if written.is_err() {
            // Now, and not at the next start: a disk that is full would get fuller with each try.
            // Where it cannot be removed either, the error that is told is that of the write.
            let _ = fs::remove_file(&temporary);
        }
        written?;
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

/// Writes a file and its digest, and waits until they are on the disk.
fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
        file.write_all(part)?;
    }
    file.write_all(hasher.finalize().as_bytes())?;
    // Its bytes before its name, or a crash could leave the name of an empty file.
    file.sync_all()
}
