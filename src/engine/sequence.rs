//! One sequence of the language model: a variant's prompt, or one of its continuations.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::cost::Cost;
use super::encoder::{EncodedImage, EncoderInput};
use super::measure::MeasurePass;
use super::request::{Request, Task, Variant};
use super::reuse::{Program, Rectangle, Row, schedule};
use super::sampler::{Reading, Sampling};
use crate::intervention::{Captured, EffectLog, Plan};
use crate::model::{Error, ImageTokens, Model};
use crate::nn::{
    Backend, DecodeSlots, MemoryTracker, ResidualCheckpoint, SequenceCache, Stack, static_room,
};

/// The purpose of a sequence.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per sequence, and most sequences generate"
)]
pub(super) enum Goal {
    /// An answer.
    Generate {
        sampling: Sampling,
        max_tokens: usize,
        top_logprobs: usize,
    },
    /// The likelihood of its last tokens.
    Score(Vec<u32>),
    /// The distributions from the prompt's last row on.
    Measure(MeasurePass),
}

/// The stage of a sequence, with what it holds there.
pub(super) enum State {
    /// Waits for its turn, or for the sequence that it starts from, which leaves the prefill here.
    Waiting(Option<Box<Prefill>>),
    /// Reads its input, chunk by chunk.
    Prefill(Box<Prefill>),
    /// Generates.
    Decode(Decode),
    /// Has ended.
    Done {
        /// Number of tokens it has generated.
        generated: usize,
    },
}

/// The input of a sequence, partly read.
pub(super) struct Prefill {
    pub(super) cache: SequenceCache,
    /// The rows that it starts with, where it does not start at the bottom.
    checkpoints: Vec<Arc<ResidualCheckpoint>>,
    /// Token and position of each row.
    pub(super) rows: Vec<(u32, u32)>,
    /// Number of rows that have been read.
    pub(super) done: usize,
    /// Results of the rows whose logits were asked for.
    pub(super) readings: Vec<Reading>,
}

/// A sequence that generates.
pub(super) struct Decode {
    pub(super) cache: SequenceCache,
    /// The tokens so far, at least one.
    pub(super) answer: Vec<u32>,
}

/// One sequence.
pub(super) struct Sequence {
    /// The (variant, continuation) pairs that it is computed for.
    pub(super) variants: Vec<(usize, usize)>,
    pub(super) plan: Arc<Plan>,
    pub(super) program: Arc<Program>,
    pub(super) images: Arc<[EncoderInput]>,
    /// All tokens that are read before the first one is generated.
    pub(super) ids: Vec<u32>,
    /// The position of each, as the decoder counts them.
    positions: Vec<u32>,
    /// Number of tokens of the prompt.
    pub(super) prompt: usize,
    /// The position after the prompt.
    next_position: u32,
    pub(super) goal: Goal,
    pub(super) parent: Option<usize>,
    /// The part of the grid that it computes itself.
    pub(super) own: Rectangle,
    /// Sequences that start from this one.
    pub(super) children: Vec<usize>,
    pub(super) state: State,
    pub(super) encoded: Vec<Arc<EncodedImage>>,
    pub(super) observed: EffectLog,
    /// Rows captured in the tower and the projector.
    pub(super) captured: Vec<Captured>,
    pub(super) cost: Cost,
    pub(super) queued: Option<Duration>,
    /// Time that its pictures took, with those of the same batch.
    pub(super) encoding: Duration,
}

/// Counts the memory of sequences.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Bytes of keys and values.
    pub(super) kv: MemoryTracker,
    /// Bytes of the residual stream.
    pub(super) residuals: MemoryTracker,
}

