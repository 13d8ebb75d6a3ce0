//! A stack of blocks over packed rows, in which each sequence runs its own choice of layers.

use candle_core::Tensor;

use super::layout::scatter_rows;
use super::{Block, Hooks, KvCache, Layout, Result, Rope, Stack};

/// The blocks of a tower or a decoder.
#[derive(Debug, Clone)]
pub struct Transformer {
    /// Which part of the model this is.
    pub stack: Stack,
    /// From the input up.
    pub blocks: Vec<Block>,
    /// Rotates queries and keys; none in a tower.
    pub rope: Option<Rope>,
}

impl Transformer {
    /// Runs the first `layers` blocks: `x (R, D) -> (R, D)`. `caches[i]` belongs to `layout.spans[i]`; a
    /// sequence without one attends to its own rows alone.
    pub fn forward(
        &self,
        mut x: Tensor,
        layers: usize,
        layout: &Layout,
        caches: &mut [Option<&mut KvCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let angles = self.angles(layout, &x)?;
        for (layer, block) in self.blocks.iter().enumerate().take(layers) {
            let (active, rows) = layout.select(|s| hooks.runs(self.stack, layer, s.sequence));
            if rows.is_empty() {
                continue;
            }
            let at = (self.stack, layer);
            if active.spans.len() == layout.spans.len() {
                x = block.forward(x, layout, at, angles.as_ref(), caches, hooks)?;
                continue;
            }
            let index = Tensor::from_slice(&rows, rows.len(), x.device())?;
            let angles = self.angles(&active, &x)?;
            let mut own: Vec<Option<&mut KvCache>> = caches
                .iter_mut()
                .zip(&layout.spans)
                .filter(|(_, s)| hooks.runs(self.stack, layer, s.sequence))
                .map(|(c, _)| c.as_deref_mut())
                .collect();
            let y = block.forward(x.index_select(&index, 0)?, &active, at, angles.as_ref(), &mut own, hooks)?;
            x = scatter_rows(&x, &y, &rows, x.device())?;
        }
        Ok(x)
    }

    fn angles(&self, layout: &Layout, x: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
        let Some(rope) = &self.rope else { return Ok(None) };
        let positions: Vec<u32> = layout.positions().collect();
        let count = positions.len();
        rope.at(&Tensor::from_vec(positions, count, x.device())?).map(Some)
    }
}
