//! Any resolution (LLaVA-NeXT): which of the allowed canvases a picture is fitted on.
//!
//! Agrees with `select_best_resolution` and `get_patch_output_size` of Hugging Face transformers,
//! truncations included.

/// `(height, width)` in pixels.
pub type Size = (usize, usize);

/// The canvas that keeps the most of a picture's pixels and, among equals, wastes the fewest;
/// `None` where there is none.
pub fn best_canvas((height, width): Size, canvases: &[Size]) -> Option<Size> {
    let mut best = None;
    let (mut most_kept, mut least_wasted) = (0, usize::MAX);
    for &canvas in canvases {
        let scale = (canvas.1 as f64 / width as f64).min(canvas.0 as f64 / height as f64);
        let (fitted_width, fitted_height) = (
            (width as f64 * scale) as usize,
            (height as f64 * scale) as usize,
        );
        let kept = (fitted_width * fitted_height).min(width * height);
        let wasted = (canvas.0 * canvas.1).saturating_sub(kept);
        if kept > most_kept || (kept == most_kept && wasted < least_wasted) {
            (most_kept, least_wasted, best) = (kept, wasted, Some(canvas));
        }
    }
    best
}

/// The size of a picture scaled to fit in `canvas`.
pub fn fitted((height, width): Size, canvas: Size) -> Size {
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
