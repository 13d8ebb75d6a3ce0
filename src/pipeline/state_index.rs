//! Counts what the folder of the state holds, and says what makes room.

use std::collections::HashMap;

/// Counts the files of one kind.
#[derive(Debug, Default)]
pub(super) struct StateIndex {
    files: HashMap<String, Kept>,
    by_owner: HashMap<String, u64>,
    bytes: u64,
    max_bytes: u64,
    /// Numbers uses.
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    owner: String,
    bytes: u64,
    used: u64,
}

impl StateIndex {
    /// Counts nothing yet; files of `max_bytes` may be there together.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            ..Self::default()
        }
    }

    /// Reports whether a file of `bytes` may be there at all.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        bytes <= self.max_bytes
    }

    /// Counts a file.
    pub(super) fn add(&mut self, name: &str, owner: &str, bytes: u64) {
        // Or one that is written again would count twice.
        self.remove(name);
        self.uses += 1;
        let kept = Kept {
            owner: owner.to_owned(),
            bytes,
            used: self.uses,
        };
        *self.by_owner.entry(owner.to_owned()).or_default() += bytes;
        self.bytes += bytes;
        self.files.insert(name.to_owned(), kept);
    }

    /// Counts a file as used now; returns whether it is there.
    pub(super) fn touch(&mut self, name: &str) -> bool {
        self.uses += 1;
        let found = self.files.get_mut(name);
        found.map(|kept| kept.used = self.uses).is_some()
    }

    /// Counts a file no more.
    pub(super) fn remove(&mut self, name: &str) {
        let Some(kept) = self.files.remove(name) else {
            return;
        };
        self.bytes -= kept.bytes;
        if let Some(bytes) = self.by_owner.get_mut(&kept.owner) {
            *bytes -= kept.bytes;
            if *bytes == 0 {
                self.by_owner.remove(&kept.owner);
            }
        }
    }

    /// Names the file that has to go before `more` bytes fit: the least recently used one of the
    /// owner who has the most, so that nobody with little loses it to somebody with much.
    pub(super) fn victim(&self, more: u64) -> Option<String> {
        if self.bytes.saturating_add(more) <= self.max_bytes {
            return None;
        }
        // Of whoever holds most: nobody can push out what others keep.
        let (owner, _) = self.by_owner.iter().max_by_key(|(_, bytes)| **bytes)?;
        let own = self.files.iter().filter(|(_, kept)| kept.owner == *owner);
        let oldest = own.min_by_key(|(_, kept)| kept.used)?;
        Some(oldest.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_most_makes_room() {
        let mut index = StateIndex::new(100);
        index.add("small", "bob", 10);
        for i in 0..9 {
            index.add(&format!("large {i}"), "alice", 10);
        }
        assert!(index.touch("large 0") && !index.touch("none"));
        assert_eq!(index.victim(0), None);
        assert_eq!(index.victim(10).as_deref(), Some("large 1"));
        index.remove("large 1");
        assert_eq!(index.victim(10), None);
        assert!(index.fits(100) && !index.fits(101));
    }
}
