//! Bytes that the server keeps between requests: uploaded pictures and captured activations. Each
//! store drops what was used least recently when it is full.

use std::sync::Arc;

use candle_core::DType;

use super::error::Error;
use crate::engine::ByteCache;
use crate::nn::{HostTensor, digest as tensor_digest};

/// The bytes of a file.
pub type Bytes = Arc<[u8]>;

/// Keeps pictures by tenant and BLAKE3 of their bytes, so that no client sees another's.
#[derive(Debug)]
pub struct Uploads(ByteCache<(String, String), Bytes>);

impl Uploads {
    /// Creates a store that holds `bytes` at most.
    pub fn new(bytes: u64) -> Self {
        Self(ByteCache::new(1024, bytes, |(tenant, handle), picture| {
            (tenant.len() + handle.len() + picture.len()) as u64
        }))
    }

    /// Returns the picture that `tenant` uploaded under `handle`, if it is still kept.
    pub fn get(&self, tenant: &str, handle: &str) -> Option<Bytes> {
        self.0.get(&(tenant.to_owned(), handle.to_owned()))
    }

    /// Keeps a picture and returns its handle.
    pub fn put(&self, tenant: &str, bytes: Bytes) -> String {
        let handle = digest(&bytes);
        self.0.insert((tenant.to_owned(), handle.clone()), bytes);
        handle
    }
}

/// Returns the BLAKE3 (hex) of a picture's bytes, which is its handle.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Keeps activations by the digest of their shape and values.
#[derive(Debug)]
pub struct Activations(ByteCache<String, HostTensor>);

impl Activations {
    /// Creates a store that holds `bytes` at most.
    pub fn new(bytes: u64) -> Self {
        Self(ByteCache::new(1024, bytes, |_, value| {
            (value.elem_count() * value.dtype().size_in_bytes()) as u64
        }))
    }

    /// Returns the activations of that handle, if they are still kept.
    pub fn get(&self, handle: &str) -> Option<HostTensor> {
        self.0.get(handle)
    }

    /// Keeps `values` and returns their handle.
    pub fn put(&self, values: HostTensor) -> Result<String, Error> {
        let mut hasher = blake3::Hasher::new();
        for &size in values.dims() {
            hasher.update(&(size as u32).to_le_bytes());
        }
        tensor_digest::update(&mut hasher, &values).map_err(crate::model::Error::from)?;
        let handle = hasher.finalize().to_hex().to_string();
        self.0.insert(handle.clone(), values);
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
