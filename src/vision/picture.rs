//! Pictures as models see them: one square view, or a base view and the tiles of a larger canvas.

use super::Rgb;
use super::anyres::Size;

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Columns before it.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// A picture of 8-bit values, some of them replaced by the mean itself, which no 8-bit value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The picture, with the nearest colour in place of the mean.
    pub image: Rgb,
    /// A picture of the same size that is not black where the mean is; `None` without a mean.
    pub mean: Option<Rgb>,
}

impl View {
    /// Creates a view without a mean.
    pub fn new(image: Rgb) -> Self {
        Self { image, mean: None }
    }

    /// Returns the `side` x `side` pixels from column `left` and row `top`.
    fn cut(&self, left: usize, top: usize, side: usize) -> Self {
        let mean = self.mean.as_ref();
        Self {
            image: square(&self.image, left, top, side),
            mean: mean.map(|mean| square(mean, left, top, side)),
        }
    }
}

fn square(picture: &Rgb, left: usize, top: usize, side: usize) -> Rgb {
    let mut square = Rgb::filled(side, side, [0; 3]);
    square.paste(picture, -(left as isize), -(top as isize));
    square
}

/// The picture that is cut into tiles.
#[derive(Debug, Clone)]
pub struct Canvas {
    /// The picture, padded with black to whole tiles.
    pub view: View,
    /// The area of the picture on it.
    pub content: Area,
}

/// A picture after resizing, before normalisation.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The size of the file's picture.
    pub size: Size,
    /// The whole picture in one square.
    pub base: View,
    /// The picture at a higher resolution.
    pub canvas: Option<Canvas>,
}

impl Picture {
    /// Returns the pixels along the side of the base view and of each tile.
    pub fn side(&self) -> usize {
        self.base.image.width
    }

    /// Returns the views for the tower: the base view, then the tiles row by row, all of one size.
    pub fn views(&self) -> Vec<View> {
        let side = self.side();
        let mut views = vec![self.base.clone()];
        if let Some(Canvas { view, .. }) = &self.canvas {
            for top in (0..view.image.height).step_by(side) {
                views.extend(
                    (0..view.image.width)
                        .step_by(side)
                        .map(|left| view.cut(left, top, side)),
                );
            }
        }
        views
    }

    /// Returns its most detailed form.
    pub fn shown(&self) -> &Rgb {
        &self.canvas.as_ref().map_or(&self.base, |c| &c.view).image
    }

    /// Returns the views of the picture with its area on each: the base view, then the canvas.
    pub fn areas(&mut self) -> Vec<(&mut View, Area)> {
        let whole = Area {
            left: 0,
            top: 0,
            width: self.base.image.width,
            height: self.base.image.height,
        };
        let mut areas = vec![(&mut self.base, whole)];
        areas.extend(self.canvas.as_mut().map(|c| (&mut c.view, c.content)));
        areas
    }
}
