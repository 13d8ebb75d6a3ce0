//! The sparse autoencoders of a resident model, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::autoencoder::SparseAutoencoder;

/// Autoencoders by name; requests may ask for them while others are added.
#[derive(Debug, Default)]
pub(in crate::model) struct Saes {
    named: RwLock<BTreeMap<String, Arc<SparseAutoencoder>>>,
}

impl Saes {
    /// Returns the one called `name`.
    pub(in crate::model) fn get(&self, name: &str) -> Option<Arc<SparseAutoencoder>> {
        // Every step leaves a map of handles whole, so that a panic elsewhere spoils nothing.
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.get(name).cloned()
    }

    /// Returns all, sorted by name.
    pub(in crate::model) fn all(&self) -> Vec<(String, Arc<SparseAutoencoder>)> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = named.iter();
        pairs
            .map(|(name, sae)| (name.clone(), sae.clone()))
            .collect()
    }

    /// Adds one, in place of one of that name.
    pub(in crate::model) fn insert(&self, name: &str, sae: Arc<SparseAutoencoder>) {
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        named.insert(name.to_owned(), sae);
    }
}
