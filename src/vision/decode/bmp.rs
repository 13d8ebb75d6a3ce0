//! BMP of 1 to 32 bits, plain or run-length coded.

use std::io::Cursor;

use image::{ImageDecoder, codecs::bmp::BmpDecoder};

use super::budget::{Budget, damaged};
use super::colour;
use crate::vision::{Error, Rgb};

/// Offsets of fields in a file whose header has 40 bytes or more.
const BITS: usize = 28;
const COMPRESSION: usize = 30;
const GREEN_MASK: usize = 58;
/// The compression that says where the colours stand in a pixel.
const BIT_FIELDS: u16 = 3;
/// The lower half of the mask of a green of 6 bits.
const SIX_BITS: u16 = 0x7E0;

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    budget.check(width, height)?;
    let channels = usize::from(decoder.color_type().channel_count());
    let mut data = vec![0; width as usize * height as usize * channels];
    decoder.read_image(&mut data).map_err(damaged)?;
    if number(bytes, BITS) == Some(16) {
        cut_down(
            &mut data,
            number(bytes, COMPRESSION) == Some(BIT_FIELDS)
                && number(bytes, GREEN_MASK) == Some(SIX_BITS),
        );
    }
    let data = match channels {
        1 => colour::grey(&data),
        3 => data,
        _ => colour::rgb_of(&data, channels),
    };
    Ok(Rgb {
        width: width as usize,
        height: height as usize,
        data,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..at + 2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

/// Spreads values of 5 bits (or 6) to 8 as Pillow does, which cuts where the crate rounds.
fn cut_down(data: &mut [u8], six_bits_of_green: bool) {
    for (i, value) in data.iter_mut().enumerate() {
        let bits = if six_bits_of_green && i % 3 == 1 {
            6
        } else {
            5
        };
        let level = u16::from(*value >> (8 - bits));
        *value = (level * 255 / ((1 << bits) - 1)) as u8;
    }
}
