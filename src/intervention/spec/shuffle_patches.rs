//! Shuffle patches: the picture's cells change places before the tower sees it (Naseer et al. 2021;
//! Lee et al. 2024, section 3.3).
//!
//! Laws: one cell, or the identity order, changes nothing; an order and its inverse cancel where
//! the cells are alike.

use super::permute_tokens::{Order, check_permutation};
use crate::intervention::compile::{Compiler, Entry, Spec, grid_work};
use crate::intervention::error::Error;
use crate::intervention::plan::{ImageChange, Resolution, Resolved};

/// Permutes the cells of a grid on every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ShufflePatches {
    /// Cells along each side.
    pub grid: usize,
    /// The new order of the cells.
    pub order: Order,
}

impl Spec for ShufflePatches {
    fn picture_work(&self, pixels: u64) -> u64 {
        grid_work(self.grid, pixels)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let context = compiler.context;
        // 0 means no grid here, while it means the patch grid to occlude_patches.
        if self.grid == 0 {
            return Err(entry.invalid("grid", "0; at least 1 is needed"));
        }
        // Before the pictures are asked for, so that a preview without any reports it.
        let grid = entry.grid(context, self.grid)?;
        entry.needs_image(context)?;
        let mut resolved = Resolved::default();
        for image in 0..context.images.len() {
            let order = match &self.order {
                Order::Seed(seed) => entry.draws(*seed, context, image).permutation(grid.cells()),
                Order::Given(order) => {
                    check_permutation(
                        entry,
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
            let change = ImageChange::Shuffle { order };
            compiler.edit_image(entry, image, grid, change);
        }
        Ok(resolved)
    }
}
