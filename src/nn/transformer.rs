//! A stack of blocks over packed rows, in which each sequence runs its own choice of layers.

use candle_core::{Result, Tensor};

use super::attention::Frame;
use super::block::Block;
use super::hook::{Hooks, Stack};
use super::kv_cache::sequence::Track;
use super::kv_cache::slots::Lanes;
use super::layout::{Layout, Span, scatter_rows};
use super::rope::Rope;

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
    /// Runs the first `layers` blocks, or those that the hooks say, on each sequence:
    /// `x (R, D) -> (R', D)` with its layout, which has fewer rows where hooks drop some. A span
    /// whose rows have passed some layers already (its `slot`) joins where they stand. `tracks[i]`
    /// belongs to `layout.spans[i]`; a sequence without one attends to its own rows alone.
    ///
    /// Sequences on different paths meet again: in every round the lowest layer that any sequence
    /// has next is run by all that have it next.
    pub fn forward(
        &self,
        mut x: Tensor,
        layers: usize,
        layout: &Layout,
        tracks: &mut [Option<&mut Track>],
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout)> {
        let mut layout = layout.clone();
        let mut frame = self.frame(&layout, &x)?;
        seat(&layout, tracks)?;
        let path = |s: &Span| hooks.path(self.stack, s.sequence).map(<[usize]>::to_vec);
        let paths: Vec<Option<Vec<usize>>> = layout.spans.iter().map(path).collect();
        let next_of = |span: &Span, path: &Option<Vec<usize>>| match path {
            Some(path) => path.get(span.slot).copied(),
            None => Some(span.slot).filter(|&l| l < layers),
        };
        Self::pass(&layout, |_| true, &x, tracks)?;
        while let Some(layer) = layout
            .spans
            .iter()
            .zip(&paths)
            .filter_map(|(s, p)| next_of(s, p))
            .min()
        {
            let Some(block) = self.blocks.get(layer) else {
                candle_core::bail!(
                    "{} has {} layers, asked for layer {layer}",
                    self.stack.name(),
                    self.blocks.len()
                );
            };
            let runs: Vec<bool> = layout
                .spans
                .iter()
                .zip(&paths)
                .map(|(s, p)| next_of(s, p) == Some(layer))
                .collect();
            let at = (self.stack, layer);
            if runs.iter().all(|&r| r) {
                x = block.forward(x, &layout, at, &frame, tracks, hooks)?;
            } else {
                let (active, rows) = layout.select(|i| runs[i]);
                let index = Tensor::from_slice(&rows, rows.len(), x.device())?;
                let frame = self.frame(&active, &x)?;
                let mut own: Vec<Option<&mut Track>> = tracks
                    .iter_mut()
                    .zip(&runs)
                    .filter(|(_, r)| **r)
                    .map(|(t, _)| t.as_deref_mut())
                    .collect();
                let y = block.forward(
                    x.index_select(&index, 0)?,
                    &active,
                    at,
                    &frame,
                    &mut own,
                    hooks,
                )?;
                x = scatter_rows(&x, &y, &rows, x.device())?;
            }
            let mut kept = vec![None; paths.len()];
            for i in (0..paths.len()).filter(|&i| runs[i]) {
                kept[i] = hooks.survivors(self.stack, layer, &layout.spans[i])?;
                layout.spans[i].slot += 1;
            }
            if kept.iter().any(Option::is_some) {
                let rows;
                (layout, rows) = layout.thin(&kept);
                x = x.index_select(&Tensor::from_slice(&rows, rows.len(), x.device())?, 0)?;
                frame = self.frame(&layout, &x)?;
            }
            Self::pass(&layout, |i| runs[i], &x, tracks)?;
        }
        Ok((x, layout))
    }

    /// Shows the rows of the spans that have moved to their tracks.
    fn pass(
        layout: &Layout,
        moved: impl Fn(usize) -> bool,
        x: &Tensor,
        tracks: &mut [Option<&mut Track>],
    ) -> Result<()> {
        for (i, (span, track)) in layout.spans.iter().zip(tracks).enumerate() {
            if let Some(track) = track
                && moved(i)
            {
                track.pass(span, x)?;
            }
        }
        Ok(())
    }

    fn frame(&self, layout: &Layout, x: &Tensor) -> Result<Frame> {
        let Some(rope) = &self.rope else {
            return Ok(Frame::default());
        };
        let positions: Vec<u32> = layout.positions().collect();
        let count = positions.len();
        let angles = rope.at(&Tensor::from_vec(positions, count, x.device())?)?;
        Ok(Frame::new(Some(angles)))
    }
}

/// Gives all that write in lanes their lane in this step.
fn seat(layout: &Layout, tracks: &mut [Option<&mut Track>]) -> Result<()> {
    let (mut seats, mut longest, mut of) = (Vec::new(), 0, None);
    for (span, track) in layout.spans.iter().zip(tracks) {
        let Some(track) = track else { continue };
        let prompt = track.prompt();
        if let Some((lanes, seat)) = track.lanes_of(span) {
            longest = longest.max(if seat.is_none() { prompt } else { 0 });
            seats.push(seat);
            of = Some(lanes);
        }
    }
    of.map_or(Ok(()), |lanes: Lanes| lanes.step(&mut seats, longest))
}
