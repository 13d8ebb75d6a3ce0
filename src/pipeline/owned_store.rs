//! Keeps values that belong to their owners: none sees another's, and none's leave for another's.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// Counts for every entry beside its value: its names and places in tables.
const OVERHEAD: u64 = 256;

/// Says how many bytes each owner may keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shares {
    /// All owners share the whole, and what was used least recently makes room, whosever it is:
    /// without keys anybody may call themselves anything.
    #[default]
    Common,
    /// Each owner has a part of its own. Together they do not exceed the whole, so no owner's
    /// values ever make room for another's.
    Each(HashMap<Arc<str>, u64>),
}

impl Shares {
    /// Returns equal parts of `whole` for the same owners.
    #[must_use]
    pub fn equal(&self, whole: u64) -> Self {
        match self {
            Self::Common => Self::Common,
            Self::Each(shares) => {
                let part = whole / shares.len().max(1) as u64;
                Self::Each(shares.keys().map(|owner| (owner.clone(), part)).collect())
            }
        }
    }
}

/// Says that a value exceeds its owner's share alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// Bytes of the value.
    pub bytes: u64,
    /// Bytes that the owner may keep.
    pub share: u64,
}

/// Keeps values by owner and digest, the same value of several owners once. `V` is cheap to clone.
pub struct OwnedStore<V> {
    max_bytes: u64,
    inner: Mutex<Inner<V>>,
}

struct Inner<V> {
    shares: Shares,
    /// Values by digest, with the number of their owners.
    values: HashMap<String, (V, usize)>,
    /// Entries that make room for each other: those of one owner, or all where the whole is common.
    groups: HashMap<Arc<str>, Group>,
}

#[derive(Debug)]
struct Group {
    bytes: u64,
    /// Bytes of each entry, by owner and digest.
    entries: LruCache<(Arc<str>, String), u64>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            bytes: 0,
            // Bounded by bytes.
            entries: LruCache::unbounded(),
        }
    }
}

impl<V> fmt::Debug for OwnedStore<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedStore")
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

impl<V: Clone> OwnedStore<V> {
    /// Creates a store of at most `max_bytes`, which all owners share.
    pub fn new(max_bytes: u64) -> Self {
        let inner = Inner {
            shares: Shares::Common,
            values: HashMap::new(),
            groups: HashMap::new(),
        };
        Self {
            max_bytes,
            inner: Mutex::new(inner),
        }
    }

    /// Parts the store. What exceeds its owner's new share goes, and so does all of an owner that
    /// has none any more.
    pub fn set_shares(&self, shares: Shares) {
        let mut inner = self.lock();
        // Groups of the two kinds have other names, and could not be told apart afterwards.
        if std::mem::discriminant(&inner.shares) != std::mem::discriminant(&shares) {
            // A server with keys does not become one without; an empty store begins anew.
            inner.values.clear();
            inner.groups.clear();
        }
        inner.shares = shares;
        // Listed first, since trimming removes groups.
        let owners: Vec<Arc<str>> = inner.groups.keys().cloned().collect();
        for owner in owners {
            let share = inner.share(&owner, self.max_bytes);
            inner.trim(&owner, share);
        }
    }

    /// Returns the value that `owner` keeps under `digest`, and counts it as used.
    pub fn get(&self, owner: &str, digest: &str) -> Option<V> {
        let mut inner = self.lock();
        let (owner, digest) = (Arc::<str>::from(owner), digest.to_owned());
        let group = inner.group_of(&owner);
        let key = (owner, digest);
        // The look marks it as used.
        inner.groups.get_mut(&group)?.entries.get(&key)?;
        inner.values.get(&key.1).map(|(value, _)| value.clone())
    }

    /// Keeps a value of `bytes` for `owner`; its least used ones make room.
    pub fn put(&self, owner: &str, digest: &str, value: V, bytes: u64) -> Result<(), TooLarge> {
        let mut inner = self.lock();
        let owner = Arc::<str>::from(owner);
        let share = inner.share(&owner, self.max_bytes);
        let weight = bytes.saturating_add(OVERHEAD);
        if weight > share {
            return Err(TooLarge { bytes, share });
        }
        let (group, key) = (inner.group_of(&owner), (owner, digest.to_owned()));
        let entries = &mut inner.groups.entry(group.clone()).or_default().entries;
        // Kept already, and marked as used by the look.
        if entries.get(&key).is_some() {
            return Ok(());
        }
        // First, so that the sum is never above the share.
        inner.trim(&group, share - weight);
        // One value for all who keep it, and each pays for the whole.
        let shared = inner.values.entry(digest.to_owned());
        shared.or_insert((value, 0)).1 += 1;
        let group = inner.groups.entry(group).or_default();
        group.entries.put(key, weight);
        group.bytes += weight;
        Ok(())
    }