impl Sequence {
    /// Plans the sequences of a request, each after those that it starts from; equal ones are one.
    pub(super) fn of_request(request: &Request, checkpoint_bytes: u64) -> Result<Vec<Self>, Error> {
        let model = &request.model;
        let mut sequences: Vec<Self> = Vec::new();
        // The first sequence of each one's variant is likely to agree on the input.
        let mut hints: Vec<Option<usize>> = Vec::new();
        let mut duplicates: HashMap<blake3::Hash, usize> = HashMap::new();
        for (v, variant) in request.variants.iter().enumerate() {
            let images: Arc<[EncoderInput]> =
                EncoderInput::all(model, &request.client.tenant, variant)?.into();
            let mut first = None;
            for (part, (goal, more)) in goals(&variant.task).into_iter().enumerate() {
                let sequence = Self::new(model, variant, (v, part), images.clone(), goal, &more);
                // A sequence that captures stands for itself alone: it needs every row to pass its
                // hooks.
                let identity = sequence.identity(variant);
                let duplicate = duplicates.get(&identity).copied();
                if let Some(duplicate) = duplicate.filter(|_| !sequence.program.no_reuse) {
                    sequences[duplicate].variants.push((v, part));
                    first.get_or_insert(duplicate);
                    continue;
                }
                duplicates.insert(identity, sequences.len());
                // `None` for a variant's first sequence, about which the planner makes guesses of
                // its own.
                hints.push(first);
                first.get_or_insert(sequences.len());
                sequences.push(sequence);
            }
        }
        let programs: Vec<Arc<Program>> = sequences.iter().map(|s| s.program.clone()).collect();
        let row_bytes = model.decoder.config().hidden_size * model.dtype.size_in_bytes();
        // The budget is in bytes, the planner counts rows.
        let starts = schedule(&programs, |i| hints[i], checkpoint_bytes / row_bytes as u64);
        for (i, start) in starts.into_iter().enumerate() {
            (sequences[i].parent, sequences[i].own) = (start.parent, start.own);
            if let Some(parent) = start.parent {
                sequences[parent].children.push(i);
            }
        }
        Ok(sequences)
    }

    fn new(
        model: &Model,
        variant: &Variant,
        of: (usize, usize),
        images: Arc<[EncoderInput]>,
        goal: Goal,
        more: &[u32],
    ) -> Self {
        let prompt = &variant.prompt;
        let ids: Vec<u32> = prompt.ids.iter().chain(more).copied().collect();
        // Behind the prompt positions count on by one, whatever its pictures took.
        let after = prompt.next..prompt.next + more.len() as u32;
        let positions: Vec<u32> = prompt.positions.iter().copied().chain(after).collect();
        // Not the number of tokens: rotary positions of pictures may repeat or skip.
        let end = positions.iter().max().map_or(0, |last| last + 1);
        let positions: Vec<u32> = positions
            .into_iter()
            .map(|p| model.decoder.rotary(p, end))
            .collect();
        let rows = rows(model, &ids, &positions, &images, &variant.plan.images);
        // Pruning may take the last rows of the prompt, if they are visual tokens: the logits are
        // then those of the last row before the pictures.
        let stays = prompt
            .ids
            .iter()
            .position(|&id| id == model.image_token)
            .filter(|_| !variant.plan.prunes.is_empty());
        let first_logit = (stays.unwrap_or(prompt.ids.len()) as u32).saturating_sub(1);
        let layers = model.decoder.config().num_hidden_layers;
        let stack = Stack::LanguageModel;
        let (plan, keys) = (&variant.plan, &variant.edit_keys);
        let program = Program::of(plan, keys, stack, layers, rows.into(), first_logit);
        Self {
            variants: vec![of],
            plan: variant.plan.clone(),
            program: Arc::new(program),
            images,
            prompt: prompt.ids.len(),
            next_position: prompt.next,
            ids,
            positions,
            goal,
            parent: None,
            own: Rectangle::WHOLE,
            children: Vec::new(),
            state: State::Waiting(None),
            encoded: Vec::new(),
            observed: EffectLog::of_sequence(prompt.ids.len()),
            captured: Vec::new(),
            cost: Cost::default(),
            queued: None,
            encoding: Duration::ZERO,
        }
    }

