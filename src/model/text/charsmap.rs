//! The table by which SentencePiece normalises texts (`precompiled_charsmap`): a double-array trie
//! (Aoe 1989, as Darts-clone lays it out) of what is replaced, and what stands in its place.
//!
//! The tokenizers library has one, too, which loses a combining mark behind a character that is
//! replaced.

/// A table; an empty one replaces nothing.
#[derive(Debug, Default)]
pub(super) struct Charsmap {
    units: Vec<u32>,
    /// Texts that end with NUL.
    replacements: String,
}

impl Charsmap {
    /// Reads a table: the bytes of its trie, their number in front, and the replacements.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let wrong = || "precompiled_charsmap is no table of SentencePiece's".to_owned();
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
        let size = u32::from_le_bytes(*size) as usize;
        if !size.is_multiple_of(4) {
            return Err(wrong());
        }
        let (units, replacements) = rest.split_at_checked(size).ok_or_else(wrong)?;
        let units = units.chunks_exact(4);
        Ok(Self {
            units: units
                .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            replacements: String::from_utf8(replacements.to_vec()).map_err(|_| wrong())?,
        })
    }

    /// Returns what stands in place of the longest beginning of `text` that is replaced, and its
    /// bytes.
    pub(super) fn prefix(&self, text: &str) -> Option<(&str, usize)> {
        let mut node = offset(*self.units.first()?);
        let mut longest = None;
        for (i, &byte) in text.as_bytes().iter().enumerate() {
            node ^= byte as usize;
            let Some(&unit) = self.units.get(node) else {
                break;
            };
            // The bit tells leaves, which have no label, apart.
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                break;
            }
            node ^= offset(unit);
            let has_leaf = (unit >> 8) & 1 == 1;
            let leaf = self.units.get(node).filter(|_| has_leaf);
            // A damaged table may cut within a character, which is no match.
            if let Some(leaf) = leaf.filter(|_| text.is_char_boundary(i + 1)) {
                let place = (leaf & !(1 << 31)) as usize;
                let rest = self.replacements.get(place..)?;
                longest = Some((rest.split('\0').next().unwrap_or_default(), i + 1));
            }
        }
        longest
    }
}

/// Returns how far a unit's children are.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::Charsmap;

    #[test]
    fn damaged_tables_are_refused_or_match_nothing() {
        assert!(Charsmap::parse(&[]).unwrap().prefix("a").is_none());
        for bytes in [&[1, 2][..], &[9, 0, 0, 0, 1], &[3, 0, 0, 0, 1, 1, 1, 0]] {
            assert!(Charsmap::parse(bytes).is_err(), "{bytes:?}");
        }
        let mut bytes = vec![8, 0, 0, 0];
        bytes.extend([0xff; 8]);
        assert!(Charsmap::parse(&bytes).unwrap().prefix("abc").is_none());
    }
}
