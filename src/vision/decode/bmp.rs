//! BMP of 1 to 32 bits: plain, run-length coded, or with masks.
//!
//! Follows Pillow's `BmpImagePlugin`, also where that is odd: a palette that is a ramp of grey is
//! dropped and the bits of a pixel with it; of the masks those are read that Pillow has a name for.

use super::budget::{Budget, damaged};
use super::colour;
use crate::vision::{Error, Rgb};

/// Bytes before the header, the last four of them the place of the pixels.
const FILE_HEADER: usize = 14;
/// The header of OS/2, the one with sizes of 16 bits and colours of three bytes.
const OS2: usize = 12;
/// Sizes of headers that are read.
// OS/2, Windows 3, then those with masks (52), alpha (56) and colour spaces (108, 124); 64 is
// OS/2's second. Pillow's `_dib_accept` has the same list.
const HEADERS: [usize; 7] = [OS2, 40, 52, 56, 64, 108, 124];

/// Values of the field of compression.
const PLAIN: u32 = 0;
const RUNS_OF_8: u32 = 1;
const RUNS_OF_4: u32 = 2;
const MASKS: u32 = 3;

/// Masks of red, green, blue and alpha in 32 bits, and the bytes of a pixel that they name.
const MASKS_OF_32: [([u32; 4], [usize; 3]); 8] = [
    ([0xff_0000, 0xff00, 0xff, 0], [2, 1, 0]),
    ([0xff00_0000, 0xff_0000, 0xff00, 0], [3, 2, 1]),
    ([0xff00_0000, 0xff00, 0xff, 0], [3, 1, 0]),
    ([0xff00_0000, 0xff_0000, 0xff00, 0xff], [3, 2, 1]),
    ([0xff, 0xff00, 0xff_0000, 0xff00_0000], [0, 1, 2]),
    ([0xff_0000, 0xff00, 0xff, 0xff00_0000], [2, 1, 0]),
    ([0xff00_0000, 0xff00, 0xff, 0xff_0000], [3, 1, 0]),
    // Masks of no bits are read as plain pixels, as Pillow's `MASK_MODES` has it.
    ([0, 0, 0, 0], [2, 1, 0]),
];
const BLUE_FIRST: [usize; 3] = [2, 1, 0];

/// Holds what the header says.
#[derive(Debug)]
struct Header {
    size: usize,
    width: u32,
    height: u32,
    top_down: bool,
    bits: usize,
    compression: u32,
    /// Colours of the palette.
    colours: usize,
    /// Red, green, blue, alpha.
    masks: [u32; 4],
    /// The place behind the header and its masks.
    end: usize,
}

/// Says what the bits of a pixel are.
enum Pixels {
    /// Black or white.
    Bit,
    Grey,
    /// An index of so many bits.
    Indexed(usize, Box<colour::Palette>),
    /// 5 bits each, or 6 of green.
    Sixteen {
        green: u32,
    },
    /// So many bytes, red, green and blue among them.
    Bytes(usize, [usize; 3]),
}

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let header = Header::read(bytes)?;
    budget.check(header.width, header.height)?;
    let (pixels, palette_end) = header.pixels(bytes)?;
    let start = header.start(bytes, palette_end);
    let (width, height) = (header.width as usize, header.height as usize);
    let rows = if matches!(header.compression, RUNS_OF_8 | RUNS_OF_4) {
        let runs = bytes.get(start..).unwrap_or_default();
        let indices = unpacked(runs, start, width, height, header.compression == RUNS_OF_4)?;
        of_indices(&pixels, &indices, header.bits)?
    } else {
        plain_rows(bytes.get(start..).unwrap_or_default(), &header, &pixels)?
    };
    Ok(Rgb {
        width,
        height,
        data: if header.top_down {
            rows
        } else {
            // BMP stores the last row first.
            rows.rchunks_exact(3 * width).flatten().copied().collect()
        },
    })
}

