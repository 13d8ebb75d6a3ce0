//! The projectors of a resident model: its own, and others under names.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::resident::ResidentProjector;

/// Name of the projector that a checkpoint brings.
pub const DEFAULT_PROJECTOR: &str = "default";

/// Projectors by name; requests may ask for them while others are added.
#[derive(Debug)]
pub(super) struct Projectors {
    own: Arc<ResidentProjector>,
    named: RwLock<BTreeMap<String, Arc<ResidentProjector>>>,
}

impl Projectors {
    /// Starts with the model's own, under [`DEFAULT_PROJECTOR`].
    pub(super) fn new(own: Arc<ResidentProjector>) -> Self {
        let named = BTreeMap::from([(DEFAULT_PROJECTOR.to_owned(), own.clone())]);
        Self {
            own,
            named: RwLock::new(named),
        }
    }

    /// Returns the model's own.
    pub(super) fn own(&self) -> &Arc<ResidentProjector> {
        &self.own
    }

    /// Returns the one called `name`.
    pub(super) fn get(&self, name: &str) -> Option<Arc<ResidentProjector>> {
        // A map of handles is whole after every step, so that a panic elsewhere leaves nothing to
        // distrust.
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.get(name).cloned()
    }

    /// Returns all names, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.keys().cloned().collect()
    }

    /// Adds those of `earlier`, but its own.
    pub(super) fn adopt(&self, earlier: &Self) {
        let theirs = earlier.named.read().unwrap_or_else(PoisonError::into_inner);
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        for (name, projector) in theirs.iter() {
            named
                .entry(name.clone())
                // What this load brought wins over what the earlier one had under that name:
                // `default` is the checkpoint's.
                .or_insert_with(|| projector.clone());
        }
    }

    /// Adds a projector, in place of one of that name.
    pub(super) fn insert(&self, name: &str, projector: ResidentProjector) {
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        named.insert(name.to_owned(), Arc::new(projector));
    }
}