    /// Returns the bytes of all owners; what several own counts for each.
    pub fn bytes(&self) -> u64 {
        self.lock().groups.values().map(|group| group.bytes).sum()
    }

    /// Returns the bytes that all owners may have together.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Inner<V> {
    /// Returns the name of the group that makes room for what `owner` keeps.
    fn group_of(&self, owner: &Arc<str>) -> Arc<str> {
        match self.shares {
            Shares::Common => "".into(),
            Shares::Each(_) => owner.clone(),
        }
    }

    fn share(&self, owner: &str, whole: u64) -> u64 {
        match &self.shares {
            Shares::Common => whole,
            Shares::Each(shares) => shares.get(owner).copied().unwrap_or(0),
        }
    }

    /// Drops what a group has used least recently, until `left` bytes are left at most.
    fn trim(&mut self, group: &Arc<str>, left: u64) {
        let Some(own) = self.groups.get_mut(group) else {
            return;
        };
        while own.bytes > left {
            let Some(((_, digest), bytes)) = own.entries.pop_lru() else {
                break;
            };
            own.bytes -= bytes;
            if let Some((_, owners)) = self.values.get_mut(&digest) {
                *owners -= 1;
                if *owners == 0 {
                    self.values.remove(&digest);
                }
            }
        }
        // Or the map would grow by every owner that ever kept anything.
        if own.entries.is_empty() {
            self.groups.remove(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_are_of_the_same_owners() {
        let shares = Shares::Each([("a".into(), 1), ("b".into(), 9)].into());
        let equal = Shares::Each([("a".into(), 50), ("b".into(), 50)].into());
        assert_eq!(shares.equal(100), equal);
        assert_eq!(Shares::Common.equal(100), Shares::Common);
    }

    fn shared(shares: &[(&str, u64)]) -> OwnedStore<Arc<[u8]>> {
        let store = OwnedStore::new(10_000);
        let shares = shares
            .iter()
            .map(|(name, bytes)| (Arc::from(*name), *bytes));
        store.set_shares(Shares::Each(shares.collect()));
        store
    }

    fn put(store: &OwnedStore<Arc<[u8]>>, owner: &str, digest: &str) -> Result<(), TooLarge> {
        store.put(owner, digest, vec![0; 744].into(), 744)
    }

    #[test]
    fn one_owner_never_makes_room_for_another() {
        let store = shared(&[("a", 5000), ("b", 5000)]);
        for i in 0..5 {
            put(&store, "b", &format!("b{i}")).unwrap();
        }
        for i in 0..40 {
            put(&store, "a", &format!("a{i}")).unwrap();
        }
        assert!((0..5).all(|i| store.get("b", &format!("b{i}")).is_some()));
        assert!(store.get("a", "a34").is_none() && store.get("a", "a35").is_some());
        assert!(store.get("a", "b0").is_none(), "another's");
        assert_eq!(store.bytes(), 10_000);
        let error = store.put("a", "x", vec![].into(), 4745).unwrap_err();
        assert_eq!((error.bytes, error.share), (4745, 5000));
        assert!(put(&store, "nobody", "x").is_err());
    }

    #[test]
    fn the_same_value_of_two_owners_is_there_once_and_as_long_as_one_has_it() {
        let store = shared(&[("a", 2000), ("b", 2000)]);
        put(&store, "a", "x").unwrap();
        put(&store, "b", "x").unwrap();
        let (one, other) = (store.get("a", "x").unwrap(), store.get("b", "x").unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        put(&store, "a", "y").unwrap();
        put(&store, "a", "z").unwrap();
        assert!(store.get("a", "x").is_none() && store.get("b", "x").is_some());
        // A key that is taken away leaves nothing.
        store.set_shares(Shares::Each([("a".into(), 1000)].into()));
        assert!(store.get("b", "x").is_none() && store.get("a", "z").is_some());
        assert_eq!(store.bytes(), 1000);
        assert_eq!(store.lock().values.len(), 1);
    }

    #[test]
    fn without_keys_the_whole_is_common() {
        let store = OwnedStore::<Arc<[u8]>>::new(2000);
        put(&store, "a", "x").unwrap();
        put(&store, "b", "y").unwrap();
        assert!(store.get("a", "y").is_none(), "still nobody sees another's");
        put(&store, "b", "z").unwrap();
        assert!(store.get("a", "x").is_none() && store.get("b", "y").is_some());
    }
}