fn truncated() -> Error {
    damaged("image file is truncated")
}

/// Reads a little-endian number of 16 bits.
fn short(bytes: &[u8], at: usize) -> Result<u32, Error> {
    let two = bytes.get(at..at + 2).ok_or_else(truncated)?;
    Ok(u32::from(u16::from_le_bytes([two[0], two[1]])))
}

/// Reads a little-endian number of 32 bits.
fn long(bytes: &[u8], at: usize) -> Result<u32, Error> {
    Ok(short(bytes, at)? | short(bytes, at + 2)? << 16)
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let size = long(bytes, FILE_HEADER)? as usize;
        if !HEADERS.contains(&size) {
            return Err(damaged(format!(
                "a header of {size} bytes; {HEADERS:?} are read"
            )));
        }
        let own = bytes.get(FILE_HEADER..FILE_HEADER + size);
        let own = own.ok_or_else(truncated)?;
        let mut header = if size == OS2 {
            Self {
                size,
                width: short(own, 4)?,
                height: short(own, 6)?,
                top_down: false,
                bits: short(own, 10)? as usize,
                compression: PLAIN,
                colours: 0,
                masks: [0; 4],
                end: FILE_HEADER + size,
            }
        } else {
            // A negative height says that the first row comes first; Pillow looks at its last byte.
            let (height, top_down) = (long(own, 8)?, own[11] == 0xff);
            Self {
                size,
                width: long(own, 4)?,
                height: if top_down {
                    height.wrapping_neg()
                } else {
                    height
                },
                top_down,
                bits: short(own, 14)? as usize,
                compression: long(own, 16)?,
                colours: long(own, 32)? as usize,
                masks: [0; 4],
                end: FILE_HEADER + size,
            }
        };
        if header.colours == 0 {
            // A header that says no number of colours means all that the bits can name.
            header.colours = 1 << header.bits.min(16);
        }
        match header.compression {
            PLAIN | RUNS_OF_8 | RUNS_OF_4 => {}
            MASKS => header.read_masks(bytes)?,
            other => {
                let message = format!("BMP of compression {other}; 0 to 3 are read");
                return Err(damaged(message));
            }
        }
        Ok(header)
    }

    /// Reads the masks, which a header of 40 bytes has behind itself.
    fn read_masks(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // Where the three masks stand behind a header of 40 bytes, what follows them is reserved
        // and no mask of alpha.
        let count = if self.size >= 56 { 4 } else { 3 };
        if self.size < 52 {
            self.end += 12;
        }
        for (i, mask) in self.masks.iter_mut().take(count).enumerate() {
            *mask = long(bytes, FILE_HEADER + 40 + 4 * i)?;
        }
        Ok(())
    }

    /// Returns the bytes of a colour of the palette.
    fn colour_bytes(&self) -> usize {
        if self.size == OS2 { 3 } else { 4 }
    }

    /// Returns where the pixels begin. Files exist that say the palette's place for it, or nothing.
    fn start(&self, bytes: &[u8], palette_end: usize) -> usize {
        match long(bytes, FILE_HEADER - 4).unwrap_or_default() as usize {
            0 => palette_end,
            start if start == FILE_HEADER + self.size && self.bits <= 8 => {
                start + self.colour_bytes() * self.colours
            }
            start => start,
        }
    }

    /// Returns what a pixel is, and where the palette, if there is one, ends.
    fn pixels(&self, bytes: &[u8]) -> Result<(Pixels, usize), Error> {
        let masked = self.compression == MASKS;
        let [red, green, blue, _] = self.masks;
        let pixels = match self.bits {
            1 | 4 | 8 if !masked => return self.palette(bytes),
            16 if !masked || (red, green, blue) == (0x7c00, 0x3e0, 0x1f) => {
                Pixels::Sixteen { green: 5 }
            }
            16 if (red, green, blue) == (0xf800, 0x7e0, 0x1f) => Pixels::Sixteen { green: 6 },
            24 if !masked || (red, green, blue) == (0xff_0000, 0xff00, 0xff) => {
                Pixels::Bytes(3, BLUE_FIRST)
            }
            // The fourth byte is padding: only masks make it alpha, which is left out anyhow.
            32 if !masked => Pixels::Bytes(4, BLUE_FIRST),
            32 => {
                let known = MASKS_OF_32.iter().find(|(masks, _)| *masks == self.masks);
                let (_, order) = known.ok_or_else(|| self.unknown_masks())?;
                Pixels::Bytes(4, *order)
            }
            1 | 4 | 8 | 16 | 24 => return Err(self.unknown_masks()),
            other => return Err(damaged(format!("BMP of {other} bits a pixel"))),
        };
        Ok((pixels, self.end))
    }

    fn unknown_masks(&self) -> Error {
        let [red, green, blue, alpha] = self.masks;
        damaged(format!(
            "BMP of {} bits with masks {red:#x}, {green:#x}, {blue:#x}, {alpha:#x}",
            self.bits
        ))
    }

    /// Reads the palette; one of black and white, or of all greys in order, is none.
    fn palette(&self, bytes: &[u8]) -> Result<(Pixels, usize), Error> {
        let (step, count) = (self.colour_bytes(), self.colours);
        // Pillow's limit of what a palette says; below, of what it has, 256.
        if count > 65_536 {
            return Err(damaged(format!("a palette of {count} colours")));
        }
        let rest = bytes.get(self.end..).unwrap_or_default();
        let palette = &rest[..rest.len().min(step * count)];
        let end = self.end + palette.len();
        // Two greys are 0 and 255, more are counted up by one.
        let factor = if count == 2 { 255 } else { 1 };
        let is_grey =
            |i: usize| palette.get(i * step..i * step + 3) == Some(&[(i * factor) as u8; 3]);
        if (0..count).all(is_grey) {
            let pixels = if count <= 2 {
                Pixels::Bit
            } else {
                Pixels::Grey
            };
            return Ok((pixels, end));
        }
        if palette.len() / step > 256 {
            let given = palette.len() / step;
            return Err(damaged(format!("a palette of {given} colours")));
        }
        let colours: Vec<u8> = palette
            .chunks_exact(step)
            .flat_map(|bgr| [bgr[2], bgr[1], bgr[0]])
            .collect();
        let palette = colour::Palette::new(&colours);
        Ok((Pixels::Indexed(self.bits, palette.into()), end))
    }
}

