//! TIFF: the first picture of the file, turned as its orientation tag says (the one format that
//! Pillow turns).
//!
//! Grey of 1 to 32 bits, palettes, RGB, RGBA and CMYK of 8 and 16 bits; in one plane or several;
//! stored plain or by PackBits, LZW, Deflate or fax coding. JPEG within TIFF is refused by name.

use std::io::Cursor;

use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use super::budget::{Budget, damaged};
use super::colour;
use crate::vision::{Error, Rgb};

/// Numbers of the tags read here.
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const ORIENTATION: u16 = 274;
const EXTRA_SAMPLES: u16 = 338;
/// The value of the tag of extra samples for alpha that colours are not multiplied by.
const PLAIN_ALPHA: u64 = 2;
/// Values of the photometric tag.
const WHITE_IS_ZERO: u64 = 0;
const BLACK_IS_ZERO: u16 = 1;
const PALETTE: u64 = 3;
/// The type of numbers of 16 bits.
const SHORT: u16 = 3;
/// Types of bytes, which are no numbers to Pillow: BYTE, ASCII and UNDEFINED.
const BYTES: [u16; 3] = [1, 2, 7];

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    // A copy, in which a tag is changed below.
    let mut file = bytes.to_vec();
    let tags = Directory::of(bytes).ok_or_else(|| damaged("no directory"))?;
    check(&tags)?;
    let (photometric, orientation) = (tags.photometric()?, tags.orientation()?);
    // The crate reads no palettes and does not invert every depth: it is told that values are grey,
    // for what they are.
    if matches!(photometric, WHITE_IS_ZERO | PALETTE) {
        tags.set_short(&mut file, PHOTOMETRIC, BLACK_IS_ZERO);
    }
    let mut decoder = Decoder::new(Cursor::new(&file))
        .map_err(damaged)?
        .with_limits(limits(budget));
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    budget.check(width, height)?;
    let kind = decoder.colortype().map_err(damaged)?;
    let (width, height) = (width as usize, height as usize);
    let mut values = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut values).map_err(damaged)?;
    let pixels = width * height;
    let palette = (photometric == PALETTE)
        .then(|| decoder.get_tag_u16_vec(Tag::ColorMap))
        .transpose()
        .map_err(damaged)?;
    let form = Form {
        kind,
        planes: layout.planes,
        width,
        pixels,
        palette,
        is_inverted: photometric == WHITE_IS_ZERO,
    };
    let data = form.rgb(values)?.ok_or_else(|| {
        damaged(format!(
            "values of {:?} {kind:?} are not read",
            layout.sample_type
        ))
    })?;
    if data.len() != 3 * pixels {
        return Err(damaged(format!("{kind:?} in a layout that is not read")));
    }
    Ok(turned(
        Rgb {
            width,
            height,
            data,
        },
        orientation,
    ))
}

/// Says how the values of a picture lie.
struct Form {
    kind: ColorType,
    planes: usize,
    width: usize,
    pixels: usize,
    palette: Option<Vec<u16>>,
    /// Tells that 0 is white.
    is_inverted: bool,
}

impl Form {
    /// Returns RGB of 8 bits; nothing of values that are not read.
    fn rgb(&self, values: DecodingResult) -> Result<Option<Vec<u8>>, Error> {
        Ok(Some(match (values, self.kind) {
            (DecodingResult::U8(data), ColorType::Gray(bits @ (1 | 2 | 4 | 8))) => {
                let indices = colour::unpacked(&data, self.width, usize::from(bits));
                match &self.palette {
                    Some(map) => of_map(&indices, map),
                    None => colour::grey(&levels(&indices, bits, self.is_inverted)),
                }
            }
            (DecodingResult::U16(data), ColorType::Gray(16)) => colour::clipped(data.into_iter()),
            (DecodingResult::I16(data), ColorType::Gray(16)) => {
                clipped(data.into_iter().map(f64::from))
            }
            // Pillow's mode `I` is signed: the upper half of unsigned values becomes negative, and
            // then black.
            (DecodingResult::U32(data), ColorType::Gray(32)) => {
                clipped(data.into_iter().map(|v| f64::from(v.cast_signed())))
            }
            (DecodingResult::I32(data), ColorType::Gray(32)) => {
                clipped(data.into_iter().map(f64::from))
            }
            (DecodingResult::F32(data), ColorType::Gray(32)) => {
                clipped(data.into_iter().map(f64::from))
            }
            (DecodingResult::U8(data), kind) => of_channels(
                interleaved(data, self.planes, self.pixels),
                kind,
                self.pixels,
                self.palette.as_deref(),
            )?,
            (DecodingResult::U16(data), kind) => {
                // Pillow keeps the high byte of colours of 16 bits.
                let high = data.into_iter().map(|v| (v >> 8) as u8).collect();
                of_channels(
                    interleaved(high, self.planes, self.pixels),
                    kind,
                    self.pixels,
                    None,
                )?
            }
            _ => return Ok(None),
        }))
    }
}

