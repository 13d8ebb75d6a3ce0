//! A stack of blocks over packed rows, in which each sequence runs its own choice of layers, and
//! whose blocks may be spread over several devices.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use super::attention::PassState;
use super::backend::Backend;
use super::block::Block;
use super::hook::{Hooks, Point, Site, Stack};
use super::kv_cache::sequence::SequenceCache;
use super::layout::{Layout, Queries, Span, scatter_rows};
use super::micro_batch::{MicroBatch, to_device};
use super::rope::Rope;

/// The blocks of a tower or a decoder.
#[derive(Debug, Clone)]
pub struct Transformer {
    /// The part of the model that this is.
    stack: Stack,
    /// The layers, in the order of a plain pass.
    blocks: Vec<Block>,
    /// Rotate queries and keys, one for each device that has blocks; none where positions are
    /// learned.
    ropes: Vec<Rope>,
    /// The layers of each device.
    stages: Vec<Range<usize>>,
}

impl Transformer {
    /// Creates a stack on one device; `rope` is `None` where positions are learned.
    pub fn new(stack: Stack, blocks: Vec<Block>, rope: Option<Rope>) -> Result<Self> {
        let stages = std::iter::once(0..blocks.len()).collect();
        Self::spread(stack, blocks, rope.into_iter().collect(), stages)
    }

    /// Creates a stack on several devices, the layers `stages[i]` on the i-th; `ropes` has one for
    /// each. On a GPU, layers of a block with the same inputs are laid out as one.
    pub fn spread(
        stack: Stack,
        mut blocks: Vec<Block>,
        ropes: Vec<Rope>,
        stages: Vec<Range<usize>>,
    ) -> Result<Self> {
        for block in &mut blocks {
            block.join()?;
        }
        Ok(Self {
            stack,
            blocks,
            ropes,
            stages,
        })
    }

    /// Returns the layers, in the order of a plain pass.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Returns what rotates queries and keys; `None` where positions are learned.
    pub fn rope(&self) -> Option<&Rope> {
        self.ropes.first()
    }

    /// Returns the layers of each device, in their order.
    pub fn stages(&self) -> &[Range<usize>] {
        &self.stages
    }

    /// Runs the first `layers` blocks, or those that the hooks say, on each sequence:
    /// `x (R, D) -> (R', D)` with its layout, which has fewer rows where hooks drop some. A span
    /// whose rows have passed some layers already (`layers_done`) joins where they stand. `caches[i]`
    /// belongs to `layout.spans[i]`; a sequence without one attends to its own rows alone.
    ///
    /// Sequences on different paths meet again: in every round the lowest layer that any sequence
    /// has next is run by all that have it next. Over several devices that holds for each
    /// micro-batch; a row's bits do not depend on it.
    ///
    /// On a CPU, rows that nobody [reads](Span::read) end in the last layer, with their keys and
    /// values.
    pub fn forward(
        &self,
        x: Tensor,
        layers: usize,
        layout: &Layout,
        caches: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout)> {
        // Slots are for layers where candle attends.
        if !self.blocks.iter().all(|b| b.attention.decodes_by_kernel()) {
            assign_slots(layout, caches)?;
        }
        // Copied: the layers borrow the hooks mutably.
        let path = |s: &Span| hooks.path(self.stack, s.sequence).map(<[usize]>::to_vec);
        let mut parts = MicroBatch::cut(x, layout, self.stages.len(), layers, path)?;
        for part in &parts {
            // Checkpoints before the first layer that each sequence runs.
            record_checkpoints(&part.layout, |_| true, &part.x, part.own(caches))?;
        }
        let mut entered = 0;
        while parts.iter().any(|part| part.next_layer().is_some()) {
            // In a turn every part goes one device on, that which is farthest first: so it is
            // handed on before its old device gets the next part to work on, and this thread waits
            // for no more than it must.
            entered = parts.len().min(entered + 1);
            for part in &mut parts[..entered] {
                self.run_stage(part, caches, hooks)?;
            }
        }
        let last = self.blocks.last().map_or(&Device::Cpu, Block::device);
        MicroBatch::join(parts, last)
    }

    /// Runs one layer on whole sequences, which keep no keys: `x (R, D) -> (R, D)`, on the device of
    /// the layer.
    pub fn forward_layer(
        &self,
        layer: usize,
        x: &Tensor,
        layout: &Layout,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let x = match self.blocks.get(layer) {
            Some(block) => to_device(x, block.device())?,
            // Fails below, by its number.
            None => x.clone(),
        };
        let pass = self.begin_pass(layout, &x)?;
        let runs = vec![true; layout.spans.len()];
        self.run_layer(layer, x, (layout, &pass), &runs, &mut [], hooks)
    }

