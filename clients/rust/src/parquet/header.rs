//! The header of a page.

use super::thrift::{Reader, kind};

/// The header of a page.
#[derive(Default)]
pub(super) struct Header {
    pub(super) kind: i64,
    pub(super) uncompressed: usize,
    pub(super) compressed: usize,
    pub(super) values: usize,
    pub(super) nulls: usize,
    pub(super) rows: usize,
    pub(super) encoding: i64,
    pub(super) levels: (i64, i64),
    pub(super) level_bytes: (usize, usize),
    pub(super) sorted: bool,
    pub(super) is_compressed: bool,
    /// The size of the header itself.
    pub(super) bytes: u64,
}

pub(super) const DATA: i64 = 0;
pub(super) const DICTIONARY: i64 = 2;
pub(super) const DATA_V2: i64 = 3;

impl Header {
    /// Reads the header at the beginning of `bytes`; `None` where they end before it, or are none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let mut header = Self {
            // Pages of version 2 alone can say otherwise.
            is_compressed: true,
            ..Self::default()
        };
        let mut last = 0;
        loop {
            let (number, kind) = reader.field(last)?;
            match (number, kind) {
                (_, 0) => break,
                // Of PageHeader: the type, both sizes, and the header of its kind.
                (1, kind::I32) => header.kind = reader.int()?,
                (2, kind::I32) => header.uncompressed = size(&mut reader)?,
                (3, kind::I32) => header.compressed = size(&mut reader)?,
                (5 | 7 | 8, kind::STRUCT) => header.inner(number, &mut reader)?,
                _ => reader.skip(kind, 0)?,
            }
            last = number;
        }
        header.bytes = reader.at as u64;
        Some(header)
    }

    /// Reads a structure within. `of` is the field that holds it: 5 a data page, 7 a dictionary, 8
    /// a data page of version 2.
    fn inner(&mut self, of: i64, reader: &mut Reader<'_>) -> Option<()> {
        let mut last = 0;
        loop {
            let (number, kind) = reader.field(last)?;
            match (of, number, kind) {
                (_, _, 0) => return Some(()),
                (_, 1, kind::I32) => self.values = size(reader)?,
                (5 | 7, 2, kind::I32) | (8, 4, kind::I32) => self.encoding = reader.int()?,
                (5, 3, kind::I32) => self.levels.0 = reader.int()?,
                (5, 4, kind::I32) => self.levels.1 = reader.int()?,
                (7, 3, kind) => self.sorted = kind == kind::TRUE,
                (8, 2, kind::I32) => self.nulls = size(reader)?,
                (8, 3, kind::I32) => self.rows = size(reader)?,
                (8, 5, kind::I32) => self.level_bytes.1 = size(reader)?,
                (8, 6, kind::I32) => self.level_bytes.0 = size(reader)?,
                (8, 7, kind) => self.is_compressed = kind != kind::FALSE,
                _ => reader.skip(kind, 0)?,
            }
            last = number;
        }
    }
}

/// Reads a size, which is not negative.
fn size(reader: &mut Reader<'_>) -> Option<usize> {
    // Thrift has an i32 here, but `int` reads any width.
    usize::try_from(reader.int()?)
        .ok()
        .filter(|&n| i32::try_from(n).is_ok())
}
