//! Compression of pages, which are unpacked within the size of their headers.

use std::io::Read;

use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};

use super::wrong;

/// Appends what `bytes` hold to `out`, which must be `size` bytes; no more is ever allocated.
pub(super) fn decompress(
    codec: Compression,
    bytes: &[u8],
    size: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let before = out.len();
    let differs = || wrong(format!("a page that is not of {size} bytes as it says"));
    if size == 0 {
        return Ok(());
    }
    match codec {
        Compression::SNAPPY => {
            // What the bytes say of themselves, before there is room made for it.
            if snap::raw::decompress_len(bytes).map_err(outer)? != size {
                return Err(differs());
            }
            out.resize(before + size, 0);
            snap::raw::Decoder::new()
                .decompress(bytes, &mut out[before..])
                .map_err(outer)?;
        }
        // Several members may follow one another.
        Compression::GZIP(_) => read(flate2::read::MultiGzDecoder::new(bytes), size, out)?,
        Compression::ZSTD(_) => read(zstd::stream::read::Decoder::new(bytes)?, size, out)?,
        Compression::BROTLI(_) => read(
            brotli_decompressor::Decompressor::new(bytes, 1 << 16),
            size,
            out,
        )?,
        Compression::LZ4_RAW => lz4(bytes, size, out)?,
        // Old writers meant Hadoop's frames by it, others blocks without any.
        Compression::LZ4 => hadoop(bytes, size, out).or_else(|_| {
            out.truncate(before);
            lz4(bytes, size, out)
        })?,
        Compression::LZO | Compression::UNCOMPRESSED => {
            return Err(wrong(format!("{codec} is not read")));
        }
    }
    if out.len() == before + size {
        Ok(())
    } else {
        Err(differs())
    }
}

fn outer(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}

fn read(from: impl Read, size: usize, out: &mut Vec<u8>) -> Result<()> {
    // One byte more than there may be, so that too many are seen.
    from.take(size as u64 + 1).read_to_end(out)?;
    Ok(())
}

fn lz4(bytes: &[u8], size: usize, out: &mut Vec<u8>) -> Result<()> {
    // A byte stands for 255 at the most.
    if size > bytes.len().saturating_mul(256).saturating_add(64) {
        return Err(wrong("a page of more bytes than it can hold"));
    }
    let before = out.len();
    out.resize(before + size, 0);
    let written = lz4_flex::block::decompress_into(bytes, &mut out[before..]).map_err(outer)?;
    out.truncate(before + written);
    Ok(())
}

/// Unpacks Hadoop's frames: blocks, each with its two sizes before it.
fn hadoop(mut bytes: &[u8], size: usize, out: &mut Vec<u8>) -> Result<()> {
    let before = out.len();
    while !bytes.is_empty() {
        let sizes = bytes
            .first_chunk::<8>()
            .ok_or_else(|| wrong("half a block"))?;
        let [a, b, c, d, e, f, g, h] = *sizes;
        let (plain, packed) = (
            u32::from_be_bytes([a, b, c, d]) as usize,
            u32::from_be_bytes([e, f, g, h]) as usize,
        );
        let block = bytes
            .get(8..8 + packed)
            .ok_or_else(|| wrong("half a block"))?;
        if out.len() - before + plain > size {
            return Err(wrong("more blocks than the page has room for"));
        }
        lz4(block, plain, out)?;
        bytes = &bytes[8 + packed..];
    }
    Ok(())
}
