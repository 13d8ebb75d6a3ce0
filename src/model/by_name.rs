//! Parts of a resident model under names: projectors, sparse autoencoders, tuned lenses.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Parts by name; requests may ask for them while others are added.
#[derive(Debug)]
pub(super) struct ByName<T>(RwLock<BTreeMap<String, Arc<T>>>);

// Derived, it would ask the parts to have a default, too.
impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> ByName<T> {
    /// Returns the part called `name`.
    pub(super) fn get(&self, name: &str) -> Option<Arc<T>> {
        self.read().get(name).cloned()
    }

    /// Returns all names, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// Returns all parts, sorted by name.
    pub(super) fn all(&self) -> Vec<(String, Arc<T>)> {
        let named = self.read();
        let all = named
            .iter()
            .map(|(name, part)| (name.clone(), part.clone()));
        all.collect()
    }

    /// Adds a part, in place of one of that name.
    pub(super) fn insert(&self, name: &str, part: Arc<T>) {
        self.write().insert(name.to_owned(), part);
    }

    /// Takes over all of an earlier load of the same model, in place of those of their names: what
    /// somebody has put in the place of a model's own part stays there.
    pub(super) fn adopt(&self, earlier: &Self) {
        let theirs = earlier.all();
        self.write().extend(theirs);
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<T>>> {
        // A map of handles is whole after every step, so that a panic elsewhere leaves nothing to
        // distrust.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<T>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