/// Returns the colours of rows that are not coded, in the order of the file.
fn plain_rows(data: &[u8], header: &Header, pixels: &Pixels) -> Result<Vec<u8>, Error> {
    let (width, height) = (header.width as usize, header.height as usize);
    let bits = match pixels {
        Pixels::Bit => 1,
        Pixels::Grey => 8,
        Pixels::Indexed(bits, _) => *bits,
        Pixels::Sixteen { .. } => 16,
        Pixels::Bytes(bytes, _) => 8 * bytes,
    };
    // Rows end at a multiple of four bytes, by the bits that the header says, not by those above.
    let stride = ((width * header.bits + 31) >> 3) & !3;
    let row = (width * bits).div_ceil(8);
    if row > stride {
        return Err(damaged("rows are shorter than their pixels"));
    }
    // What fills up the last row may be missing.
    if data.len() < stride * (height - 1) + row {
        return Err(truncated());
    }
    let rows = data.chunks(stride).take(height).map(|line| &line[..row]);
    Ok(rows.flat_map(|line| colours(line, width, pixels)).collect())
}

/// Returns the colours of a row.
fn colours(row: &[u8], width: usize, pixels: &Pixels) -> Vec<u8> {
    match pixels {
        Pixels::Bit => colour::grey(&of_bits(colour::unpacked(row, width, 1))),
        Pixels::Grey => colour::grey(row),
        Pixels::Indexed(bits, palette) => palette.paint(&colour::unpacked(row, width, *bits)),
        Pixels::Sixteen { green } => {
            let pairs = row.chunks_exact(2);
            let values = pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            values.flat_map(|value| spread(value, *green)).collect()
        }
        Pixels::Bytes(size, [r, g, b]) => row
            .chunks_exact(*size)
            .flat_map(|pixel| [pixel[*r], pixel[*g], pixel[*b]])
            .collect(),
    }
}

