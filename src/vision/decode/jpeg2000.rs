//! JPEG 2000 by OpenJPEG, the decoder in Pillow: code streams and JP2 files of one to four channels
//! of any depth.
//!
//! Channels of fewer pixels than the picture, palettes and YCC are refused by name.

use jpeg2k::{ColorSpace, DecodeParameters, Image, ImageComponent};

use super::budget::{Budget, damaged};
use super::colour;
use crate::vision::{Error, Rgb};

/// Starts a code stream, and its first segment: sizes of the picture, of its tiles and of its
/// channels.
const START: &[u8] = b"\xff\x4f\xff\x51";
/// Tiles of one picture, each of which costs OpenJPEG about 12 KiB before it is read. Encoders cut
/// tiles of 128 pixels and more: these are enough for 134 million pixels.
const MOST_TILES: u64 = 8192;

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let (width, height) = size(bytes, budget)?;
    // The box of the palette stands before the code stream; further on, these four bytes would be
    // chance.
    if bytes.windows(4).take(4096).any(|name| name == b"pclr") {
        return Err(Error::Unsupported("JPEG 2000 with a palette"));
    }
    let image =
        Image::from_bytes_with(bytes, DecodeParameters::new().strict(true)).map_err(damaged)?;
    let (channels, pixels) = (image.components(), width as usize * height as usize);
    if channels
        .iter()
        .any(|c| (c.width(), c.height()) != (width, height) || c.data().len() != pixels)
    {
        return Err(Error::Unsupported(
            "JPEG 2000 with channels of several sizes",
        ));
    }
    let data = match (channels, image.color_space()) {
        ([_, _, _, ..], ColorSpace::SYCC | ColorSpace::EYCC) => {
            return Err(Error::Unsupported("JPEG 2000 in YCC"));
        }
        // Mode `I;16` in Pillow, which clips rather than scales as it becomes RGB.
        ([grey], _) if grey.precision() > 8 => colour::clipped(levels(grey, 16).map(|v| v as u16)),
        ([grey] | [grey, _], _) => {
            colour::grey(&levels(grey, 8).map(|v| v as u8).collect::<Vec<u8>>())
        }
        (all @ [_, _, _, _], ColorSpace::CMYK) => colour::cmyk(&together(all, pixels)),
        (all @ [_, _, _, ..], _) => together(&all[..3], pixels),
        _ => return Err(damaged("no channels")),
    };
    Ok(Rgb {
        width: width as usize,
        height: height as usize,
        data,
    })
}

/// Returns the 8-bit values of `channels`, pixel by pixel.
fn together(channels: &[ImageComponent], pixels: usize) -> Vec<u8> {
    let mut data = vec![0; channels.len() * pixels];
    for (c, channel) in channels.iter().enumerate() {
        let places = data.iter_mut().skip(c).step_by(channels.len());
        places
            .zip(levels(channel, 8))
            .for_each(|(to, level)| *to = level as u8);
    }
    data
}

/// Brings values to a depth of `bits`: shifted up, or rounded down; what that carries over the top
/// wraps, as in Pillow.
fn levels(channel: &ImageComponent, bits: u32) -> impl Iterator<Item = i64> + '_ {
    let depth = channel.precision();
    // Signed values are lifted, so that the least one is 0.
    let offset = if channel.is_signed() {
        1i64 << (depth - 1)
    } else {
        0
    };
    channel.data().iter().map(move |&value| {
        let value = i64::from(value) + offset;
        if depth > bits {
            (value + (1 << (depth - bits - 1))) >> (depth - bits)
        } else {
            value << (bits - depth)
        }
    })
}

/// Reads a big-endian number of `length` bytes.
fn big_endian(bytes: &[u8], at: usize, length: usize) -> Result<u32, Error> {
    let part = bytes
        .get(at..at + length)
        .ok_or_else(|| damaged("image file is truncated"))?;
    Ok(part
        .iter()
        .fold(0, |sum, &byte| (sum << 8) | u32::from(byte)))
}

/// Reads the size from the file's header, and checks it.
fn size(bytes: &[u8], budget: Budget) -> Result<(u32, u32), Error> {
    // The size of the code stream itself: boxes around it may say another one, and OpenJPEG
    // allocates by this.
    let start = bytes
        .windows(START.len())
        .position(|four| four == START)
        .ok_or_else(|| damaged("no code stream"))?;
    let number = |at: usize, length: usize| big_endian(bytes, start + at, length);
    // Counted from the code stream's start: Xsiz, Ysiz, XOsiz, YOsiz, XTsiz, YTsiz; Csiz is at 40.
    let [right, bottom, left, top, tile_width, tile_height] =
        [8, 12, 16, 20, 24, 28].map(|at| number(at, 4));
    let (width, height) = (right?.saturating_sub(left?), bottom?.saturating_sub(top?));
    budget.check(width, height)?;
    let (tile_width, tile_height, channels) = (tile_width?, tile_height?, number(40, 2)?);
    if tile_width == 0 || tile_height == 0 || !(1..=4).contains(&channels) {
        return Err(damaged(format!(
            "{channels} channels in tiles of {tile_width} x {tile_height}"
        )));
    }
    let tiles = u64::from(width.div_ceil(tile_width)) * u64::from(height.div_ceil(tile_height));
    if tiles > MOST_TILES {
        return Err(damaged(format!(
            "{tiles} tiles; at most {MOST_TILES} are read"
        )));
    }
    Ok((width, height))
}