    /// Hashes all that its results depend on.
    fn identity(&self, variant: &Variant) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.program.digest().as_bytes());
        for image in self.images.iter() {
            hasher.update(image.key.as_bytes());
        }
        // The rows say what is scored, but not where the prompt ends.
        // The stream of draws is not in it (a generator does not print its state): variants of a
        // request share one.
        let goal = match &self.goal {
            Goal::Generate {
                sampling,
                max_tokens,
                top_logprobs,
            } => {
                format!("{sampling:?} {max_tokens} {top_logprobs}")
            }
            Goal::Score(ids) => format!("{}", ids.len()),
            Goal::Measure(pass) => pass.identity(),
        };
        hasher.update(goal.as_bytes());
        // Effects are reported by the number of the intervention.
        hasher.update(&(variant.plan.resolved.len() as u64).to_le_bytes());
        hasher.finalize()
    }

    /// Returns how many tokens it may generate.
    fn max_new_tokens(&self) -> usize {
        match &self.goal {
            Goal::Generate { max_tokens, .. } => *max_tokens,
            Goal::Score(_) | Goal::Measure(_) => 0,
        }
    }

    /// Returns how many of its rows' logits are read, once its prompt has been.
    pub(super) fn readings(&self) -> usize {
        match &self.goal {
            Goal::Generate { .. } => 1,
            Goal::Score(ids) => ids.len(),
            Goal::Measure(pass) => pass.prefix.len() + 1,
        }
    }

    /// Returns the bytes of keys and values that it adds to what it shares.
    pub(super) fn kv_bytes(&self, model: &Model) -> usize {
        let layers = self.program.layers.len() - 1;
        // The rows and layers that it computes itself; all others are segments of its parent.
        let own = self.ids.len().saturating_sub(self.own.position as usize)
            * layers.saturating_sub(self.own.depth);
        // What generated rows are kept in is allocated whole; where they decode together it has a copy
        // of the prompt, too.
        let kept = if self.decodes_together(model) {
            static_room(self.ids.len() + self.max_new_tokens())
        } else {
            self.max_new_tokens()
        };
        (own + kept * layers) * kv_row_bytes(model)
    }

    /// Returns whether one kernel reads its generated rows and those of other sequences.
    fn decodes_together(&self, model: &Model) -> bool {
        // The first token comes of the prefill: where it is the only one, nothing is decoded. The
        // kernel over slots makes neither scores nor a pattern.
        self.max_new_tokens() > 1
            && model.device.backend() == Backend::Candle
            && !self.plan.looks_into_attention()
    }

    /// Begins at the bottom: with nothing, or with the first `position` tokens of a sequence that
    /// agrees on them.
    pub(super) fn begin(
        &mut self,
        model: &Model,
        memory: &Memory,
        slots: &DecodeSlots,
        with: Option<(&SequenceCache, u32)>,
    ) {
        let (prompt, max_new) = (self.ids.len(), self.max_new_tokens());
        let (cache, position) = match with {
            // Shared segment by segment, without a copy of any key.
            Some((cache, position)) => (cache.share_prefix(0, position, prompt, max_new), position),
            None => (
                SequenceCache::new(prompt, max_new, &memory.kv, &memory.residuals),
                0,
            ),
        };
        // In place of the plan: which prompts are remembered is known only now.
        self.own = Rectangle { depth: 0, position };
        let rows = self.rows_from(position);
        self.state = State::Waiting(Some(self.prefill(model, cache, slots, Vec::new(), rows)));
    }

    /// Begins where `parent`, which has just read its rows, has brought it.
    pub(super) fn begin_from(&mut self, model: &Model, slots: &DecodeSlots, parent: &Self) {
        // Called before the parent's first token, with which its checkpoints go.
        let State::Prefill(read) = &parent.state else {
            return;
        };
        let Rectangle { depth, position } = self.own;
        let (prompt, max_new) = (self.ids.len(), self.max_new_tokens());
        let cache = read.cache.share_prefix(depth, position, prompt, max_new);
        self.observed.inherit_prefix(
            parent.observed.records(),
            Stack::LanguageModel,
            depth,
            position,
        );
        // Variants mostly read the same pictures.
        self.encoded.clone_from(&parent.encoded);
        // Held by `Arc`, until this one has read them.
        let checkpoints = read.cache.checkpoints(depth).to_vec();
        let rows = if depth == 0 {
            self.rows_from(position)
        } else {
            let rows = checkpoints.iter().flat_map(|checkpoint| {
                let tokens = checkpoint.tokens.iter().copied();
                tokens.zip(checkpoint.positions.iter().copied())
            });
            // Another child may have asked for more rows.
            rows.filter(|(token, _)| *token >= position).collect()
        };
        self.state = State::Waiting(Some(self.prefill(model, cache, slots, checkpoints, rows)));
    }

    fn prefill(
        &self,
        model: &Model,
        mut cache: SequenceCache,
        slots: &DecodeSlots,
        checkpoints: Vec<Arc<ResidualCheckpoint>>,
        rows: Vec<(u32, u32)>,
    ) -> Box<Prefill> {
        if self.decodes_together(model) {
            cache.use_slots(slots);
        }
        Box::new(Prefill {
            cache,
            checkpoints,
            rows,
            done: 0,
            readings: Vec::new(),
        })
    }

    /// Starts to read, with checkpoints for the sequences that start from it at `above`.
    pub(super) fn start(&mut self, above: &[Rectangle]) {
        if let State::Waiting(prefill) = &mut self.state
            && let Some(mut prefill) = prefill.take()
        {
            for own in above {
                prefill.cache.request_checkpoint(own.depth, own.position);
            }
            self.state = State::Prefill(prefill);
        }
    }

    /// Returns token and position of its input from a token on.
    fn rows_from(&self, position: u32) -> Vec<(u32, u32)> {
        (position..)
            .zip(self.positions[position as usize..].iter().copied())
            .collect()
    }

    /// Returns the input of rows `range` of a prefill: `(n, D)`.
    pub(super) fn input(
        &self,
        model: &Model,
        prefill: &Prefill,
        range: Range<usize>,
    ) -> Result<Tensor, Error> {
        if self.own.depth == 0 {
            let (first, last) = (prefill.rows[range.start].0, prefill.rows[range.end - 1].0);
            // Below the first layer rows have no gaps: none has left yet.
            let tokens = first as usize..last as usize + 1;
            let visual: Vec<&Tensor> = self.encoded.iter().map(|image| &image.tokens).collect();
            return model.embed(&self.ids, tokens, &visual);
        }
        // Rows are counted over all checkpoints, from the first token of its own rectangle on.
        let mut parts = Vec::new();
        let mut place = 0;
        for checkpoint in &prefill.checkpoints {
            // A checkpoint begins where its neediest child does, which may be before this one.
            let first = checkpoint
                .tokens
                .partition_point(|&t| t < self.own.position);
            let count = checkpoint.tokens.len() - first;
            let (start, end) = (range.start.max(place), range.end.min(place + count));
            if start < end {
                parts.push(
                    checkpoint
                        .rows
                        .narrow(0, first + start - place, end - start)?,
                );
            }
            place += count;
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// Returns whether no more is asked of its next token than its number and likelihood.
    pub(super) fn wants_likeliest(&self) -> bool {
        match (&self.state, &self.goal) {
            // The logits of the first token are digested, so that it needs all of them.
            (
                State::Decode(_),
                Goal::Generate {
                    sampling,
                    top_logprobs,
                    ..
                },
            ) => sampling.is_plain() && *top_logprobs == 0,
            _ => false,
        }
    }

    /// Returns whether it waits for its turn or its parent.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Returns whether it holds memory and takes part in steps.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Prefill(_) | State::Decode(_))
    }

    /// Returns whether it generates.
    pub(super) fn is_decoding(&self) -> bool {
        matches!(self.state, State::Decode(_))
    }

    /// Returns whether others may start from it.
    pub(super) fn is_prefilled(&self) -> bool {
        matches!(self.state, State::Decode(_) | State::Done { .. })
    }

    /// Returns the tokens that it has generated.
    pub(super) fn answer(&self) -> &[u32] {
        match &self.state {
            State::Decode(decode) => &decode.answer,
            _ => &[],
        }
    }

    /// Returns how many tokens it has generated.
    pub(super) fn generated(&self) -> usize {
        match self.state {
            State::Done { generated } => generated,
            _ => self.answer().len(),
        }
    }

    /// Returns the cache, while it runs.
    pub(super) fn cache_mut(&mut self) -> Option<&mut SequenceCache> {
        match &mut self.state {
            State::Prefill(prefill) => Some(&mut prefill.cache),
            State::Decode(decode) => Some(&mut decode.cache),
            State::Waiting(_) | State::Done { .. } => None,
        }
    }

    /// Goes on with a token, to decoding where it was the first one.
    pub(super) fn push(&mut self, id: u32) {
        // Taken out, since the cache moves from one state to the next.
        match std::mem::replace(&mut self.state, State::Waiting(None)) {
            State::Decode(mut decode) => {
                decode.answer.push(id);
                self.state = State::Decode(decode);
            }
            State::Prefill(prefill) => {
                let mut cache = prefill.cache;
                // Children have taken theirs.
                cache.drop_checkpoints();
                let answer = vec![id];
                self.state = State::Decode(Decode { cache, answer });
            }
            state => self.state = state,
        }
    }

    /// Ends the sequence after `more` tokens of its last step, and frees its cache.
    pub(super) fn end(&mut self, more: usize) {
        self.state = State::Done {
            generated: self.generated() + more,
        };
    }

    /// Returns which of the surviving rows of `tokens` need logits: the last prompt row and, when
    /// scoring, every continuation row except the last.
    pub(super) fn rows_with_logits(&self, tokens: &[u32]) -> Vec<usize> {
        // By token and not by place: of a pruned prompt some rows are gone.
        let prompt = tokens.partition_point(|&t| (t as usize) < self.prompt);
        // A chunk may end before the prompt does. Pruned prompts are never cut into chunks.
        let holds_end =
            |&i: &usize| self.program.unchunkable || tokens[i] as usize + 1 == self.prompt;
        let last = prompt.checked_sub(1).filter(holds_end);
        let until = match &self.goal {
            Goal::Generate { .. } => self.prompt,
            // The row of the last token would predict what comes after the continuation.
            Goal::Score(ids) => self.prompt + ids.len() - 1,
            // The prefix lacks the answers' last tokens already, so that each of its rows predicts
            // one.
            Goal::Measure(pass) => self.prompt + pass.prefix.len(),
        };
        last.into_iter()
            .chain((prompt..tokens.len()).filter(|&i| (tokens[i] as usize) < until))
            .collect()
    }

    /// Returns which of `tokens` have rows that are read after all layers; `None` where which ones
    /// are left is known only then.
    pub(super) fn tokens_read(&self, tokens: &[u32]) -> Option<Arc<[u32]>> {
        if !self.plan.prunes.is_empty() {
            return None;
        }
        let rows = self.rows_with_logits(tokens).into_iter();
        Some(rows.map(|row| tokens[row]).collect())
    }

    /// Returns the token number and position of the token that it generated last.
    pub(super) fn last_generated(&self, model: &Model) -> (u32, u32) {
        // Called of sequences that decode, whose answer has a token at least.
        let read = self.answer().len() as u32 - 1;
        let position = self.next_position + read;
        (
            self.prompt as u32 + read,
            model.decoder.rotary(position, position + 1),
        )
    }

    /// Records how long it has waited, at its first start.
    pub(super) fn mark_started(&mut self, admitted: Instant) {
        self.queued.get_or_insert_with(|| admitted.elapsed());
    }
}

