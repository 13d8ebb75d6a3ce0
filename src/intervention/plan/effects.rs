//! The log of one sequence: how often each intervention acted, how much it changed, what was
//! captured, which tokens left.
//!
//! It is kept record by record (a layer of the path, a hook point, a token), so that it does not
//! depend on how rows came to be computed: in one piece or in several, here or in a sequence that
//! shares them.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{D, DType, Tensor};

use super::capture::Captured;
use super::resolution::Resolved;
use crate::nn::{Backend, Point, Result, Span, Stack};

/// The log of one sequence.
#[derive(Debug, Default)]
pub struct EffectLog {
    /// Effects of compiling, one for each intervention.
    base: Vec<Effect>,
    /// Effects on the prompt and the pictures.
    records: Vec<EffectRecord>,
    /// Effects on generated tokens, by intervention.
    generated: BTreeMap<usize, Effect>,
    /// Tokens of the language model from this one on are generated; 0 before a prompt is known,
    /// when none are.
    prompt: u32,
    /// Captures that were not yet handed on.
    pub captured: Vec<Captured>,
    /// Captures of the step at work, still on the device.
    pub(super) taken: Vec<Captured<Tensor>>,
    /// The attention that the key of each token received, for a prune of the layer at work.
    pub(super) received: Option<BTreeMap<u32, f32>>,
    /// Work of the layers since it was last taken, by stack.
    processed: BTreeMap<Stack, RowsProcessed>,
    /// Sums of squares of each row, still on the device: of the change and of the old values.
    pending: Vec<(EffectRecord, Tensor)>,
}

/// Rows that layers processed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowsProcessed {
    /// (row, layer) pairs.
    pub rows: u64,
    /// (row, key, layer) triples.
    pub keys: u64,
}

/// The effect of one intervention on some rows at one point.
#[derive(Debug, Clone)]
pub struct EffectRecord {
    owner: usize,
    point: Point,
    /// Layers of the path before it.
    slot: usize,
    /// Picture and view.
    view: (usize, usize),
    tokens: Arc<[u32]>,
    /// Sums of squares of the change and of the old values, token by token; empty for tokens that
    /// left.
    sums: Vec<(f64, f64)>,
}

/// The effect of one intervention.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Effect {
    /// The number of times that it acted.
    pub fired: u64,
    /// Sums of squares of the change and of the old values, where they are known.
    pub sums: Option<(f64, f64)>,
}

impl Effect {
    /// Returns `|after - before| / |before|`; 0 or infinity where all was zero before.
    pub fn relative_change(self) -> Option<f64> {
        self.sums.map(|(changed, was)| {
            // Where nothing was there to change it would be 0 / 0.
            if changed == 0.0 {
                0.0
            } else {
                (changed / was).sqrt()
            }
        })
    }

    /// Adds another effect to it.
    pub fn add(&mut self, other: &Self) {
        self.fired += other.fired;
        if let Some((changed, was)) = other.sums {
            self.measure(changed, was);
        }
    }

    fn measure(&mut self, changed: f64, was: f64) {
        let sums = self.sums.get_or_insert((0.0, 0.0));
        *sums = (sums.0 + changed, sums.1 + was);
    }
}

/// A place in a log, to which it can go back.
#[derive(Debug)]
pub struct LogMark {
    records: usize,
    captured: usize,
    generated: BTreeMap<usize, Effect>,
    processed: BTreeMap<Stack, RowsProcessed>,
}

impl EffectLog {
    /// Begins a log with what compiling did.
    pub(super) fn of(resolved: &[Resolved]) -> Self {
        let base = resolved.iter().map(|resolved| Effect {
            fired: resolved.fired.unwrap_or(0),
            sums: None,
        });
        Self {
            base: base.collect(),
            ..Self::default()
        }
    }

    /// Begins the log of a sequence whose prompt has `prompt` tokens; the effects of compiling are
    /// logged elsewhere.
    pub fn of_sequence(prompt: usize) -> Self {
        Self {
            prompt: prompt as u32,
            ..Self::default()
        }
    }

    /// Returns the effects of `count` interventions.
    pub fn effects(&self, count: usize) -> Vec<Effect> {
        let mut effects = self.base.clone();
        effects.resize(count.max(effects.len()), Effect::default());
        let mut records: Vec<&EffectRecord> = self.records.iter().collect();
        // In the order of tokens, since sums of floats depend on their order.
        records.sort_by_key(|record| (record.place(), record.tokens.first().copied()));
        for same in records.chunk_by(|a, b| a.place() == b.place()) {
            // Edits of a trace have numbers beyond all interventions: nobody asks for their
            // effects.
            let Some(effect) = effects.get_mut(same[0].owner) else {
                continue;
            };
            // Once for a point of a picture or a sequence, in however many chunks its rows came.
            effect.fired += 1;
            same.iter()
                .flat_map(|record| &record.sums)
                .for_each(|&(changed, was)| effect.measure(changed, was));
        }
        for (&owner, generated) in &self.generated {
            if let Some(effect) = effects.get_mut(owner) {
                effect.add(generated);
            }
        }
        effects
    }