    /// Runs the layers of a part up to the next one that is on another device.
    fn run_stage(
        &self,
        part: &mut MicroBatch,
        caches: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<()> {
        let Some(first) = part.next_layer() else {
            return Ok(());
        };
        // A layer that is not there fails in `run_layer`, by its number.
        if let Some(block) = self.blocks.get(first) {
            part.x = to_device(&part.x, block.device())?;
        }
        // Anew on each device: angles, masks and plans of attention are tensors.
        part.pass = self.begin_pass(&part.layout, &part.x)?;
        let stage = self.stage_of(first);
        while let Some(layer) = part.next_layer()
            && self.stage_of(layer) == stage
        {
            self.run_round(layer, part, caches, hooks)?;
        }
        Ok(())
    }

    /// Returns the number of the device of a layer.
    fn stage_of(&self, layer: usize) -> Option<usize> {
        self.stages.iter().position(|own| own.contains(&layer))
    }

    /// Runs one layer on the sequences of a part that have it next.
    fn run_round(
        &self,
        layer: usize,
        part: &mut MicroBatch,
        caches: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<()> {
        let caches = part.own(caches);
        let count = part.layout.spans.len();
        let runs: Vec<bool> = (0..count)
            .map(|i| part.next_layer_of(i) == Some(layer))
            .collect();
        part.pass.queries = self.queries(layer, part, &runs, caches, hooks)?;
        let pass = (&part.layout, &part.pass);
        part.x = self.run_layer(layer, part.x.clone(), pass, &runs, caches, hooks)?;
        if let Some(queries) = part.pass.queries.take() {
            // No layer follows that would need angles of these rows.
            part.layout = queries.layout;
        }
        let mut kept = vec![None; count];
        for i in (0..count).filter(|&i| runs[i]) {
            kept[i] = hooks.survivors(self.stack, layer, &part.layout.spans[i])?;
            // Caches and checkpoints find the sequence by this number from here on.
            part.layout.spans[i].layers_done += 1;
        }
        if kept.iter().any(Option::is_some) {
            let rows;
            (part.layout, rows) = part.layout.retain_rows(&kept);
            let index = Tensor::from_slice(&rows, rows.len(), part.x.device())?;
            // (R, D) -> (R', D).
            part.x = part.x.index_select(&index, 0)?;
            // Fewer rows: angles and masks are made anew.
            part.pass = self.begin_pass(&part.layout, &part.x)?;
        }
        record_checkpoints(&part.layout, |i| runs[i], &part.x, caches)
    }

    /// Returns which rows go on from the attention of `layer`, where it is the last one of all
    /// sequences and not all of their rows are read.
    fn queries(
        &self,
        layer: usize,
        part: &MicroBatch,
        runs: &[bool],
        caches: &[Option<&mut SequenceCache>],
        hooks: &dyn Hooks,
    ) -> Result<Option<Queries>> {
        let spans = &part.layout.spans;
        // Of all of them: a layer that followed would need the angles of rows that end here.
        let is_last = (0..spans.len()).all(|i| runs[i] && part.is_last(i));
        // The kernel of a GPU reads keys where the queries' rows are.
        let is_on_cpu = Backend::of(part.x.device()) == Backend::Cpu;
        if !is_last || !is_on_cpu {
            return Ok(None);
        }
        let mut kept = vec![None; spans.len()];
        for (i, span) in spans.iter().enumerate() {
            let Some(read) = &span.read else { continue };
            let cache = caches.get(i).and_then(Option::as_deref);
            // A checkpoint behind the last layer holds rows that nobody reads here.
            let is_kept = cache.is_some_and(|c| c.wants_checkpoint(span.layers_done + 1));
            if !is_kept && !acts_behind_keys(hooks, (self.stack, layer), span.sequence) {
                let rows = (0..).zip(span.tokens.iter());
                let rows = rows.filter(|(_, token)| read.binary_search(token).is_ok());
                let rows: Vec<u32> = rows.map(|(row, _)| row).collect();
                kept[i] = Some(rows).filter(|rows| rows.len() < span.tokens.len());
            }
        }
        if kept.iter().all(Option::is_none) {
            return Ok(None);
        }
        Queries::new(&part.layout, kept, part.x.device()).map(Some)
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

    /// Returns the state of a pass of `x`, on the device of `x`.
    fn begin_pass(&self, layout: &Layout, x: &Tensor) -> Result<PassState> {
        // Learned positions were added to the embeddings.
        if self.ropes.is_empty() {
            return Ok(PassState::default());
        }
        let Some(rope) = self.ropes.iter().find(|rope| rope.serves(x.device())) else {
            candle_core::bail!("no angles for rows on {:?}", x.device().location());
        };
        let angles = rope.at(layout.positions().collect(), x.device())?;
        Ok(PassState::new(Some(angles)))
    }
}

/// Reports whether hooks of a sequence look at a row of its last layer behind the row's key and
/// value.
fn acts_behind_keys(hooks: &dyn Hooks, (stack, layer): (Stack, usize), sequence: usize) -> bool {
    // Keys, values and all before them are made of every row, whoever reads it.
    const BEHIND: [Site; 13] = [
        Site::Q,
        Site::RotQ,
        Site::Scores,
        Site::Pattern,
        Site::Z,
        Site::AttnOut,
        Site::ResidMid,
        Site::Ln2Normalized,
        Site::MlpPre,
        Site::MlpPreLinear,
        Site::MlpPost,
        Site::MlpOut,
        Site::ResidPost,
    ];
    let mut points = BEHIND.into_iter().map(|site| Point::at(stack, layer, site));
    hooks.wants(Point::of(stack, Site::LnFinalNormalized), sequence)
        || points.any(|point| hooks.wants(point, sequence))
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
            // Those that have a slot have their prompt in it.
            longest = longest.max(if slot.is_none() { prompt } else { 0 });
            sequences.push(slot);
            // One table for all sequences of a model, so that any of them leads to it.
            slots = Some(own);
        }
    }
    slots.map_or(Ok(()), |slots| slots.begin_step(&mut sequences, longest))
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::nn::hook::NoHooks;
    use crate::nn::{Activation, Attention, Linear, MemoryTracker, Mlp, Norm};

    const WIDTH: usize = 8;

    fn random(shape: (usize, usize), seed: &mut f32) -> Tensor {
        let count = shape.0 * shape.1;
        let values: Vec<f32> = (0..count)
            .map(|i| ((i as f32 + *seed) * 12.9898).sin() * 0.3)
            .collect();
        *seed += count as f32;
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn stack(stages: Vec<Range<usize>>) -> Transformer {
        let mut seed = 0.0;
        let mut linear = |out, input| Linear::new(random((out, input), &mut seed), None).unwrap();
        let norm = || Norm::Rms {
            weight: Tensor::ones(WIDTH, DType::F32, &Device::Cpu).unwrap(),
            eps: 1e-6,
        };
        let mut block = || Block {
            ln1: norm(),
            attention: Attention {
                q: linear(WIDTH, WIDTH),
                k: linear(WIDTH, WIDTH),
                v: linear(WIDTH, WIDTH),
                qkv: None,
                o: linear(WIDTH, WIDTH),
                q_norm: None,
                k_norm: None,
                heads: 2,
                kv_heads: 2,
                head_dim: WIDTH / 2,
                scale: 0.5,
                softcap: None,
                causal: true,
                window: None,
            },
            ln1_post: None,
            ln2: norm(),
            mlp: Mlp {
                pre: linear(2 * WIDTH, WIDTH),
                linear: None,
                out: linear(WIDTH, 2 * WIDTH),
                activation: Activation::Gelu,
                joined: None,
            },
            ln2_post: None,
        };
        let blocks = (0..4).map(|_| block()).collect();
        Transformer::spread(Stack::LanguageModel, blocks, Vec::new(), stages).unwrap()
    }

    /// Writes down which layers ran on which sequences, in order.
    #[derive(Default)]
    struct Recorder {
        ran: Vec<(usize, Vec<usize>)>,
        /// The path of sequence 0.
        path: Option<Vec<usize>>,
    }

    impl Hooks for Recorder {
        fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> Result<Tensor> {
            if let (Site::ResidPre, Some(layer)) = (point.site, point.layer) {
                let sequences = spans.iter().map(|span| span.sequence).collect();
                self.ran.push((layer, sequences));
            }
            Ok(value)
        }

        fn path(&self, _: Stack, sequence: usize) -> Option<&[usize]> {
            self.path.as_deref().filter(|_| sequence == 0)
        }
    }

    /// Runs four sequences of three rows each.
    fn run(stack: &Transformer, path: Option<Vec<usize>>) -> (Recorder, Vec<f32>) {
        let mut layout = Layout::default();
        (0..4).for_each(|sequence| layout.push_sequence(sequence, (0, 0), 3));
        let mut recorder = Recorder {
            path,
            ..Recorder::default()
        };
        let x = random((12, WIDTH), &mut 0.5);
        let (x, after) = stack
            .forward(x, 4, &layout, &mut [], &mut recorder)
            .unwrap();
        let sequences: Vec<usize> = after.spans.iter().map(|span| span.sequence).collect();
        assert_eq!((sequences, after.rows()), (vec![0, 1, 2, 3], 12));
        (recorder, x.flatten_all().unwrap().to_vec1().unwrap())
    }

    #[test]
    fn micro_batches_follow_each_other_over_the_devices() {
        let (recorder, found) = run(&stack(vec![0..1, 1..2, 2..3, 3..4]), None);
        let mut expected = Vec::new();
        // In a turn each part is one device behind the part before it.
        for turn in 0..7 {
            for part in 0..4 {
                if (part..part + 4).contains(&turn) {
                    expected.push((turn - part, vec![part]));
                }
            }
        }
        assert_eq!(recorder.ran, expected);
        let (recorder, alone) = run(&stack(std::iter::once(0..4).collect()), None);
        let together: Vec<(usize, Vec<usize>)> = (0..4).map(|l| (l, vec![0, 1, 2, 3])).collect();
        assert_eq!(recorder.ran, together, "on one device nothing is cut");
        assert_eq!(found, alone);
        let (recorder, two) = run(&stack(vec![0..2, 2..4]), None);
        assert_eq!(recorder.ran[..2], [(0, vec![0, 1]), (1, vec![0, 1])]);
        assert_eq!(two, alone);
    }

    /// Wants to see one point of sequence 1.
    struct Looks(Site);

    impl Hooks for Looks {
        fn on(&mut self, _: Point, _: &[Span], value: Tensor) -> Result<Tensor> {
            Ok(value)
        }

        fn wants(&self, point: Point, sequence: usize) -> bool {
            point.site == self.0 && sequence == 1
        }
    }

    #[test]
    fn rows_that_nobody_reads_end_in_the_last_layer() {
        let one: Vec<Range<usize>> = std::iter::once(0..4).collect();
        let (_, all) = run(&stack(one.clone()), None);
        let row = |row: usize| &all[row * WIDTH..][..WIDTH];
        let none = MemoryTracker::default();
        // Rows of sequences 0 to 2 and of the rest, by what is read of 0 to 2.
        for stages in [one.clone(), vec![0..2, 2..4]] {
            let cases: [(&mut dyn Hooks, bool, &[usize]); 4] = [
                (&mut NoHooks, false, &[2, 3, 5, 9, 10, 11]),
                (&mut Looks(Site::K), false, &[2, 3, 5, 9, 10, 11]),
                (&mut Looks(Site::MlpPost), false, &[2, 3, 4, 5, 9, 10, 11]),
                (&mut NoHooks, true, &[0, 1, 2, 3, 5, 9, 10, 11]),
            ];
            for (hooks, checkpoint, rows) in cases {
                let mut layout = Layout::default();
                (0..4).for_each(|sequence| layout.push_sequence(sequence, (0, 0), 3));
                let read: [&[u32]; 3] = [&[2], &[0, 2], &[]];
                for (span, read) in layout.spans.iter_mut().zip(read) {
                    span.read = Some(read.into());
                }
                let mut caches: Vec<_> = (0..4)
                    .map(|_| SequenceCache::new(3, 1, &none, &none))
                    .collect();
                if checkpoint {
                    caches[0].request_checkpoint(4, 1);
                }
                let mut caches: Vec<_> = caches.iter_mut().map(Some).collect();
                let x = random((12, WIDTH), &mut 0.5);
                let stack = stack(stages.clone());
                let (x, after) = stack.forward(x, 4, &layout, &mut caches, hooks).unwrap();
                let found = x.to_vec2::<f32>().unwrap();
                let expected: Vec<&[f32]> = rows.iter().map(|&i| row(i)).collect();
                assert_eq!(found, expected, "{rows:?}");
                assert_eq!((after.spans.len(), after.rows()), (4, rows.len()));
            }
        }
        // Of a step in which nothing is read, one row is left.
        let mut layout = Layout::default();
        layout.push_sequence(0, (0, 0), 3);
        layout.spans[0].read = Some([].into());
        let x = random((3, WIDTH), &mut 0.5);
        let (x, _) = stack(one)
            .forward(x, 4, &layout, &mut [], &mut NoHooks)
            .unwrap();
        assert_eq!(x.to_vec2::<f32>().unwrap(), [row(0)]);
    }

    #[test]
    fn paths_may_come_back_to_a_device() {
        let path = Some(vec![2, 0, 3, 3, 1]);
        let (recorder, found) = run(&stack(vec![0..1, 1..2, 2..4]), path.clone());
        let own: Vec<usize> = recorder
            .ran
            .iter()
            .filter(|(_, sequences)| sequences.contains(&0))
            .map(|(layer, _)| *layer)
            .collect();
        let mut wanted = own.clone();
        wanted.sort_unstable();
        assert_eq!(wanted.iter().filter(|l| **l == 3).count(), 2, "{own:?}");
        let (_, alone) = run(&stack(std::iter::once(0..4).collect()), path);
        assert_eq!(found, alone);
    }
}
