//! Blank image: one colour in place of the picture, the blind control.

use super::plan::{Resolution, Resolved};
use super::retouch::{Change, Fill, Retouch};
use super::{Compiler, Error, Place};
use crate::vision::Grid;

/// Every picture becomes one colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlankImage {
    /// The colour, or the mean colour of the processor.
    pub fill: Fill,
}

impl BlankImage {
    pub(super) fn compile(
        self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        place.needs_image(compiler.context)?;
        let mut resolved = Resolved::default();
        for image in 0..compiler.context.images.len() {
            let draws = place.draws(0, compiler.context, image);
            let change = Change::Paint {
                cells: vec![0],
                fill: self.fill,
                draws,
            };
            compiler.plan.retouches.push(Retouch {
                owner: place.index,
                image,
                grid: Grid::square(1),
                change,
            });
            resolved.resolutions.push(Resolution::of(image, Vec::new()));
        }
        Ok(resolved)
    }
}
