//! Pillow's conversions to RGB, value by value.

/// Repeats each value for red, green and blue.
pub(super) fn grey(values: &[u8]) -> Vec<u8> {
    values.iter().flat_map(|&v| [v; 3]).collect()
}

/// Keeps the first of each `channels` values, repeated: grey with alpha.
pub(super) fn grey_of(values: &[u8], channels: usize) -> Vec<u8> {
    values
        .chunks_exact(channels)
        .flat_map(|pixel| [pixel[0]; 3])
        .collect()
}

/// Keeps the first three of each `channels` values, which is all that dropping alpha takes.
pub(super) fn rgb_of(values: &[u8], channels: usize) -> Vec<u8> {
    values
        .chunks_exact(channels)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

/// Clips 16-bit grey at 255, as mode `I;16` becomes RGB; it is not scaled.
pub(super) fn clipped(values: impl Iterator<Item = u16>) -> Vec<u8> {
    values.flat_map(|v| [v.min(255) as u8; 3]).collect()
}

/// Converts CMYK, four values a pixel, each ink as much as its value.
pub(super) fn cmyk(values: &[u8]) -> Vec<u8> {
    // Pillow's `cmyk2rgb`: an ink takes its share of the light that black has left.
    let ink = |value: u8, light: u8| light - scaled(value, light);
    values
        .chunks_exact(4)
        .flat_map(|pixel| {
            let light = 255 - pixel[3];
            [
                ink(pixel[0], light),
                ink(pixel[1], light),
                ink(pixel[2], light),
            ]
        })
        .collect()
}

/// Converts CMYK in which 255 is no ink, as Adobe writes it in JPEG.
pub(super) fn inverted_cmyk(values: &[u8]) -> Vec<u8> {
    cmyk(&values.iter().map(|v| !v).collect::<Vec<u8>>())
}

/// Computes `a * b / 255`, rounded, in integers.
fn scaled(a: u8, b: u8) -> u8 {
    // Pillow's `MULDIV255`, which is exact for all bytes.
    let product = u32::from(a) * u32::from(b) + 128;
    (((product >> 8) + product) >> 8) as u8
}

/// 256 colours of a file; those it does not name are black, as in Pillow.
pub(super) struct Palette([[u8; 3]; 256]);

impl Palette {
    /// Creates a palette from red, green and blue for each colour, one after another.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut colours = [[0; 3]; 256];
        for (colour, bytes) in colours.iter_mut().zip(bytes.chunks_exact(3)) {
            *colour = [bytes[0], bytes[1], bytes[2]];
        }
        Self(colours)
    }

    /// Returns the colours of `indices`, three bytes each.
    pub(super) fn paint(&self, indices: &[u8]) -> Vec<u8> {
        indices
            .iter()
            .flat_map(|&i| self.0[usize::from(i)])
            .collect()
    }
}

/// Cuts rows of packed values of `bits` bits, padded to whole bytes, to one byte a value.
pub(super) fn unpacked(data: &[u8], width: usize, bits: usize) -> Vec<u8> {
    if bits == 8 {
        return data.to_vec();
    }
    // The first value of a byte stands in its highest bits.
    let mask = (1u8 << bits) - 1;
    let value = |row: &[u8], x: usize| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & mask;
    data.chunks_exact((width * bits).div_ceil(8))
        .flat_map(|row| (0..width).map(|x| value(row, x)).collect::<Vec<u8>>())
        .collect()
}