    /// Returns the effects of `count` interventions on generated tokens.
    pub fn generated_effects(&self, count: usize) -> Vec<Effect> {
        (0..count)
            .map(|owner| self.generated.get(&owner).copied().unwrap_or_default())
            .collect()
    }

    /// Returns the visual tokens that left, by intervention; ascending.
    pub fn pruned(&self) -> BTreeMap<usize, Vec<u32>> {
        let mut pruned = BTreeMap::<usize, Vec<u32>>::new();
        for record in self.records.iter().filter(|record| record.is_prune()) {
            let tokens = pruned.entry(record.owner).or_default();
            tokens.extend(record.tokens.iter());
        }
        for tokens in pruned.values_mut() {
            tokens.sort_unstable();
            tokens.dedup();
        }
        pruned
    }

    /// Returns the records of the prompt and the pictures so far.
    pub fn records(&self) -> &[EffectRecord] {
        &self.records
    }

    /// Adds records of rows that another sequence computed: those below layer number `slot` of
    /// `stack`, and from there on those of tokens before `position`.
    pub fn inherit_prefix(
        &mut self,
        records: &[EffectRecord],
        stack: Stack,
        slot: usize,
        position: u32,
    ) {
        for record in records.iter().filter(|record| record.point.stack == stack) {
            let below = record.slot < slot;
            let count = if below {
                record.tokens.len()
            } else {
                record.tokens.partition_point(|&token| token < position)
            };
            // A prune below is taken over even where it let no token leave: it has acted.
            if below || count > 0 {
                self.records.push(record.prefix(count));
            }
        }
    }

    /// Adds records of pictures, which were encoded elsewhere.
    pub fn extend(&mut self, records: &[EffectRecord]) {
        self.records.extend_from_slice(records);
    }

    /// Returns the work of the layers since the last call, by stack.
    pub fn take_rows_processed(&mut self) -> BTreeMap<Stack, RowsProcessed> {
        std::mem::take(&mut self.processed)
    }

    /// Counts the rows of `span`, which are about to pass a layer of `stack`, and their keys.
    pub(super) fn count_rows(&mut self, stack: Stack, span: &Span) {
        let rows = span.rows.len() as u64;
        let keys = if stack == Stack::LanguageModel {
            // Their keys are there up to the layer that they left after, which is the slot's.
            let has_left =
                |record: &&EffectRecord| record.is_prune() && record.slot < span.layers_done;
            let pruned = self.records.iter().filter(has_left);
            let left: usize = pruned.map(|record| record.tokens.len()).sum();
            // Causal attention: a row sees all tokens up to it, without those that left.
            u64::from(span.tokens.last().map_or(0, |t| t + 1)).saturating_sub(left as u64)
        } else {
            rows
        };
        let processed = self.processed.entry(stack).or_default();
        processed.rows += rows;
        processed.keys += rows * keys;
    }

    /// Records that intervention `owner` edited a picture, with the sums of squares of the change
    /// and of the old values.
    pub(super) fn record_image_edit(&mut self, owner: usize, (changed, was): (f64, f64)) {
        if let Some(effect) = self.base.get_mut(owner) {
            effect.fired += 1;
            effect.measure(changed, was);
        }
    }

    /// Records that intervention `owner` let `tokens` of `span` leave after `point`.
    pub(super) fn record_pruned(
        &mut self,
        owner: usize,
        point: Point,
        span: &Span,
        tokens: &[u32],
    ) {
        let record = EffectRecord::of(owner, point, span, tokens.into());
        self.records.push(record);
    }

    /// Records that intervention `owner` turned the rows `old (n, ...)` of `tokens` into `new`. On
    /// a GPU the sums stay there until [`Self::flush`].
    pub(super) fn record(
        &mut self,
        owner: usize,
        point: Point,
        span: &Span,
        tokens: Vec<u32>,
        (old, new): (&Tensor, &Tensor),
    ) -> Result<()> {
        let record = EffectRecord::of(owner, point, span, tokens.into());
        if Backend::of(old.device()) == Backend::Cpu {
            let sums = sums_of_squares(old, new, record.tokens.len())?;
            self.add(record, sums);
            return Ok(());
        }
        let (old, new) = (
            // In f64, as the sums on the CPU are.
            old.to_dtype(DType::F64)?.flatten_from(1)?,
            new.to_dtype(DType::F64)?.flatten_from(1)?,
        );
        let changed = (new - &old)?.sqr()?.sum(D::Minus1)?; // (n)
        let was = old.sqr()?.sum(D::Minus1)?; // (n)
        self.pending
            // `(n, 2)`.
            .push((record, Tensor::stack(&[changed, was], 1)?));
        Ok(())
    }

    /// Marks the place between two steps.
    pub fn mark(&self) -> LogMark {
        LogMark {
            records: self.records.len(),
            captured: self.captured.len(),
            // Cloned and not counted: sums cannot be taken back, as records are, by cutting a list.
            generated: self.generated.clone(),
            processed: self.processed.clone(),
        }
    }

