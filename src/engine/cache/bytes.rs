//! A cache that is bounded by the bytes of its entries.

use std::hash::Hash;

use quick_cache::unsync::Cache;
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
        // Of one thread: the cache of several parts the bytes among shards, four for each core, and
        // an entry has to fit its shard. A picture of a hundred megabytes would never be kept.
        Self(Cache::with_weighter(entries, max_bytes, Weigh(weigh)))
    }

    /// Returns the value of `key`, and counts it as used.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        self.0.get(key).cloned()
    }

    /// Keeps an entry, unless it exceeds 97 % of the bound alone: the rest is for what comes anew.
    pub fn insert(&mut self, key: K, value: V) {
        self.0.insert(key, value);
    }

    /// Returns the bytes of all entries.
    pub fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_may_take_nearly_all_bytes() {
        // Laid out for as many entries as a cache of 1 GiB.
        let mut cache: ByteCache<u32, u64> = ByteCache::new(256, 1 << 29, |_, bytes| *bytes);
        let picture = 7290 * 3584 * 4;
        cache.insert(1, picture);
        assert_eq!(cache.get(&1), Some(picture));
        cache.insert(2, 1 << 29);
        assert_eq!(cache.get(&2), None);
        assert_eq!(cache.bytes(), picture);
    }
}
