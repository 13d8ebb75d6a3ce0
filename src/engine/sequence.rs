//! One sequence of the language model: a variant's prompt, or one of its continuations.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::encoder::{Look, Visual};
use super::reuse::planner::{Program, Rectangle, Row, schedule};
use super::sampler::Reading;
use super::{Cost, Job, Sampling, Variant, Work};
use crate::intervention::{Captured, Observed, Plan};
use crate::model::{Error, ImageTokens, Model};
use crate::nn::{Backend, DecodeSlots, MemoryTracker, ResidualCheckpoint, SequenceCache, Stack};

/// What a run is for.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per run, and most runs generate"
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
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for its turn, or for the run that it starts from.
    Waiting,
    /// Some of its rows may have been read.
    Prefill,
    /// It writes.
    Decode,
    /// It has ended; others may still start from it.
    Done,
}

/// One sequence.
pub(super) struct Run {
    /// The variants that it is of, and which part of them.
    pub(super) variants: Vec<(usize, usize)>,
    pub(super) plan: Arc<Plan>,
    pub(super) program: Arc<Program>,
    pub(super) looks: Arc<[Look]>,
    /// All tokens that are read before the first one is written.
    pub(super) ids: Vec<u32>,
    /// Of each the position, as the decoder counts them.
    positions: Vec<u32>,
    /// How many of them are of the prompt.
    pub(super) prompt: usize,
    /// The position after the prompt.
    next: u32,
    pub(super) goal: Goal,
    pub(super) parent: Option<usize>,
    /// Its part of the grid.
    pub(super) own: Rectangle,
    /// Runs that start from this one.
    pub(super) children: Vec<usize>,
    pub(super) stage: Stage,
    pub(super) visuals: Vec<Arc<Visual>>,
    pub(super) cache: Option<SequenceCache>,
    /// The rows that it starts with, where it does not start at the bottom.
    from: Vec<Arc<ResidualCheckpoint>>,
    /// Tokens and positions of its rows.
    pub(super) rows: Vec<(u32, u32)>,
    /// How many of these have been read.
    pub(super) read: usize,
    pub(super) observed: Observed,
    /// What was captured in the tower and the projector.
    pub(super) captured: Vec<Captured>,
    /// What it has written.
    pub(super) answer: Vec<u32>,
    /// What was read off the rows that were asked for.
    pub(super) readings: Vec<Reading>,
    pub(super) cost: Cost,
    pub(super) queued: Option<Duration>,
}

/// Room for activations and for keys and values.
pub(super) struct Meters {
    pub(super) kv: MemoryTracker,
    pub(super) rows: MemoryTracker,
}

impl Run {
    /// The runs of a job, each after those that it starts from; equal ones are one.
    pub(super) fn of_job(job: &Job, checkpoint_bytes: u64) -> Result<Vec<Self>, Error> {
        let model = &job.model;
        let mut runs: Vec<Self> = Vec::new();
        let mut kin: Vec<Option<usize>> = Vec::new();
        let mut twins: HashMap<blake3::Hash, usize> = HashMap::new();
        for (v, variant) in job.variants.iter().enumerate() {
            let looks: Arc<[Look]> = Look::all(model, &job.client.tenant, variant)?.into();
            let mut first = None;
            for (part, (goal, more)) in goals(&variant.work).into_iter().enumerate() {
                let run = Self::new(model, variant, (v, part), looks.clone(), goal, more)?;
                let identity = run.identity(variant);
                if let Some(&twin) = twins.get(&identity).filter(|_| !run.program.alone) {
                    runs[twin].variants.push((v, part));
                    first.get_or_insert(twin);
                    continue;
                }
                twins.insert(identity, runs.len());
                kin.push(first);
                first.get_or_insert(runs.len());
                runs.push(run);
            }
        }
        let programs: Vec<Arc<Program>> = runs.iter().map(|r| r.program.clone()).collect();
        let row_bytes = model.decoder.config().hidden_size * model.dtype.size_in_bytes();
        let starts = schedule(&programs, |i| kin[i], checkpoint_bytes / row_bytes as u64);
        for (i, start) in starts.into_iter().enumerate() {
            (runs[i].parent, runs[i].own) = (start.parent, start.own);
            if let Some(parent) = start.parent {
                runs[parent].children.push(i);
            }
        }
        Ok(runs)
    }

