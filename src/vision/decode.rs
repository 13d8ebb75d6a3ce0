//! Decoding, with the limit on pixels checked before any are decoded.

use std::io::Cursor;

use image::{ImageFormat, ImageReader};

use super::{Error, Rgb};

/// Decodes PNG, JPEG or WebP to RGB as Pillow's `convert("RGB")` does: alpha is dropped, grey is repeated.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Rgb, Error> {
    let format = image::guess_format(bytes).map_err(|_| Error::Format)?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
        return Err(Error::Format);
    }
    let damaged = |e: image::ImageError| Error::Damaged(e.to_string());
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader().into_dimensions().map_err(damaged)?;
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(Error::TooLarge { width, height, limit: max_pixels });
    }
    let mut reader = reader();
    let mut limits = image::Limits::default();
    // 16-bit RGBA is the widest pixel; as much again for the decoder's own buffers.
    limits.max_alloc = Some((max_pixels * 16).max(1 << 20));
    reader.limits(limits);
    let picture = reader.decode().map_err(damaged)?.into_rgb8();
    if width == 0 || height == 0 {
        return Err(Error::Empty { width: width as usize, height: height as usize });
    }
    Ok(Rgb { width: width as usize, height: height as usize, data: picture.into_raw() })
}
