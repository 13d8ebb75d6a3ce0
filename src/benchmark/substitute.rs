//! Other pictures in place of an item's own: those of another item, or of a folder.

use std::collections::VecDeque;
use std::path::Path;

use super::{Error, Item};

/// The name of another item's pictures.
pub const OTHER: &str = "other";
/// The name of pictures of a folder.
pub const FOLDER: &str = "substitute";

/// Gives every item the pictures of the next item that has others, and the last ones those of the
/// first: nothing is drawn or read twice, and items that share a picture get the same other one.
pub fn with_other<I: Iterator<Item = Result<Item, Error>>>(rows: I) -> Others<I> {
    Others {
        rows,
        first: None,
        waiting: Vec::new(),
        ready: VecDeque::new(),
    }
}

/// The iterator of [`with_other`].
#[derive(Debug)]
pub struct Others<I> {
    rows: I,
    first: Option<Vec<Vec<u8>>>,
    /// Items with the same pictures, until one with others comes.
    waiting: Vec<Item>,
    ready: VecDeque<Item>,
}

impl<I> Others<I> {
    fn give(&mut self, pictures: &[Vec<u8>]) {
        let given = self.waiting.drain(..).map(|mut item| {
            // Where all items show the same picture there is no other one.
            if item.images != pictures {
                item.substitutes.insert(OTHER.into(), pictures.to_vec());
            }
            item
        });
        self.ready.extend(given);
    }
}

impl<I: Iterator<Item = Result<Item, Error>>> Iterator for Others<I> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            match self.rows.next() {
                // It has no picture to be replaced, and must not wait for one.
                Some(Ok(item)) if item.images.is_empty() => return Some(Ok(item)),
                Some(Ok(item)) => {
                    // A copy that is held to the end, when the last items are given it.
                    self.first.get_or_insert_with(|| item.images.clone());
                    if self
                        .waiting
                        .first()
                        .is_some_and(|w| w.images != item.images)
                    {
                        self.give(&item.images);
                    }
                    self.waiting.push(item);
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.waiting.is_empty() => return None,
                // All are read: the last ones get the pictures of the first.
                None => {
                    let first = self.first.take().unwrap_or_default();
                    self.give(&first);
                }
            }
        }
    }
}

/// Reads the picture `INDEX.png`, `.jpg`, `.jpeg` or `.webp` of `folder`, if this item has one there.
pub fn from_folder(folder: &Path, item: &mut Item) -> Result<(), String> {
    // Ids come from strangers: none may name a file outside of the folder.
    if item.id.contains(['/', '\\']) || item.id.starts_with('.') {
        return Ok(());
    }
    for ending in ["png", "jpg", "jpeg", "webp"] {
        let path = folder.join(format!("{}.{ending}", item.id));
        if path.is_file() {
            let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            item.substitutes.insert(FOLDER.into(), vec![bytes]);
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_gets_a_picture_that_is_not_its_own() {
        let item = |id: usize, picture: &[u8]| Item {
            id: id.to_string(),
            images: if picture.is_empty() {
                Vec::new()
            } else {
                vec![picture.to_vec()]
            },
            ..Item::default()
        };
        let rows = [
            item(1, b"a"),
            item(2, b"a"),
            item(3, b""),
            item(4, b"b"),
            item(5, b"c"),
            item(6, b"c"),
        ];
        let found: Vec<Item> = with_other(rows.into_iter().map(Ok))
            .map(Result::unwrap)
            .collect();
        let mut of: Vec<(usize, &[u8])> = found
            .iter()
            .map(|i| {
                (
                    i.id.parse().unwrap(),
                    i.substitutes.get(OTHER).map_or(&b""[..], |p| &p[0]),
                )
            })
            .collect();
        of.sort_unstable();
        assert_eq!(
            of,
            [
                (1, &b"b"[..]),
                (2, b"b"),
                (3, b""),
                (4, b"c"),
                (5, b"a"),
                (6, b"a")
            ]
        );
        let alone: Vec<Item> = with_other([Ok(item(1, b"a"))].into_iter())
            .map(Result::unwrap)
            .collect();
        assert!(alone[0].substitutes.is_empty());
    }
}