/// Fails where a tag says that the crate, or Pillow, reads the picture otherwise.
fn check(tags: &Directory) -> Result<(), Error> {
    match tags.value(COMPRESSION)?.unwrap_or(1) {
        6 | 7 => return Err(Error::Unsupported("TIFF with JPEG data")),
        50001 => return Err(Error::Unsupported("TIFF with WebP data")),
        _ => {}
    }
    if tags.value(FILL_ORDER)?.is_some_and(|order| order != 1) {
        return Err(Error::Unsupported("TIFF with bits in reverse order"));
    }
    // Pillow divides by premultiplied alpha; beside samples without a name the crate undoes
    // predictors and tiles otherwise.
    if tags
        .value(EXTRA_SAMPLES)?
        .is_some_and(|kind| kind != PLAIN_ALPHA)
    {
        return Err(Error::Unsupported(
            "TIFF with premultiplied alpha or samples without a name",
        ));
    }
    Ok(())
}

fn limits(budget: Budget) -> Limits {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = budget.bytes() as usize;
    limits.intermediate_buffer_size = budget.bytes() as usize;
    // Of a tag's values, before the size of the picture is known.
    limits.ifd_value_size = 1 << 20;
    limits
}

/// Spreads grey levels of `bits` bits to 8.
fn levels(values: &[u8], bits: u8, inverted: bool) -> Vec<u8> {
    let step = (255 / ((1u16 << bits) - 1)) as u8;
    let invert = if inverted { 255 } else { 0 };
    values.iter().map(|v| (v * step) ^ invert).collect()
}

/// Paints indices by the high bytes of a colour map: all reds, all greens, all blues.
fn of_map(indices: &[u8], map: &[u16]) -> Vec<u8> {
    let count = map.len() / 3;
    let colours: Vec<u8> = (0..count.min(256))
        .flat_map(|i| [0, 1, 2].map(|c| (map[c * count + i] >> 8) as u8))
        .collect();
    colour::Palette::new(&colours).paint(indices)
}

/// Clips at 0 and 255 and cuts fractions off, as Pillow's modes `I` and `F` become RGB.
fn clipped(values: impl Iterator<Item = f64>) -> Vec<u8> {
    colour::grey(
        &values
            .map(|v| v.clamp(0.0, 255.0) as u8)
            .collect::<Vec<u8>>(),
    )
}

/// Returns pixels whose channels stand together, from `planes` planes one after another.
fn interleaved(data: Vec<u8>, planes: usize, pixels: usize) -> Vec<u8> {
    if planes < 2 || data.len() != planes * pixels {
        return data;
    }
    (0..pixels)
        .flat_map(|i| (0..planes).map(move |plane| plane * pixels + i))
        .map(|at| data[at])
        .collect()
}

fn of_channels(
    data: Vec<u8>,
    kind: ColorType,
    pixels: usize,
    palette: Option<&[u16]>,
) -> Result<Vec<u8>, Error> {
    let channels = data.len() / pixels.max(1);
    Ok(match kind {
        // Whatever follows the colours is alpha, which is dropped.
        ColorType::RGB(8 | 16) | ColorType::RGBA(8 | 16) if channels >= 3 => {
            colour::rgb_of(&data, channels)
        }
        ColorType::CMYK(8 | 16) if channels == 4 => colour::cmyk(&data),
        ColorType::Multiband {
            bit_depth: 8,
            num_samples: 2,
        } if channels == 2 => match palette {
            Some(map) => of_map(&data.iter().copied().step_by(2).collect::<Vec<u8>>(), map),
            None => colour::grey_of(&data, 2),
        },
        other => return Err(damaged(format!("{other:?} is not read"))),
    })
}

/// Turns a picture by the camera's `orientation` (1 to 8).
fn turned(picture: Rgb, orientation: u64) -> Rgb {
    if !(2..=8).contains(&orientation) {
        return picture;
    }
    let (width, height) = (picture.width, picture.height);
    let across = if orientation >= 5 {
        (height, width)
    } else {
        (width, height)
    };
    let mut data = Vec::with_capacity(picture.data.len());
    for y in 0..across.1 {
        for x in 0..across.0 {
            let (column, row) = match orientation {
                2 => (width - 1 - x, y),
                3 => (width - 1 - x, height - 1 - y),
                4 => (x, height - 1 - y),
                5 => (y, x),
                6 => (y, height - 1 - x),
                7 => (width - 1 - y, height - 1 - x),
                _ => (width - 1 - y, x),
            };
            let at = 3 * (row * width + column);
            data.extend_from_slice(&picture.data[at..at + 3]);
        }
    }
    Rgb {
        width: across.0,
        height: across.1,
        data,
    }
}

