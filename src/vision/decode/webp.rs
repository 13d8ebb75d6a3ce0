//! WebP, lossy and lossless; of an animation the first frame.

use std::io::Cursor;

use image::{ImageDecoder, codecs::webp::WebPDecoder};

use super::{Budget, colour, damaged};
use crate::vision::{Error, Rgb};

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    budget.check(width, height)?;
    decoder.set_limits(limits(budget)).map_err(damaged)?;
    let channels = usize::from(decoder.color_type().channel_count());
    let mut data = vec![0; width as usize * height as usize * channels];
    decoder.read_image(&mut data).map_err(damaged)?;
    let data = if channels == 3 { data } else { colour::rgb_of(&data, channels) };
    Ok(Rgb { width: width as usize, height: height as usize, data })
}

fn limits(budget: Budget) -> image::Limits {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(budget.bytes());
    limits
}
