//! Shards of a benchmark: parts that processes of their own ask, on one machine or on many.

use std::fmt;
use std::str::FromStr;

use super::Item;

/// Most shards of one run.
const MAX_SHARDS: u32 = 65_536;

/// One of `count` parts of a benchmark's items.
///
/// An item's part depends on its first picture alone, or on its id where it has none. So the items
/// about one picture are in one part, whatever their order, and the server that asks them encodes
/// the picture once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Returns all parts of `count`.
    pub fn all(count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { index, count })
    }

    /// Returns how many parts there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Tells whether `item` is in this part.
    pub fn holds(self, item: &Item) -> bool {
        let named = item
            .images
            .first()
            .map_or(item.id.as_bytes(), Vec::as_slice);
        let digest = blake3::hash(named);
        // Eight of 32 bytes are always there.
        let head = digest.as_bytes()[..8].try_into().unwrap_or_default();
        // 2^64 is so much more than any count that the remainder favours no part.
        u64::from_be_bytes(head) % u64::from(self.count) == u64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let (index, count) = parts.ok_or("I/N is needed, such as 0/8 for the first of eight")?;
        let (index, count) = (number(index)?, number(count)?);
        if count == 0 || count > MAX_SHARDS {
            return Err(format!("{count} shards; 1 to {MAX_SHARDS} are possible"));
        }
        if index >= count {
            let last = count - 1;
            return Err(format!(
                "shards are numbered from 0; the last one of {count} is {last}"
            ));
        }
        Ok(Self { index, count })
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, picture: &[u8]) -> Item {
        Item {
            id: id.into(),
            images: vec![picture.to_vec()],
            ..Item::default()
        }
    }

    #[test]
    fn every_item_is_in_one_shard_with_all_others_of_its_picture() {
        for count in [1, 2, 7] {
            for picture in 0..100_u8 {
                let of = |id: &str| -> Vec<Shard> {
                    let item = item(id, &[picture]);
                    Shard::all(count)
                        .filter(|shard| shard.holds(&item))
                        .collect()
                };
                assert_eq!(of("a").len(), 1);
                assert_eq!(of("a"), of("b"));
            }
        }
    }

    #[test]
    fn without_pictures_ids_are_spread() {
        let first: Shard = "0/2".parse().unwrap();
        let ids = (0..1000).map(|id| Item {
            id: id.to_string(),
            ..Item::default()
        });
        let held = ids.filter(|item| first.holds(item)).count();
        assert!((400..600).contains(&held), "{held} of 1000");
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        let said = |text: &str| text.parse::<Shard>().unwrap_err();
        assert!(said("8/8").contains("numbered from 0; the last one of 8 is 7"));
        assert!(said("3").contains("I/N is needed"));
        assert!(said("0/0").contains("1 to 65536"));
        assert!(said("-1/2").contains("\"-1\" is no number"));
    }
}
