//! Bytes that the server keeps between requests: uploaded pictures and captured activations. They
//! belong to whoever sent or captured them; an owner whose share is full loses what it has used least
//! recently.

use std::sync::Arc;

use candle_core::DType;

use super::error::Error;
use super::owned_store::OwnedStore;
use crate::nn::{HostTensor, digest as tensor_digest};

/// The bytes of a file.
pub type Bytes = Arc<[u8]>;

/// Keeps pictures by owner and BLAKE3 of their bytes.
#[derive(Debug)]
pub struct Uploads(pub(super) OwnedStore<Bytes>);

impl Uploads {
    /// Creates a store that holds `bytes` at most.
    pub fn new(bytes: u64) -> Self {
        Self(OwnedStore::new(bytes))
    }

    /// Returns the picture that `owner` uploaded under `handle`, if it is still kept.
    pub fn get(&self, owner: &str, handle: &str) -> Option<Bytes> {
        self.0.get(owner, handle)
    }

    /// Keeps a picture and returns its handle.
    pub fn put(&self, owner: &str, bytes: Bytes) -> Result<String, Error> {
        let (handle, size) = (digest(&bytes), bytes.len() as u64);
        let put = self.0.put(owner, &handle, bytes, size);
        put.map_err(|too_large| Error::store_too_small("data", too_large))?;
        Ok(handle)
    }
}

/// Returns the BLAKE3 (hex) of a picture's bytes, which is its handle.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Keeps activations by owner and the digest of their shape and values.
#[derive(Debug)]
pub struct Activations(pub(super) OwnedStore<HostTensor>);

impl Activations {
    /// Creates a store that holds `bytes` at most.
    pub fn new(bytes: u64) -> Self {
        Self(OwnedStore::new(bytes))
    }

    /// Returns the activations that `owner` keeps under that handle, if they are still there.
    pub fn get(&self, owner: &str, handle: &str) -> Option<HostTensor> {
        self.0.get(owner, handle)
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
        let put = self.0.put(owner, &handle, values, bytes);
        put.map_err(|too_large| Error::store_too_small("targets", too_large))?;
        Ok(handle)
    }
}

/// Returns the numbers of a tensor as little-endian bytes of `dtype`.
pub(super) fn tensor_bytes(values: &HostTensor, dtype: DType) -> Result<Vec<u8>, Error> {
    let flat = values
        .to_dtype(dtype)
        .and_then(|v| v.flatten_all())
        .map_err(crate::model::Error::from)?;
    let bytes = match dtype {
        DType::BF16 => flat
            .to_vec1::<half::bf16>()
            .map(|v| v.into_iter().flat_map(half::bf16::to_le_bytes).collect()),
        DType::F16 => flat
            .to_vec1::<half::f16>()
            .map(|v| v.into_iter().flat_map(half::f16::to_le_bytes).collect()),
        _ => flat
            .to_vec1::<f32>()
            .map(|v| v.into_iter().flat_map(f32::to_le_bytes).collect()),
    };
    Ok(bytes.map_err(crate::model::Error::from)?)
}
