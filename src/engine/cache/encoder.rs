//! The encoder cache: pictures by what was done to them, and their features before the projector.

use std::sync::Arc;

use super::bytes::ByteCache;
use crate::engine::encoder::{EncodedImage, EncoderInput, TowerFeatures};

/// Encoded pictures and features of the tower, each with half of the bytes.
pub(in crate::engine) struct EncoderCache {
    images: ByteCache<blake3::Hash, Arc<EncodedImage>>,
    features: ByteCache<blake3::Hash, Arc<TowerFeatures>>,
}

impl EncoderCache {
    /// Keeps at most `max_bytes`.
    pub(in crate::engine) fn new(max_bytes: u64) -> Self {
        // Few large entries: pictures of some megabytes.
        let entries = (max_bytes >> 22).clamp(16, 4096) as usize;
        Self {
            images: ByteCache::new(entries, max_bytes / 2, |_, image| image.bytes()),
            features: ByteCache::new(entries, max_bytes - max_bytes / 2, |_, f| f.bytes()),
        }
    }

    /// Returns the bytes of all entries.
    pub(in crate::engine) fn bytes(&self) -> u64 {
        self.images.bytes() + self.features.bytes()
    }

    /// Returns a picture that was encoded before, unless this input must not be reused.
    pub(in crate::engine) fn image(&self, input: &EncoderInput) -> Option<Arc<EncodedImage>> {
        if input.program.no_reuse {
            return None;
        }
        self.images.get(&input.key)
    }

    /// Returns the features of a picture that went up the tower before.
    pub(in crate::engine) fn features(&self, input: &EncoderInput) -> Option<Arc<TowerFeatures>> {
        if input.program.no_reuse {
            return None;
        }
        self.features.get(&input.features)
    }

    /// Keeps a picture, unless it must not be reused.
    pub(in crate::engine) fn insert_image(
        &mut self,
        input: &EncoderInput,
        image: Arc<EncodedImage>,
    ) {
        if !input.program.no_reuse {
            self.images.insert(input.key, image);
        }
    }

    /// Keeps features, unless they must not be reused.
    pub(in crate::engine) fn insert_features(
        &mut self,
        input: &EncoderInput,
        features: Arc<TowerFeatures>,
    ) {
        if !input.program.no_reuse {
            self.features.insert(input.features, features);
        }
    }
}
