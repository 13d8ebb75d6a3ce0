//! Encodings of a page's values, and the counts in them.

use parquet::basic::Encoding;
use parquet::errors::Result;

use super::{MAX_VALUES, wrong};

/// Returns the encoding of a number.
#[expect(deprecated, reason = "old files have it")]
pub(super) fn encoding(number: i64) -> Result<Encoding> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        4 => Encoding::BIT_PACKED,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        other => return Err(wrong(format!("the encoding {other} is not known"))),
    })
}

/// Checks how many numbers a block of deltas says that it has.
pub(super) fn delta_total(bytes: &[u8], values: usize) -> Result<()> {
    let header = delta_header(bytes).ok_or_else(|| wrong("a page whose lengths cannot be read"))?;
    if header.total > values
        || header.total > MAX_VALUES
        || header.block > 1 << 16
        || header.minis > 512
    {
        return Err(wrong("a page of more lengths than it has values"));
    }
    Ok(())
}

struct Delta {
    block: usize,
    minis: usize,
    total: usize,
    at: usize,
}

fn delta_header(bytes: &[u8]) -> Option<Delta> {
    let mut at = 0;
    let block = number(bytes, &mut at)?;
    let minis = number(bytes, &mut at)?;
    let total = number(bytes, &mut at)?;
    // The first value.
    number(bytes, &mut at)?;
    Some(Delta {
        block,
        minis,
        total,
        at,
    })
}

/// Reads a number of 7 bits a byte, the lowest first.
fn number(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

/// Returns the end of a block of deltas.
pub(super) fn after_delta(bytes: &[u8]) -> Option<usize> {
    let Delta {
        block,
        minis,
        total,
        mut at,
    } = delta_header(bytes)?;
    let per_mini = block.checked_div(minis)?;
    // The first value stands in the header.
    let mut left = total.saturating_sub(1);
    while left > 0 {
        // The least delta of the block.
        while bytes.get(at)? & 0x80 != 0 {
            at += 1;
        }
        at += 1;
        let widths = bytes.get(at..at + minis)?;
        at += minis;
        // Miniblocks behind the last value have widths, but no bytes.
        for &width in widths.iter().take(left.div_ceil(per_mini.max(1))) {
            at += usize::from(width) * per_mini / 8;
        }
        left = left.saturating_sub(block.max(1));
    }
    (at <= bytes.len()).then_some(at)
}