fn of_bits(values: Vec<u8>) -> Vec<u8> {
    values
        .into_iter()
        .map(|v| if v == 0 { 0 } else { 255 })
        .collect()
}

/// Spreads values of 5 bits (or 6 of green) to 8, cut, not rounded.
fn spread(value: u16, green: u32) -> [u8; 3] {
    [(5 + green, 5), (5, green), (0, 5)].map(|(shift, bits)| {
        let most = (1 << bits) - 1;
        ((u32::from(value) >> shift & most) * 255 / most) as u8
    })
}

/// Returns the colours of run-length coded indices.
fn of_indices(pixels: &Pixels, indices: &[u8], bits: usize) -> Result<Vec<u8>, Error> {
    match pixels {
        Pixels::Bit => Ok(colour::grey(&of_bits(indices.to_vec()))),
        Pixels::Grey => Ok(colour::grey(indices)),
        Pixels::Indexed(_, palette) => Ok(palette.paint(indices)),
        _ => Err(damaged(format!("run lengths of {bits} bits a pixel"))),
    }
}

/// Copies `count` indices as they stand, and returns what follows; `None` where they are cut off.
fn copy<'a>(from: &'a [u8], count: usize, of_4: bool, out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let bytes = if of_4 { count.div_ceil(2) } else { count };
    let there = &from[..bytes.min(from.len())];
    if of_4 {
        let halves = there.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        out.extend(halves.take(count));
    } else {
        out.extend(there);
    }
    from.get(bytes..)
}

/// Undoes run lengths: `width * height` indices, in the order of the file. `at` is the place of
/// `runs` in the file, since what is not coded ends at an even one.
fn unpacked(
    runs: &[u8],
    at: usize,
    width: usize,
    height: usize,
    of_4: bool,
) -> Result<Vec<u8>, Error> {
    let all = width * height;
    // A run may stand out by its length, at most, before it is cut.
    let mut out = Vec::with_capacity(all + 255);
    let (mut rest, mut x) = (runs, 0);
    while out.len() < all {
        let [count, value, tail @ ..] = rest else {
            break;
        };
        rest = tail;
        match (*count, *value) {
            // The end of a row; of the picture; a step to the right and down.
            (0, 0) => {
                out.resize(out.len().next_multiple_of(width), 0);
                x = 0;
            }
            (0, 1) => break,
            (0, 2) => {
                let [right, down, tail @ ..] = rest else {
                    break;
                };
                rest = tail;
                let step = usize::from(*right) + usize::from(*down) * width;
                out.resize(all.min(out.len() + step), 0);
                x = out.len() % width;
            }
            (0, count) => {
                let taken = usize::from(count).min(all - out.len());
                let Some(tail) = copy(rest, taken, of_4, &mut out) else {
                    break;
                };
                rest = tail;
                x += usize::from(count);
                if (at + runs.len() - rest.len()) % 2 == 1 {
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
            (count, value) => {
                // What does not fit in the row is dropped.
                let count = usize::from(count).min(width.saturating_sub(x));
                let low = if of_4 { value & 15 } else { value };
                let high = if of_4 { value >> 4 } else { value };
                out.extend([high, low].iter().cycle().take(count));
                x += count;
            }
        }
    }
    if out.len() < all {
        return Err(truncated());
    }
    out.truncate(all);
    Ok(out)
}
