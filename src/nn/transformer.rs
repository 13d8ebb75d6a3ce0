//! A stack of blocks over packed rows, in which each sequence runs its own choice of layers.

use candle_core::{Result, Tensor};

use super::attention::PassState;
use super::block::Block;
use super::hook::{Hooks, Stack};
use super::kv_cache::sequence::SequenceCache;
use super::layout::{Layout, Span, scatter_rows};
use super::rope::Rope;

/// The blocks of a tower or a decoder.
#[derive(Debug, Clone)]
pub struct Transformer {
    /// The part of the model that this is.
    pub stack: Stack,
    /// The layers, in the order of a plain pass.
    pub blocks: Vec<Block>,
    /// Rotates queries and keys; `None` where positions are learned.
    pub rope: Option<Rope>,
}

impl Transformer {
    /// Creates a stack; on a GPU, layers of a block with the same inputs are laid out as one.
    pub fn new(stack: Stack, mut blocks: Vec<Block>, rope: Option<Rope>) -> Result<Self> {
        for block in &mut blocks {
            block.join()?;
        }
        Ok(Self {
            stack,
            blocks,
            rope,
        })
    }

    /// Runs the first `layers` blocks, or those that the hooks say, on each sequence:
    /// `x (R, D) -> (R', D)` with its layout, which has fewer rows where hooks drop some. A span
    /// whose rows have passed some layers already (`layers_done`) joins where they stand. `caches[i]`
    /// belongs to `layout.spans[i]`; a sequence without one attends to its own rows alone.
    ///
    /// Sequences on different paths meet again: in every round the lowest layer that any sequence
    /// has next is run by all that have it next.
    pub fn forward(
        &self,
        mut x: Tensor,
        layers: usize,
        layout: &Layout,
        caches: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout)> {
        let mut layout = layout.clone();
        let mut pass = self.begin_pass(&layout, &x)?;
        assign_slots(&layout, caches)?;
        let path = |s: &Span| hooks.path(self.stack, s.sequence).map(<[usize]>::to_vec);
        let paths: Vec<Option<Vec<usize>>> = layout.spans.iter().map(path).collect();
        // Checkpoints before the first layer that each sequence runs.
        record_checkpoints(&layout, |_| true, &x, caches)?;
        while let Some(layer) = layout
            .spans
            .iter()
            .zip(&paths)
            .filter_map(|(s, p)| next_layer(s, p.as_deref(), layers))
            .min()
        {
            let runs: Vec<bool> = layout
                .spans
                .iter()
                .zip(&paths)
                .map(|(s, p)| next_layer(s, p.as_deref(), layers) == Some(layer))
                .collect();
            x = self.run_layer(layer, x, (&layout, &pass), &runs, caches, hooks)?;
            let mut kept = vec![None; paths.len()];
            for i in (0..paths.len()).filter(|&i| runs[i]) {
                kept[i] = hooks.survivors(self.stack, layer, &layout.spans[i])?;
                layout.spans[i].layers_done += 1;
            }
            if kept.iter().any(Option::is_some) {
                let rows;
                (layout, rows) = layout.retain_rows(&kept);
                x = x.index_select(&Tensor::from_slice(&rows, rows.len(), x.device())?, 0)?;
                // Fewer rows: angles and masks are made anew.
                pass = self.begin_pass(&layout, &x)?;
            }
            record_checkpoints(&layout, |i| runs[i], &x, caches)?;
        }
        Ok((x, layout))
    }

    /// Runs one layer on the sequences that `runs` marks; the rows of the others stay as they are.
    fn run_layer(
        &self,
        layer: usize,
        x: Tensor,
        (layout, pass): (&Layout, &PassState),
        runs: &[bool],
        caches: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let Some(block) = self.blocks.get(layer) else {
            candle_core::bail!(
                "{} has {} layers, asked for layer {layer}",
                self.stack.name(),
                self.blocks.len()
            );
        };
        let at = (self.stack, layer);
        if runs.iter().all(|&r| r) {
            return block.forward(x, layout, at, pass, caches, hooks);
        }
        let (active, rows) = layout.select(|i| runs[i]);
        let index = Tensor::from_slice(&rows, rows.len(), x.device())?;
        // Angles and masks are those of the rows that take part.
        let pass = self.begin_pass(&active, &x)?;
        let mut own: Vec<Option<&mut SequenceCache>> = caches
            .iter_mut()
            .zip(runs)
            .filter(|(_, runs)| **runs)
            .map(|(cache, _)| cache.as_deref_mut())
            .collect();
        let active_rows = x.index_select(&index, 0)?;
        let y = block.forward(active_rows, &active, at, &pass, &mut own, hooks)?;
        scatter_rows(&x, &y, &rows, x.device())
    }

    fn begin_pass(&self, layout: &Layout, x: &Tensor) -> Result<PassState> {
        let Some(rope) = &self.rope else {
            return Ok(PassState::default());
        };
        let angles = rope.at(layout.positions().collect(), x.device())?;
        Ok(PassState::new(Some(angles)))
    }
}

/// Returns the layer that a span runs next, on its own path or, without one, on the first `layers`.
fn next_layer(span: &Span, path: Option<&[usize]>, layers: usize) -> Option<usize> {
    match path {
        Some(path) => path.get(span.layers_done).copied(),
        None => Some(span.layers_done).filter(|&layer| layer < layers),
    }
}

/// Lets the caches of the spans that have moved keep the rows that a checkpoint was requested for.
fn record_checkpoints(
    layout: &Layout,
    moved: impl Fn(usize) -> bool,
    x: &Tensor,
    caches: &mut [Option<&mut SequenceCache>],
) -> Result<()> {
    for (i, (span, cache)) in layout.spans.iter().zip(caches).enumerate() {
        if let Some(cache) = cache
            && moved(i)
        {
            cache.record_checkpoint(span, x)?;
        }
    }
    Ok(())
}

/// Begins a step of all sequences that decode in slots.
fn assign_slots(layout: &Layout, caches: &mut [Option<&mut SequenceCache>]) -> Result<()> {
    let (mut sequences, mut longest, mut slots) = (Vec::new(), 0, None);
    for (span, cache) in layout.spans.iter().zip(caches) {
        let Some(cache) = cache else { continue };
        let prompt = cache.prompt();
        if let Some((own, slot)) = cache.slot_of(span) {
            longest = longest.max(if slot.is_none() { prompt } else { 0 });
            sequences.push(slot);
            slots = Some(own);
        }
    }
    slots.map_or(Ok(()), |slots| slots.begin_step(&mut sequences, longest))
}
