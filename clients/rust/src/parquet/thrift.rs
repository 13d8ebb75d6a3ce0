//! As much of Thrift's compact protocol as it takes to look at a file's metadata and at the headers
//! of its pages before anything is allocated for what they say.

/// Structures in structures, each of which takes a frame of the stack.
const MAX_DEPTH: usize = 32;

/// Elements of one list: columns, row groups, key-value pairs.
const MAX_LIST: usize = 1 << 20;

/// Reads a value after the other; `None` where the bytes end or are no Thrift.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

/// The types of the compact protocol.
pub(super) mod kind {
    pub(in super::super) const TRUE: u8 = 1;
    pub(in super::super) const FALSE: u8 = 2;
    pub(in super::super) const BYTE: u8 = 3;
    pub(in super::super) const I16: u8 = 4;
    pub(in super::super) const I32: u8 = 5;
    pub(in super::super) const I64: u8 = 6;
    pub(in super::super) const DOUBLE: u8 = 7;
    pub(in super::super) const BINARY: u8 = 8;
    pub(in super::super) const LIST: u8 = 9;
    pub(in super::super) const SET: u8 = 10;
    pub(in super::super) const STRUCT: u8 = 12;
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Reads a whole number of any width.
    pub(super) fn int(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        // Zigzag: the lowest bit is the sign.
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads the header of a field after the field `last`: its number and type; the number 0 at the
    /// end of the structure.
    pub(super) fn field(&mut self, last: i64) -> Option<(i64, u8)> {
        let byte = self.byte()?;
        match (byte >> 4, byte & 0x0f) {
            (_, 0) => Some((0, 0)),
            (0, kind) => Some((self.int()?, kind)),
            // As the distance from the field before, where that is below 16.
            (step, kind) => Some((last + i64::from(step), kind)),
        }
    }

    /// Reads the header of a list: how many elements of which type.
    pub(super) fn list(&mut self) -> Option<(usize, u8)> {
        let byte = self.byte()?;
        // 15 stands for a count of its own behind this byte.
        let count = if byte >> 4 == 15 {
            usize::try_from(self.unsigned()?).ok()?
        } else {
            usize::from(byte >> 4)
        };
        // An element takes a byte at least.
        (count <= MAX_LIST && count <= self.bytes.len() - self.at).then_some((count, byte & 0x0f))
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            // In a structure the type is the value.
            kind::TRUE | kind::FALSE => {}
            kind::BYTE => self.at += 1,
            kind::I16 | kind::I32 | kind::I64 => {
                self.int()?;
            }
            kind::DOUBLE => self.at += 8,
            kind::BINARY => {
                let length = usize::try_from(self.unsigned()?).ok()?;
                self.at = self.at.checked_add(length)?;
            }
            kind::LIST | kind::SET => {
                let (count, of) = self.list()?;
                for _ in 0..count {
                    // Truth values take a byte in lists alone.
                    let of = if matches!(of, kind::TRUE | kind::FALSE) {
                        kind::BYTE
                    } else {
                        of
                    };
                    self.skip(of, depth + 1)?;
                }
            }
            kind::STRUCT => {
                let mut last = 0;
                loop {
                    let (number, kind) = self.field(last)?;
                    if kind == 0 {
                        break;
                    }
                    self.skip(kind, depth + 1)?;
                    last = number;
                }
            }
            _ => return None,
        }
        // Whatever was passed over must have been there.
        (self.at <= self.bytes.len()).then_some(())
    }
}
