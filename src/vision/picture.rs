//! A picture as a model sees it: one square view, or a base view and the tiles of a larger canvas.

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

/// 8-bit values, and where the mean itself stands in their place, which no 8-bit value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What is seen; the nearest colour where the mean stands.
    pub image: Rgb,
    /// As large, not black where the mean stands; `None` where it stands nowhere.
    pub mean: Option<Rgb>,
}

impl View {
    /// The image, the mean nowhere.
    pub fn new(image: Rgb) -> Self {
        Self { image, mean: None }
    }

    /// The `side` x `side` pixels from column `left` and row `top`.
    fn cut(&self, left: usize, top: usize, side: usize) -> Self {
        let part = |of: &Rgb| {
            let mut part = Rgb::filled(side, side, [0; 3]);
            part.paste(of, -(left as isize), -(top as isize));
            part
        };
        Self {
            image: part(&self.image),
            mean: self.mean.as_ref().map(part),
        }
    }
}

/// What the tiles are cut from.
#[derive(Debug, Clone)]
pub struct Canvas {
    /// The picture, padded with black to whole tiles.
    pub view: View,
    /// Where the picture stands on it.
    pub content: Area,
}

/// A picture after resizing, before normalisation.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Of the file.
    pub size: Size,
    /// The whole picture in one square.
    pub base: View,
    /// The picture at a higher resolution.
    pub canvas: Option<Canvas>,
}

impl Picture {
    /// Pixels along the sides of the base view, and of each tile.
    pub fn side(&self) -> usize {
        self.base.image.width
    }

    /// What the tower sees: the base view, then the tiles row by row, all as large as the base
    /// view.
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

    /// The most detailed form of it.
    pub fn shown(&self) -> &Rgb {
        &self.canvas.as_ref().map_or(&self.base, |c| &c.view).image
    }

    /// The images that show the picture, and where: the base view, then the canvas.
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
