//! A cache that is bounded by the bytes of its entries.

use std::hash::Hash;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

/// Keeps entries up to a number of bytes; the least used make room.
#[derive(Debug)]
pub struct ByteCache<K, V>(Cache<K, V, Weigh<K, V>>);

/// Returns the bytes of an entry.
#[derive(Debug)]
struct Weigh<K, V>(fn(&K, &V) -> u64);

// By hand: a derived one would ask that K and V can be cloned.
impl<K, V> Clone for Weigh<K, V> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<K, V> Weighter<K, V> for Weigh<K, V> {
    fn weight(&self, key: &K, value: &V) -> u64 {
        (self.0)(key, value)
    }
}

impl<K: Eq + Hash, V: Clone> ByteCache<K, V> {
    /// Creates a cache of at most `max_bytes`, counted by `weigh`; it is laid out for about
    /// `entries`.
    pub fn new(entries: usize, max_bytes: u64, weigh: fn(&K, &V) -> u64) -> Self {
        // quick_cache parts the bytes among shards of about 32 entries or more each, and an entry
        // has to fit its shard.
        Self(Cache::with_weighter(entries, max_bytes, Weigh(weigh)))
    }

    /// Returns the value of `key`, and counts it as used.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        self.0.get(key)
    }

    /// Keeps an entry, unless it exceeds its shard's part of the bound alone.
    pub fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    /// Returns the bytes of all entries.
    pub fn bytes(&self) -> u64 {
        self.0.weight()
    }
}
