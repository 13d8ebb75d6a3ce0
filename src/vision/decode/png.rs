//! PNG of every depth, interlaced or not; of an APNG the default picture.
//!
//! Pillow checks the sums of all chunks before the image data and not those of the data, reads
//! nothing that stands after the last row, and cuts 16 bits to the high byte. So the chunks that
//! matter are handed on to the png crate, and the values of the file, unscaled, are converted here.

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits, Transformations};

use super::budget::{Budget, damaged};
use super::colour;
use crate::vision::{Error, Rgb};

const SIGNATURE: usize = 8;
/// An end chunk, for the files that lack one.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let (file, palette) = essential(bytes)?;
    let mut options = DecodeOptions::default();
    // Those that Pillow checks are checked in `essential`.
    options.set_ignore_crc(true);
    // This sum is zlib's own, over the rows; Pillow calls zlib, which checks it.
    options.set_ignore_adler32(false);
    let mut decoder = Decoder::new_with_options(Cursor::new(file), options);
    decoder.set_limits(Limits {
        bytes: budget.bytes() as usize,
    });
    decoder.set_transformations(Transformations::IDENTITY);
    let header = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = (header.width, header.height);
    budget.check(width, height)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| damaged("too large"))?;
    let mut data = vec![0; size];
    let info = reader.next_frame(&mut data).map_err(damaged)?;
    data.truncate(info.buffer_size());
    let (width, height) = (width as usize, height as usize);
    let deep = info.bit_depth == BitDepth::Sixteen;
    // The high bytes.
    let high = || data.iter().copied().step_by(2).collect::<Vec<u8>>();
    let bits = info.bit_depth as usize;
    let data = match info.color_type {
        ColorType::Grayscale if deep => colour::clipped(
            data.chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]])),
        ),
        ColorType::Grayscale => {
            // 1, 2 and 4 bits spread over all of 0 to 255: steps of 255, 85 and 17.
            let step = 255 / (255 >> (8 - bits)) as u8;
            let values: Vec<u8> = colour::unpacked(&data, width, bits)
                .iter()
                .map(|v| v * step)
                .collect();
            colour::grey(&values)
        }
        ColorType::Indexed => {
            colour::Palette::new(&palette).paint(&colour::unpacked(&data, width, bits))
        }
        ColorType::GrayscaleAlpha if deep => colour::grey_of(&high(), 2),
        ColorType::GrayscaleAlpha => colour::grey_of(&data, 2),
        ColorType::Rgb if deep => high(),
        ColorType::Rgb => data,
        ColorType::Rgba if deep => colour::rgb_of(&high(), 4),
        ColorType::Rgba => colour::rgb_of(&data, 4),
    };
    Ok(Rgb {
        width,
        height,
        data,
    })
}

/// Returns the file without what does not change its pixels, and the palette.
fn essential(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut kept = bytes.get(..SIGNATURE).unwrap_or_default().to_vec();
    let (mut at, mut palette, mut in_data) = (SIGNATURE, Vec::new(), false);
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let name = &head[4..8];
        if name != b"IDAT" && in_data {
            break;
        }
        if !name.iter().all(u8::is_ascii_alphanumeric) {
            return Err(damaged(format!(
                "chunk {:?} is no name",
                String::from_utf8_lossy(name)
            )));
        }
        let body = at + 8..(at + 8).saturating_add(length);
        in_data |= name == b"IDAT";
        let chunk = bytes
            .get(at..body.end + 4)
            // Pillow reads data that end with the file, as long as the rows are whole.
            .or_else(|| in_data.then(|| &bytes[at..]));
        let Some(chunk) = chunk else {
            return Err(damaged(format!(
                "chunk {} is truncated",
                String::from_utf8_lossy(name)
            )));
        };
        if !in_data {
            let (content, sum) = chunk[4..].split_at(4 + length);
            if crc32fast::hash(content).to_be_bytes() != *sum {
                return Err(damaged(format!(
                    "bad checksum in {}",
                    String::from_utf8_lossy(name)
                )));
            }
        }
        match name {
            b"PLTE" => {
                palette = bytes[body.clone()].to_vec();
                kept.extend(chunk);
            }
            b"IHDR" | b"IDAT" => kept.extend(chunk),
            b"IEND" => break,
            _ => {}
        }
        at = body.end + 4;
    }
    kept.extend(END);
    Ok((kept, palette))
}
