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

/// What the tiles are cut from.
#[derive(Debug, Clone)]
pub struct Canvas {
    /// The picture, padded with black to whole tiles.
    pub image: Rgb,
    /// Where the picture stands on it.
    pub content: Area,
}

/// A picture after resizing, before normalisation.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Of the file.
    pub size: Size,
    /// The whole picture in one square.
    pub base: Rgb,
    /// The picture at a higher resolution.
    pub canvas: Option<Canvas>,
}

impl Picture {
    /// What the tower sees: the base view, then the tiles row by row, all as large as the base view.
    pub fn views(&self) -> Vec<Rgb> {
        let side = self.base.width;
        let mut views = vec![self.base.clone()];
        if let Some(canvas) = &self.canvas {
            for top in (0..canvas.image.height).step_by(side) {
                for left in (0..canvas.image.width).step_by(side) {
                    let mut tile = Rgb::filled(side, side, [0; 3]);
                    tile.paste(&canvas.image, -(left as isize), -(top as isize));
                    views.push(tile);
                }
            }
        }
        views
    }

    /// The most detailed form of it.
    pub fn shown(&self) -> &Rgb {
        self.canvas.as_ref().map_or(&self.base, |c| &c.image)
    }

    /// The images that show the picture, and where: the base view, then the canvas.
    pub fn areas(&mut self) -> Vec<(&mut Rgb, Area)> {
        let whole = Area { left: 0, top: 0, width: self.base.width, height: self.base.height };
        let mut areas = vec![(&mut self.base, whole)];
        areas.extend(self.canvas.as_mut().map(|c| (&mut c.image, c.content)));
        areas
    }
}
