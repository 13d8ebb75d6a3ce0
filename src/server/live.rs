//! Holds values that are replaced while the server runs: keys, certificates, timeouts.

use std::sync::{Arc, PoisonError, RwLock};

/// Holds a value that readers see as it is at the moment; clones share it.
#[derive(Debug)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Live<T> {
    /// Holds `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// Returns the value of now, which stays as it is for whoever holds it.
    pub fn get(&self) -> Arc<T> {
        self.0
            // For as long as an `Arc` is cloned; a writer leaves one value or the other, so poison
            // says nothing.
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts `value` in its place.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
