//! Any resolution (LLaVA-NeXT): which of the allowed canvases a picture is fitted on.
//!
//! Agrees with `select_best_resolution` and `get_patch_output_size` of Hugging Face transformers,
//! truncations included.

/// `(height, width)` in pixels.
pub type Size = (usize, usize);

/// Returns the canvas that keeps the most of a picture's pixels and, among equals, wastes the
/// fewest; `None` where there is none.
pub fn best_canvas((height, width): Size, canvases: &[Size]) -> Option<Size> {
    let mut best = None;
    let (mut most_kept, mut least_wasted) = (0, usize::MAX);
    for &canvas in canvases {
        let scale = (canvas.1 as f64 / width as f64).min(canvas.0 as f64 / height as f64);
        // Truncated, where `fitted` rounds up: transformers chooses the canvas by one rule and
        // resizes by the other.
        let (fitted_width, fitted_height) = (
            (width as f64 * scale) as usize,
            (height as f64 * scale) as usize,
        );
        let kept = (fitted_width * fitted_height).min(width * height);
        let wasted = (canvas.0 * canvas.1).saturating_sub(kept);
        // Strictly: of equal canvases the first in the configuration stays.
        if kept > most_kept || (kept == most_kept && wasted < least_wasted) {
            (most_kept, least_wasted, best) = (kept, wasted, Some(canvas));
        }
    }
    best
}

/// Chooses rows and columns of square tiles of `side` pixels, `most` at most and `fewest` at least,
/// whose shape is nearest to that of a picture; of equal shapes the larger, up to twice the
/// picture's area. One tile where there is no choice.
///
/// Agrees with `get_optimal_tiled_canvas` of Hugging Face's InternVL.
pub fn best_tiles((height, width): Size, side: usize, fewest: usize, most: usize) -> Size {
    let mut grids: Vec<Size> = (1..=most)
        .flat_map(|columns| (1..=most).map(move |rows| (rows, columns)))
        .filter(|(rows, columns)| (fewest..=most).contains(&(rows * columns)))
        .collect();
    // A stable sort: among as many tiles the fewer columns come first.
    grids.sort_by_key(|(rows, columns)| rows * columns);
    let (shape, area) = (width as f64 / height as f64, (width * height) as f64);
    let mut best = (1, 1);
    let mut nearest = f64::INFINITY;
    for (rows, columns) in grids {
        let distance = (shape - columns as f64 / rows as f64).abs();
        let covered = (side * side * columns * rows) as f64;
        // As transformers compares them: equal to the last bit, or else another shape.
        #[expect(clippy::float_cmp, reason = "the reference compares so")]
        let equal = distance == nearest;
        if distance < nearest || (equal && area > 0.5 * covered) {
            (best, nearest) = ((rows, columns), distance);
        }
    }
    best
}

/// Returns the size of a picture scaled to fit in `canvas`.
pub fn fitted((height, width): Size, canvas: Size) -> Size {
    // As `get_patch_output_size`: the tighter edge fills the canvas, the other one is rounded up.
    let (by_width, by_height) = (
        canvas.1 as f64 / width as f64,
        canvas.0 as f64 / height as f64,
    );
    if by_width < by_height {
        (
            ((height as f64 * by_width).ceil() as usize).min(canvas.0),
            canvas.1,
        )
    } else {
        (
            canvas.0,
            ((width as f64 * by_height).ceil() as usize).min(canvas.1),
        )
    }
}
