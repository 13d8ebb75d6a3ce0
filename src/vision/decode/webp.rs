//! WebP, lossy and lossless; of an animation the first frame.

use std::io::Cursor;

use image::{ImageDecoder, codecs::webp::WebPDecoder};

use super::budget::{Budget, damaged};
use super::colour;
use crate::vision::{Error, Rgb};

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    // libwebp takes no file that is shorter than it says; the crate would fill up what is missing.
    let size = bytes
        .get(4..8)
        .map(|size| u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize);
    if size.is_none_or(|size| bytes.len().saturating_sub(8) < size) {
        return Err(damaged("image file is truncated"));
    }
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    budget.check(width, height)?;
    // After the check of the size: a picture that is too large is told so, not that memory ran out.
    decoder.set_limits(limits(budget)).map_err(damaged)?;
    let channels = usize::from(decoder.color_type().channel_count());
    let mut data = vec![0; width as usize * height as usize * channels];
    decoder.read_image(&mut data).map_err(damaged)?;
    let data = if channels == 3 {
        data
    } else {
        colour::rgb_of(&data, channels)
    };
    Ok(Rgb {
        width: width as usize,
        height: height as usize,
        data,
    })
}

fn limits(budget: Budget) -> image::Limits {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(budget.bytes());
    limits
}
