//! Pictures that clients have sent to be named later.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// The bytes of a file.
pub(super) type Bytes = Arc<[u8]>;

/// Pictures by tenant and BLAKE3 of their bytes; the least used make room.
#[derive(Debug)]
pub(super) struct Uploads(Cache<(String, String), Bytes, Weight>);

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<(String, String), Bytes> for Weight {
    fn weight(&self, (tenant, handle): &(String, String), bytes: &Bytes) -> u64 {
        (tenant.len() + handle.len() + bytes.len()) as u64
    }
}

impl Uploads {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Cache::with_weighter(1024, bytes, Weight))
    }

    pub(super) fn get(&self, tenant: &str, handle: &str) -> Option<Bytes> {
        self.0.get(&(tenant.to_owned(), handle.to_owned()))
    }

    /// Keeps a picture and returns its handle.
    pub(super) fn put(&self, tenant: &str, bytes: Bytes) -> String {
        let handle = blake3::hash(&bytes).to_hex().to_string();
        self.0.insert((tenant.to_owned(), handle.clone()), bytes);
        handle
    }
}
