//! Bytes that the server keeps between requests: uploaded pictures and captured activations. They
//! belong to whoever sent or captured them; an owner whose share is full loses what it has used least
//! recently.

use std::sync::Arc;

use candle_core::DType;

use super::error::Error;
use super::owned_store::OwnedStore;
use super::state_folder::{StateEntry, StateFolder, StateKind, StateValue};
use crate::nn::{HostTensor, digest as tensor_digest};

/// The bytes of a file.
pub type Bytes = Arc<[u8]>;

/// Keeps pictures by owner and BLAKE3 of their bytes.
#[derive(Debug)]
pub struct Uploads {
    pub(super) store: OwnedStore<Bytes>,
    /// Keeps them for the next start, too.
    folder: Option<Arc<StateFolder>>,
}

impl Uploads {
    /// Creates a store that holds `bytes` at most.
    pub fn new(bytes: u64) -> Self {
        Self {
            store: OwnedStore::new(bytes),
            folder: None,
        }
    }

    /// Takes back the pictures of `folder`, and keeps there what comes.
    pub(super) fn keep_in(&mut self, folder: &Arc<StateFolder>) {
        for entry in folder.entries(StateKind::Uploads, self.store.max_bytes()) {
            // Under the digest of what was read: an entry whose bytes are others comes to another
            // handle.
            let (owner, handle) = (entry.owner, entry.handle);
            let restored = self.put(&owner, entry.bytes.into());
            // Its owner has no key any more, or less room.
            if restored.is_ok_and(|own| own == handle) {
                continue;
            }
            tracing::warn!(owner, handle, "a picture of --state is dropped");
            folder.remove(StateKind::Uploads, &owner, &handle);
        }
        // Only now: what came from the folder need not be written there again.
        self.folder = Some(folder.clone());
    }

    /// Returns the picture that `owner` uploaded under `handle`, if it is still kept.
    pub fn get(&self, owner: &str, handle: &str) -> Option<Bytes> {
        let found = self.store.get(owner, handle)?;
        if let Some(folder) = &self.folder {
            // The order of use outlives the process, too.
            folder.touch(StateKind::Uploads, owner, handle);
        }
        Some(found)
    }

    /// Keeps a picture and returns its handle.
    pub fn put(&self, owner: &str, bytes: Bytes) -> Result<String, Error> {
        let (handle, size) = (digest(&bytes), bytes.len() as u64);
        // Memory first: what has no room there is not written to the disk.
        let put = self.store.put(owner, &handle, bytes.clone(), size);
        put.map_err(|too_large| Error::store_too_small("data", too_large))?;
        if let Some(folder) = &self.folder {
            let picture = StateValue::Picture(bytes);
            folder.put(StateKind::Uploads, owner, &handle, picture);
        }
        Ok(handle)
    }
}

/// Returns the BLAKE3 (hex) of a picture's bytes, which is its handle.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Keeps activations by owner and the digest of their shape and values.
#[derive(Debug)]
pub struct Activations {
    pub(super) store: OwnedStore<HostTensor>,
    /// Keeps them for the next start, too.
    folder: Option<Arc<StateFolder>>,
}

impl Activations {
    /// Creates a store that holds `bytes` at most.
    pub fn new(bytes: u64) -> Self {
        Self {
            store: OwnedStore::new(bytes),
            folder: None,
        }
    }

    /// Takes back the activations of `folder`, and keeps there what comes.
    pub(super) fn keep_in(&mut self, folder: &Arc<StateFolder>) {
        for entry in folder.entries(StateKind::Activations, self.store.max_bytes()) {
            // As for pictures: under the digest of what was read.
            let restored = numbers(&entry).and_then(|values| self.put(&entry.owner, values).ok());
            let (owner, handle) = (entry.owner, entry.handle);
            if restored.is_some_and(|own| own == handle) {
                continue;
            }
            tracing::warn!(owner, handle, "activations of --state are dropped");
            folder.remove(StateKind::Activations, &owner, &handle);
        }
        self.folder = Some(folder.clone());
    }

    /// Returns the activations that `owner` keeps under that handle, if they are still there.
    pub fn get(&self, owner: &str, handle: &str) -> Option<HostTensor> {
        let found = self.store.get(owner, handle)?;
        if let Some(folder) = &self.folder {
            folder.touch(StateKind::Activations, owner, handle);
        }
        Some(found)
    }

    /// Keeps `values` and returns their handle.
    pub fn put(&self, owner: &str, values: HostTensor) -> Result<String, Error> {
        let mut hasher = blake3::Hasher::new();
        // The shape, too: values of 2 x 3 and of 3 x 2 are not the same.
        for &size in values.dims() {
            hasher.update(&(size as u32).to_le_bytes());
        }
        tensor_digest::update(&mut hasher, &values).map_err(crate::model::Error::from)?;
        let handle = hasher.finalize().to_hex().to_string();
        let bytes = (values.elem_count() * values.dtype().size_in_bytes()) as u64;
        let put = self.store.put(owner, &handle, values.clone(), bytes);
        put.map_err(|too_large| Error::store_too_small("targets", too_large))?;
        if let Some(folder) = &self.folder {
            let values = StateValue::Activations(values);
            folder.put(StateKind::Activations, owner, &handle, values);
        }
        Ok(handle)
    }
}

/// Returns the numbers of an entry; `None` where they are not as many as its shape says.
fn numbers(entry: &StateEntry) -> Option<HostTensor> {
    let one = DType::F32.size_in_bytes();
    // Checked: a header may claim any shape, whose product overflows.
    let mut sizes = entry.shape.iter();
    let bytes = sizes.try_fold(one, |product, size| product.checked_mul(*size))?;
    if bytes != entry.bytes.len() {
        return None;
    }
    HostTensor::from_bytes(&entry.bytes, DType::F32, &entry.shape).ok()
}
