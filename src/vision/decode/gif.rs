//! GIF: the first frame on its screen.
//!
//! The screen around the frame shows the transparent colour where there is one, else colour 0;
//! frames that stand out of the screen enlarge it.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::budget::{Budget, damaged};
use super::colour;
use crate::vision::{Error, Rgb};

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(
        std::num::NonZeroU64::new(budget.bytes()).ok_or(Error::Format)?,
    ));
    // Encoders leave the end code out, and Pillow stops when the pixels are full.
    options.check_lzw_end_code(false);
    options.allow_unknown_blocks(true);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(damaged)?;
    let screen = (decoder.width(), decoder.height());
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder
        .next_frame_info()
        .map_err(damaged)?
        .ok_or_else(|| damaged("no frame"))?
        // A copy: reading the pixels borrows the decoder again.
        .clone();
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (across, down) = (usize::from(frame.width), usize::from(frame.height));
    let width = usize::from(screen.0).max(left + across);
    let height = usize::from(screen.1).max(top + down);
    // After the frame's header: a frame may stand out of the screen, and enlarges it.
    budget.check(width as u32, height as u32)?;
    let mut indices = vec![frame.transparent.unwrap_or(0); width * height];
    if across > 0 && down > 0 {
        let mut data = vec![0; across * down];
        decoder.read_into_buffer(&mut data).map_err(damaged)?;
        for (y, row) in data.chunks_exact(across).enumerate() {
            let start = (top + y) * width + left;
            indices[start..start + across].copy_from_slice(row);
        }
    }
    let palette = frame.palette.or(global).unwrap_or_default();
    Ok(Rgb {
        width,
        height,
        data: colour::Palette::new(&palette).paint(&indices),
    })
}
