//! The bandwidth of a GPU's memory, by plain copies from one piece of it to another.

use std::time::Instant;

use candle_core::CudaDevice;
use candle_core::backend::BackendDevice;

use super::Failure;
use super::warm_median::warm_median;

/// Copies that are timed together, so that starting them costs nothing beside them.
const COPIES: usize = 10;
/// Bytes of a copy where there is room, and the fewest.
const MOST: usize = 4 << 30;
const LEAST: usize = 64 << 20;

/// Measures bytes a second, read and written. Both pieces are there before the clock starts: making
/// one takes longer than filling it.
pub(super) fn bandwidth(card: &CudaDevice, repeat: usize) -> Result<f64, Failure> {
    let mut size = MOST;
    let (from, mut to) = loop {
        match (card.alloc_zeros::<u8>(size), card.alloc_zeros::<u8>(size)) {
            (Ok(from), Ok(to)) => break (from, to),
            (Err(error), _) | (_, Err(error)) if size / 2 < LEAST => return Err(error.into()),
            // What was had of the two goes back before fewer bytes are asked for.
            _ => size /= 2,
        }
    };
    let mut times = Vec::with_capacity(repeat + 1);
    for _ in 0..=repeat {
        card.synchronize()?;
        let start = Instant::now();
        for _ in 0..COPIES {
            card.memcpy_dtod(&from, &mut to)?;
        }
        card.synchronize()?;
        times.push(start.elapsed().as_secs_f64() / COPIES as f64);
    }
    Ok(2.0 * size as f64 / warm_median(times))
}
