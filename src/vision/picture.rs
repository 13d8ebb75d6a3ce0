//! Pictures as models see them: one view, or a base view and the tiles of a larger canvas.

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

    /// Cuts out the pixels of `size` from column `left` and row `top` on.
    fn cut(&self, left: usize, top: usize, size: Size) -> Self {
        let mean = self.mean.as_ref();
        Self {
            image: part(&self.image, left, top, size),
            mean: mean.map(|mean| part(mean, left, top, size)),
        }
    }
}

fn part(picture: &Rgb, left: usize, top: usize, (height, width): Size) -> Rgb {
    let mut part = Rgb::filled(width, height, [0; 3]);
    part.paste(picture, -(left as isize), -(top as isize));
    part
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
    /// The whole picture in one view.
    pub base: View,
    /// The picture at a higher resolution.
    pub canvas: Option<Canvas>,
}

impl Picture {
    /// Returns the height and the width of the base view, and of each tile, in pixels.
    pub fn view_size(&self) -> Size {
        (self.base.image.height, self.base.image.width)
    }

    /// Returns the views for the tower: the base view, then the tiles row by row, all of one size.
    pub fn views(&self) -> Vec<View> {
        let size = self.view_size();
        let mut views = vec![self.base.clone()];
        if let Some(Canvas { view, .. }) = &self.canvas {
            // Whole tiles: a canvas is a multiple of the base view along both edges.
            for top in (0..view.image.height).step_by(size.0) {
                let lefts = (0..view.image.width).step_by(size.1);
                views.extend(lefts.map(|left| view.cut(left, top, size)));
            }
        }
        views
    }

    /// Returns how many pixels the base view and the canvas have together.
    pub fn pixels(&self) -> u64 {
        let canvas = self.canvas.as_ref().map(|canvas| &canvas.view);
        let views = std::iter::once(&self.base).chain(canvas);
        let pixels = views.map(|view| view.image.width * view.image.height);
        pixels.sum::<usize>() as u64
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
