//! Decodes files of pictures to the values of Pillow 13's `Image.open(..).convert("RGB")`.
//!
//! One file a format. Limits are checked before anything is decoded; a decoder that panics is an
//! error of the picture, not of the server. EXIF orientation, gamma and colour profiles are ignored,
//! as Pillow ignores them; the first of several frames is taken.

mod bmp;
mod budget;
mod colour;
mod gif;
mod jpeg;
mod jpeg2000;
mod png;
mod pnm;
mod tiff;
mod webp;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::budget::Budget;
use crate::vision::{Error, Rgb, Size};

/// The format of a file, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileFormat {
    Bmp,
    Gif,
    Jpeg,
    Jpeg2000,
    Png,
    Pnm,
    Tiff,
    WebP,
    /// A format that Pillow reads and we do not.
    Other(&'static str),
}

impl FileFormat {
    fn of(bytes: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        // Files of ISO media begin with the length of a box, `ftyp` and a brand.
        let brand = bytes.get(4..12).unwrap_or_default();
        Some(match bytes {
            _ if starts(b"\xff\xd8\xff") => Self::Jpeg,
            _ if starts(b"\x89PNG\r\n\x1a\n") => Self::Png,
            _ if starts(b"GIF87a") || starts(b"GIF89a") => Self::Gif,
            _ if starts(b"BM") => Self::Bmp,
            _ if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => Self::WebP,
            _ if starts(b"II*\0") || starts(b"MM\0*") => Self::Tiff,
            // BigTIFF: 43 in place of 42.
            _ if starts(b"II+\0") || starts(b"MM\0+") => Self::Tiff,
            [b'P', b'1'..=b'6', b'\t'..=b'\r' | b' ' | b'#', ..] => Self::Pnm,
            _ if brand.starts_with(b"ftypavi") => Self::Other("AVIF"),
            _ if brand.starts_with(b"ftyphei") || brand.starts_with(b"ftypmif") => {
                Self::Other("HEIF")
            }
            _ if starts(b"\0\0\0\x0cjP  ") || starts(b"\xff\x4f\xff\x51") => Self::Jpeg2000,
            _ if starts(b"\xff\x0a") || starts(b"\0\0\0\x0cJXL ") => Self::Other("JPEG XL"),
            _ if starts(b"\0\0\x01\0") => Self::Other("ICO"),
            _ if starts(b"qoif") => Self::Other("QOI"),
            _ if starts(b"8BPS") => Self::Other("Photoshop"),
            _ if starts(b"%PDF") => Self::Other("PDF"),
            _ if starts(b"%!PS") => Self::Other("EPS"),
            _ if starts(b"DDS ") => Self::Other("DDS"),
            _ if starts(b"<svg") || starts(b"<?xml") => Self::Other("SVG"),
            _ => return None,
        })
    }
}

/// Returns the size of a picture, by the head of its file; `None` where it will not be decoded.
pub fn size_of(bytes: &[u8], max_pixels: u64) -> Option<Size> {
    // Every format checks the size in its head before it decodes, and a budget of 0 stops it there.
    match decode_within(bytes, Budget::of_head(max_pixels)) {
        Err(Error::TooLarge { width, height, .. })
            if u64::from(width) * u64::from(height) <= max_pixels =>
        {
            Some((height as usize, width as usize))
        }
        _ => None,
    }
}

/// Decodes JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, PGM, PBM or JPEG 2000 to RGB as Pillow's
/// `convert("RGB")` does: alpha is dropped, grey is repeated, 16 bits of colour are cut to the high
/// byte, 16 bits of grey are clipped at 255.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Rgb, Error> {
    decode_within(bytes, Budget::of(max_pixels))
}

fn decode_within(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let decode = match FileFormat::of(bytes).ok_or(Error::Format)? {
        FileFormat::Bmp => bmp::decode,
        FileFormat::Gif => gif::decode,
        FileFormat::Jpeg => jpeg::decode,
        FileFormat::Jpeg2000 => jpeg2000::decode,
        FileFormat::Png => png::decode,
        FileFormat::Pnm => pnm::decode,
        FileFormat::Tiff => tiff::decode,
        FileFormat::WebP => webp::decode,
        FileFormat::Other(name) => return Err(Error::Unsupported(name)),
    };
    // The libraries promise not to panic; malformed files have shown otherwise.
    let picture = catch_unwind(AssertUnwindSafe(|| decode(bytes, budget)))
        .map_err(|_| Error::Damaged("its decoder failed on malformed data".into()))??;
    debug_assert_eq!(picture.data.len(), 3 * picture.width * picture.height);
    Ok(picture)
}
