//! Shuffle patches: the picture's cells change places before the tower sees it (Naseer et al. 2021;
//! Lee et al. 2024, section 3.3).
//!
//! Laws: one cell, or the identity order, changes nothing; an order and its inverse cancel where
//! the cells are alike.

use super::permute_tokens::{Order, check_permutation};
use super::plan::{Resolution, Resolved};
use super::retouch::{Change, Retouch};
use super::{Compiler, Error, Place};

/// Permutes the cells of a grid on every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ShufflePatches {
    /// Cells along each side.
    pub grid: usize,
    /// How the order is chosen.
    pub order: Order,
}

impl ShufflePatches {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let context = compiler.context;
        if self.grid == 0 {
            return Err(place.invalid("grid", "0; at least 1 is needed"));
        }
        let grid = place.grid(context, self.grid)?;
        place.needs_image(context)?;
        let mut resolved = Resolved::default();
        for image in 0..context.images.len() {
            let order = match &self.order {
                Order::Seed(seed) => place.draws(*seed, context, image).permutation(grid.cells()),
                Order::Given(order) => {
                    check_permutation(
                        place,
                        "order.indices",
                        order,
                        grid.cells(),
                        "cells in the grid",
                    )?;
                    order.clone()
                }
            };
            resolved
                .resolutions
                .push(Resolution::of(image, order.clone()));
            let change = Change::Shuffle { order };
            compiler.plan.retouches.push(Retouch {
                owner: place.index,
                image,
                grid,
                change,
            });
        }
        Ok(resolved)
    }
}