    fn new(
        model: &Model,
        variant: &Variant,
        of: (usize, usize),
        looks: Arc<[Look]>,
        goal: Goal,
        more: &[u32],
    ) -> Result<Self, Error> {
        let prompt = &variant.prompt;
        let ids: Vec<u32> = prompt.ids.iter().chain(more).copied().collect();
        let after = prompt.next..prompt.next + more.len() as u32;
        let positions: Vec<u32> = prompt.positions.iter().copied().chain(after).collect();
        let end = positions.iter().max().map_or(0, |last| last + 1);
        let positions: Vec<u32> = positions
            .into_iter()
            .map(|p| model.decoder.rotary(p, end))
            .collect();
        let rows = rows(model, &ids, &positions, &looks, &variant.plan.images);
        // Visual tokens may leave, and the last one of the prompt with them: the row before them
        // stays.
        let stays = prompt
            .ids
            .iter()
            .position(|&id| id == model.image_token)
            .filter(|_| !variant.plan.prunes.is_empty());
        let wanted = (stays.unwrap_or(prompt.ids.len()) as u32).saturating_sub(1);
        let layers = model.decoder.config().num_hidden_layers;
        let program = Program::of(
            &variant.plan,
            Stack::LanguageModel,
            layers,
            rows.into(),
            wanted,
        )?;
        Ok(Self {
            variants: vec![of],
            plan: variant.plan.clone(),
            program: Arc::new(program),
            looks,
            prompt: prompt.ids.len(),
            next: prompt.next,
            ids,
            positions,
            goal,
            parent: None,
            own: Rectangle {
                slot: 0,
                position: 0,
            },
            children: Vec::new(),
            stage: Stage::Waiting,
            visuals: Vec::new(),
            cache: None,
            from: Vec::new(),
            rows: Vec::new(),
            read: 0,
            observed: Observed::of_sequence(prompt.ids.len()),
            captured: Vec::new(),
            answer: Vec::new(),
            readings: Vec::new(),
            cost: Cost::default(),
            queued: None,
        })
    }

