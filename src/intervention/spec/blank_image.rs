//! Blank image: one colour in place of the picture, the blind control.

use crate::intervention::compile::{Compiler, Entry, Spec, grid_work};
use crate::intervention::error::Error;
use crate::intervention::plan::{Fill, ImageChange, Resolution, Resolved};
use crate::vision::CellGrid;

/// Every picture becomes one colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlankImage {
    /// The colour, or the mean colour of the processor.
    pub fill: Fill,
}

impl Spec for BlankImage {
    fn picture_work(&self, pixels: u64) -> u64 {
        // One cell, which is the picture.
        grid_work(1, pixels)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.needs_image(compiler.context)?;
        let mut resolved = Resolved::default();
        for image in 0..compiler.context.images.len() {
            // Nothing is drawn: a blank picture is never noise.
            let draws = entry.draws(0, compiler.context, image);
            let change = ImageChange::Paint {
                // The only cell of the grid is the picture.
                cells: vec![0],
                fill: self.fill,
                draws,
            };
            compiler.edit_image(entry, image, CellGrid::square(1), change);
            resolved.resolutions.push(Resolution::of(image, Vec::new()));
        }
        Ok(resolved)
    }
}