/// The first directory of a file.
struct Directory {
    little: bool,
    /// Bytes of the count of an entry's values, and of the values that stand in the entry itself.
    field: usize,
    entries: Vec<Entry>,
}

/// An entry of a directory.
struct Entry {
    tag: u16,
    /// Its place in the file.
    start: usize,
    /// Number of the type of its values.
    kind: u16,
    /// The number of its values.
    count: u64,
    /// The first one, if they are whole numbers that stand in the entry itself.
    value: Option<u64>,
}

/// Returns the bytes of a whole number of type `kind`; `None` for other types. Negative ones are
/// read as large ones, which no tag here has a meaning for either.
fn width_of(kind: u16) -> Option<usize> {
    Some(match kind {
        // SBYTE.
        6 => 1,
        // SSHORT.
        SHORT | 8 => 2,
        // LONG, SLONG, IFD.
        4 | 9 | 13 => 4,
        // LONG8.
        16 => 8,
        _ => return None,
    })
}

/// Reads a number of `length` bytes.
fn number(bytes: &[u8], little: bool, at: usize, length: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(length)?)?;
    let shifted = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
    Some(if little {
        part.iter().rev().fold(0, shifted)
    } else {
        part.iter().fold(0, shifted)
    })
}

impl Directory {
    /// Reads the directory of a classic TIFF or a BigTIFF; `None` if it is cut off.
    fn of(bytes: &[u8]) -> Option<Self> {
        let little = bytes.starts_with(b"II");
        let big = bytes.get(2..4)?.contains(&b'+');
        let number = |at: usize, length: usize| number(bytes, little, at, length);
        // Where the directory is, the bytes of its count, and those of a field of an entry.
        let (at, first, field) = if big {
            (number(8, 8)?, 8, 8)
        } else {
            (number(4, 4)?, 2, 4)
        };
        let at = usize::try_from(at).ok()?;
        // Directories have tens of entries; a count beyond would be a loop over garbage.
        let count = number(at, first)?.min(4096) as usize;
        let mut entries = Vec::new();
        for i in 0..count {
            // Tag, type, count and values.
            let start = at.checked_add(first + i * (4 + 2 * field))?;
            let (tag, kind) = (number(start, 2)? as u16, number(start + 2, 2)? as u16);
            let count = number(start + 4, field)?;
            let fits = |width: &usize| count.saturating_mul(*width as u64) <= field as u64;
            let value = width_of(kind)
                .filter(fits)
                .and_then(|width| number(start + 4 + field, width));
            entries.push(Entry {
                tag,
                start,
                kind,
                count,
                value,
            });
        }
        Some(Self {
            little,
            field,
            entries,
        })
    }

    /// Returns the entry of a tag, if it has values.
    fn entry(&self, tag: u16) -> Option<&Entry> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag);
        entry.filter(|entry| entry.count > 0)
    }

    /// Returns the first value of a tag.
    fn value(&self, tag: u16) -> Result<Option<u64>, Error> {
        let Some(entry) = self.entry(tag) else {
            return Ok(None);
        };
        match entry.value {
            None => Err(damaged(format!(
                "tag {tag} is {} of type {}; one whole number is read",
                entry.count, entry.kind
            ))),
            found => Ok(found),
        }
    }

    fn photometric(&self) -> Result<u64, Error> {
        Ok(self.value(PHOTOMETRIC)?.unwrap_or(WHITE_IS_ZERO))
    }

    /// Returns how the picture is to be turned; 1: it is not.
    fn orientation(&self) -> Result<u64, Error> {
        let entry = self.entry(ORIENTATION);
        // Pillow looks for a number, and turns nothing by what is none.
        if entry.is_some_and(|entry| BYTES.contains(&entry.kind)) {
            return Ok(1);
        }
        Ok(self.value(ORIENTATION)?.unwrap_or(1))
    }

    /// Makes `value` the one value of a tag that is there.
    fn set_short(&self, file: &mut [u8], tag: u16, value: u16) {
        for entry in self.entries.iter().filter(|entry| entry.tag == tag) {
            let count = entry.start + 4;
            self.put(file, entry.start + 2, (SHORT.into(), 2));
            self.put(file, count, (1, self.field));
            self.put(file, count + self.field, (value.into(), 2));
        }
    }

    /// Writes a number of so many bytes at `at`, if the file has them.
    fn put(&self, file: &mut [u8], at: usize, (value, length): (u64, usize)) {
        for (i, byte) in file.iter_mut().skip(at).take(length).enumerate() {
            let behind = if self.little { i } else { length - 1 - i };
            *byte = (value >> (8 * behind)) as u8;
        }
    }
}