    /// BLAKE3 of all that its results depend on.
    fn identity(&self, variant: &Variant) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.program.digest().as_bytes());
        for look in self.looks.iter() {
            hasher.update(look.key.as_bytes());
        }
        // The rows say what was scored; where the prompt ended they do not.
        let goal = match &self.goal {
            Goal::Generate {
                sampling,
                max_tokens,
                top_logprobs,
            } => {
                format!("{sampling:?} {max_tokens} {top_logprobs}")
            }
            Goal::Score(ids) => format!("{}", ids.len()),
        };
        hasher.update(goal.as_bytes());
        hasher.update(&(variant.plan.resolved.len() as u64).to_le_bytes());
        hasher.finalize()
    }

    /// Tokens that it may write.
    fn room(&self) -> usize {
        match &self.goal {
            Goal::Generate { max_tokens, .. } => *max_tokens,
            Goal::Score(_) => 0,
        }
    }

    /// Bytes of keys and values that it adds to what it shares.
    pub(super) fn kv_bytes(&self, model: &Model) -> usize {
        let layers = self.program.slots.len() - 1;
        let own = self.ids.len().saturating_sub(self.own.position as usize)
            * layers.saturating_sub(self.own.slot);
        // A lane has a copy of the prompt.
        let copied = if self.writes_in_lanes(model) {
            self.ids.len()
        } else {
            0
        };
        (own + (copied + self.room()) * layers) * kv_row_bytes(model)
    }

    /// Whether what it writes is kept beside that of others, so that one kernel reads all of it.
    fn writes_in_lanes(&self, model: &Model) -> bool {
        self.room() > 1
            && Backend::of(&model.device) == Backend::Candle
            && !self.plan.looks_into_attention()
    }

    /// Begins at the bottom: with nothing, or with the first `position` tokens of a sequence that
    /// agrees on them.
    pub(super) fn begin(
        &mut self,
        model: &Model,
        meters: &Meters,
        lanes: &DecodeSlots,
        with: Option<(&SequenceCache, u32)>,
    ) {
        let (prompt, room) = (self.ids.len(), self.room());
        let position = with.map_or(0, |(_, position)| position);
        let cache = match with {
            Some((cache, position)) => cache.share_prefix(0, position, prompt, room),
            None => SequenceCache::new(prompt, room, &meters.kv, &meters.rows),
        };
        self.keep(model, cache, lanes);
        self.own = Rectangle { slot: 0, position };
        self.rows = self.rows_from(position);
    }

    fn keep(&mut self, model: &Model, mut cache: SequenceCache, lanes: &DecodeSlots) {
        if self.writes_in_lanes(model) {
            cache.use_slots(lanes);
        }
        self.cache = Some(cache);
    }

    /// Tokens and positions of its input from a token on.
    fn rows_from(&self, position: u32) -> Vec<(u32, u32)> {
        (position..)
            .zip(self.positions[position as usize..].iter().copied())
            .collect()
    }

    /// Begins where `parent` has brought it.
    pub(super) fn begin_from(&mut self, model: &Model, lanes: &DecodeSlots, parent: &Self) {
        let Some(cache) = &parent.cache else { return };
        let Rectangle { slot, position } = self.own;
        self.keep(
            model,
            cache.share_prefix(slot, position, self.ids.len(), self.room()),
            lanes,
        );
        self.observed.inherit(
            parent.observed.cells(),
            Stack::LanguageModel,
            slot,
            position,
        );
        if slot == 0 {
            self.rows = self.rows_from(position);
            return;
        }
        self.from = cache.checkpoints(slot).to_vec();
        for checkpoint in &self.from {
            let rows = checkpoint
                .tokens
                .iter()
                .copied()
                .zip(checkpoint.positions.iter().copied());
            self.rows
                .extend(rows.filter(|(token, _)| *token >= position));
        }
    }

    /// The input of its rows `range`: `(n, D)`.
    pub(super) fn input(&self, model: &Model, range: Range<usize>) -> Result<Tensor, Error> {
        if self.own.slot == 0 {
            let (first, last) = (self.rows[range.start].0, self.rows[range.end - 1].0);
            return embed(
                model,
                &self.ids,
                first as usize..last as usize + 1,
                &self.visuals,
            );
        }
        // Of each checkpoint the part that falls in the range.
        let mut parts = Vec::new();
        let mut place = 0;
        for checkpoint in &self.from {
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

    /// Whether of its next token no more is asked than which it is, and how likely.
    pub(super) fn wants_likeliest(&self) -> bool {
        let plain = |sampling: &Sampling, top: usize| sampling.is_plain() && top == 0;
        // Of the first token the logits are digested.
        self.stage == Stage::Decode
            && matches!(&self.goal, Goal::Generate { sampling, top_logprobs, .. } if plain(sampling, *top_logprobs))
    }

    /// Whether all that it reads has been read.
    pub(super) fn is_read(&self) -> bool {
        self.read == self.rows.len()
    }

    /// Whether others may start from it.
    pub(super) fn is_prefilled(&self) -> bool {
        matches!(self.stage, Stage::Decode | Stage::Done) && self.is_read()
    }

    /// The rows of `tokens`, which are left of its rows, whose logits are asked for: the last one
    /// that is left of the prompt, and those of a continuation but for its last.
    pub(super) fn wanted(&self, tokens: &[u32]) -> Vec<usize> {
        let prompt = tokens.partition_point(|&t| (t as usize) < self.prompt);
        // A chunk may end before the prompt does; rows that leave do so from runs that are read as
        // a whole.
        let holds_end = |&i: &usize| self.program.whole || tokens[i] as usize + 1 == self.prompt;
        let last = prompt.checked_sub(1).filter(holds_end);
        let until = match &self.goal {
            Goal::Generate { .. } => self.prompt,
            Goal::Score(ids) => self.prompt + ids.len() - 1,
        };
        last.into_iter()
            .chain((prompt..tokens.len()).filter(|&i| (tokens[i] as usize) < until))
            .collect()
    }

    /// The token and position of what it wrote last.
    pub(super) fn last_written(&self, model: &Model) -> (u32, u32) {
        let read = self.answer.len() as u32 - 1;
        (
            self.prompt as u32 + read,
            model.decoder.rotary(self.next + read, self.next + read + 1),
        )
    }

    /// Lets go of what only the prefill needed.
    pub(super) fn finish_prefill(&mut self) {
        self.from.clear();
        if let Some(cache) = &mut self.cache {
            cache.drop_checkpoints();
        }
    }

    /// Since when it has waited.
    pub(super) fn mark_started(&mut self, admitted: Instant) {
        self.queued.get_or_insert_with(|| admitted.elapsed());
    }
}

/// What a variant asks of its runs, and the tokens that each reads after the prompt.
fn goals(work: &Work) -> Vec<(Goal, &[u32])> {
    match work {
        Work::Generate {
            sampling,
            max_tokens,
            top_logprobs,
        } => {
            let goal = Goal::Generate {
                sampling: sampling.clone(),
                max_tokens: *max_tokens,
                top_logprobs: *top_logprobs,
            };
            vec![(goal, &[][..])]
        }
        Work::Score(continuations) => continuations
            .iter()
            .map(|c| (Goal::Score(c.clone()), c.as_slice()))
            .collect(),
    }
}

/// What stands in each row.
fn rows(
    model: &Model,
    ids: &[u32],
    positions: &[u32],
    looks: &[Look],
    images: &[ImageTokens],
) -> Vec<Row> {
    let mut visual = looks.iter().zip(images).flat_map(|(look, image)| {
        let key = u128::from_le_bytes(look.key.as_bytes()[..16].try_into().unwrap_or_default());
        (0..image.len() as u128).map(move |i| key.wrapping_add(i) | 1 << 127)
    });
    let content = |&id: &u32| {
        if id == model.image_token {
            visual.next()
        } else {
            None
        }
        .unwrap_or(id.into())
    };
    ids.iter()
        .map(content)
        .zip(positions)
        .map(|(content, &position)| Row { content, position })
        .collect()
}

/// Bytes of the keys and values of one row at one layer.
pub(super) fn kv_row_bytes(model: &Model) -> usize {
    let config = model.decoder.config();
    2 * config.kv_heads() * config.head_width() * model.dtype.size_in_bytes()
}

/// Token embeddings of `ids[range]`, visual tokens at image tokens: `(n, D)`.
fn embed(
    model: &Model,
    ids: &[u32],
    range: Range<usize>,
    visuals: &[Arc<Visual>],
) -> Result<Tensor, Error> {
    let words = model.decoder.embed(&ids[range.clone()])?; // (n, D)
    let is_image = |id: &u32| *id == model.image_token;
    let before = ids[..range.start].iter().filter(|id| is_image(id)).count();
    let mut total = 0;
    let mut all = vec![words.clone()];
    for visual in visuals {
        let count = visual.tokens.dim(0)?;
        total += count;
        if count > 0 {
            all.push(visual.tokens.clone());
        }
    }
    if total == 0 || !ids[range.clone()].iter().any(is_image) {
        return Ok(words);
    }
    // An image token beyond the pictures, which the model wrote itself, stands for none.
    let mut next = before;
    let row = |(i, id): (usize, &u32)| {
        if !is_image(id) || next >= total {
            return i as u32;
        }
        next += 1;
        (range.len() + next - 1) as u32
    };
    let index: Vec<u32> = ids[range.clone()].iter().enumerate().map(row).collect();
    let index = Tensor::from_vec(index, range.len(), words.device())?;
    Ok(Tensor::cat(&all, 0)?.index_select(&index, 0)?)
}