/// Returns the goals of a task's sequences, with the tokens that each reads after the prompt.
fn goals(task: &Task) -> Vec<(Goal, Vec<u32>)> {
    match task {
        Task::Generate {
            sampling,
            max_tokens,
            top_logprobs,
        } => {
            let goal = Goal::Generate {
                sampling: sampling.clone(),
                max_tokens: *max_tokens,
                top_logprobs: *top_logprobs,
            };
            vec![(goal, Vec::new())]
        }
        Task::Score(continuations) => continuations
            .iter()
            .map(|c| (Goal::Score(c.clone()), c.clone()))
            .collect(),
        Task::Measure(measure) => measure
            .passes()
            .into_iter()
            .map(|pass| (Goal::Measure(pass.clone()), pass.prefix))
            .collect(),
    }
}

/// Describes the content of each row, visual tokens by the digest of their picture.
fn rows(
    model: &Model,
    ids: &[u32],
    positions: &[u32],
    images: &[EncoderInput],
    tokens: &[ImageTokens],
) -> Vec<Row> {
    // By the key behind the projector: the same pixels under other edits are other rows.
    let mut visual = images.iter().zip(tokens).flat_map(|(image, tokens)| {
        let key = u128::from_le_bytes(image.key.as_bytes()[..16].try_into().unwrap_or_default());
        // The top bit tells them from numbers of the vocabulary.
        (0..tokens.len() as u128).map(move |i| key.wrapping_add(i) | 1 << 127)
    });
    let mut rows = Vec::with_capacity(ids.len());
    for (&id, &position) in ids.iter().zip(positions) {
        // One without a visual token is a word, as `Model::embed` reads it.
        let visual = if id == model.image_token {
            visual.next()
        } else {
            None
        };
        rows.push(Row {
            content: visual.unwrap_or(id.into()),
            position,
        });
    }
    rows
}

/// Returns the bytes of the keys and values of one row at one layer.
pub(super) fn kv_row_bytes(model: &Model) -> usize {
    let config = model.decoder.config();
    2 * config.kv_heads() * config.head_width() * model.dtype.size_in_bytes()
}