    /// Forgets all that was logged after `mark`, as after a step that failed.
    pub fn rewind(&mut self, mark: LogMark) {
        self.records.truncate(mark.records);
        self.captured.truncate(mark.captured);
        self.generated = mark.generated;
        self.processed = mark.processed;
        self.received = None;
        self.taken.clear();
        self.pending.clear();
    }

    /// Adds a record with its sums; those of generated tokens are added up at once.
    fn add(&mut self, record: EffectRecord, sums: Vec<(f64, f64)>) {
        let in_answer = record.point.stack == Stack::LanguageModel && self.prompt > 0;
        // Tokens of the answer are not shared between sequences: their sums suffice.
        let prompt = if in_answer {
            record.tokens.partition_point(|&t| t < self.prompt)
        } else {
            record.tokens.len()
        };
        // Each generated token is a step of its own, and counts as acting once.
        for &(changed, was) in &sums[prompt..] {
            let effect = self.generated.entry(record.owner).or_default();
            effect.fired += 1;
            effect.measure(changed, was);
        }
        if prompt > 0 {
            self.records
                .push(EffectRecord { sums, ..record }.prefix(prompt));
        }
    }

    /// Fetches the sums and the captured rows from the device; once a step.
    pub fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut sums: Vec<Vec<(f64, f64)>> = vec![Vec::new(); pending.len()];
        let mut left: Vec<usize> = (0..pending.len()).collect();
        // One transfer for all records of a device: each would wait for it.
        while let Some(&next) = left.first() {
            let device = pending[next].1.device();
            let is_there = |&i: &usize| pending[i].1.device().same_device(device);
            let (there, elsewhere): (Vec<usize>, Vec<usize>) = left.into_iter().partition(is_there);
            let all: Vec<&Tensor> = there.iter().map(|&i| &pending[i].1).collect();
            // `(n, 2)`, all records of the device end to end.
            let rows = Tensor::cat(&all, 0)?.to_vec2::<f64>()?;
            let mut rows = rows.into_iter().map(|row| (row[0], row[1]));
            for i in there {
                let count = pending[i].0.tokens.len();
                sums[i] = rows.by_ref().take(count).collect();
            }
            left = elsewhere;
        }
        // In the order of the work, whichever device did it: sums of floats depend on it.
        for ((record, _), sums) in pending.into_iter().zip(sums) {
            self.add(record, sums);
        }
        for captured in self.taken.drain(..) {
            self.captured.push(captured.download()?);
        }
        Ok(())
    }
}

/// Returns the sums of squares of the change and of the old values of each of `count` rows.
fn sums_of_squares(old: &Tensor, new: &Tensor, count: usize) -> Result<Vec<(f64, f64)>> {
    let old = old.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let new = new.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    // All numbers of a row, its heads end to end.
    let width = (old.len() / count.max(1)).max(1);
    let mut sums = Vec::with_capacity(count);
    // One chain after the other, so that masked scores, which are 0 here, change no bit however
    // many there are.
    for (old, new) in old.chunks(width).zip(new.chunks(width)) {
        let (mut changed, mut was) = (0.0, 0.0);
        for (&old, &new) in old.iter().zip(new) {
            let (old, new) = (f64::from(old), f64::from(new));
            changed += (new - old) * (new - old);
            was += old * old;
        }
        sums.push((changed, was));
    }
    Ok(sums)
}

impl EffectRecord {
    /// Returns a record without sums.
    fn of(owner: usize, point: Point, span: &Span, tokens: Arc<[u32]>) -> Self {
        Self {
            owner,
            point,
            // Counted along the path: a layer that runs again has a slot for each pass.
            slot: span.layers_done,
            view: (span.image, span.view),
            tokens,
            sums: Vec::new(),
        }
    }

    /// Returns the record of its first `count` tokens.
    fn prefix(&self, count: usize) -> Self {
        Self {
            tokens: self.tokens[..count].into(),
            sums: self.sums.iter().take(count).copied().collect(),
            ..self.clone()
        }
    }

    /// Reports whether its tokens left.
    fn is_prune(&self) -> bool {
        self.sums.is_empty()
    }

    /// Returns the place at which it counts as acting once: one intervention, at one point of one
    /// picture, view or sequence.
    fn place(&self) -> (usize, Stack, usize, Point, (usize, usize)) {
        (
            self.owner,
            self.point.stack,
            self.slot,
            self.point,
            self.view,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Site;

    #[test]
    fn tokens_that_left_are_no_keys_above_their_layer() {
        let stack = Stack::LanguageModel;
        let mut log = EffectLog::of_sequence(10);
        let row = |layers_done| Span {
            rows: 0..1,
            tokens: [10].into(),
            layers_done,
            ..Span::default()
        };
        let point = Point::at(stack, 1, Site::ResidPost);
        log.record_pruned(0, point, &row(1), &[3, 4, 5, 6]);
        for layers_done in 0..4 {
            log.count_rows(stack, &row(layers_done));
        }
        let expected = RowsProcessed {
            rows: 4,
            keys: 11 + 11 + 7 + 7,
        };
        assert_eq!(log.take_rows_processed()[&stack], expected);
    }
}
