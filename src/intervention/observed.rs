//! The account of one sequence: how often each intervention acted, how much it changed, what was
//! captured, who left.
//!
//! It is kept cell by cell (a layer of the path, a hook point, a token), so that it does not depend
//! on how the cells came to be computed: in one piece or in several, here or in a sequence that
//! shares them.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};

use super::Plan;
use crate::nn::{Backend, Point, Result, Span, Stack};

/// What happened so far.
#[derive(Debug, Default)]
pub struct Observed {
    /// What compiling did, one for each intervention.
    base: Vec<Effect>,
    /// Of the prompt and the pictures.
    cells: Vec<Cell>,
    /// Of what was generated, one for each intervention.
    tail: BTreeMap<usize, Effect>,
    /// Tokens of the language model from this one on are generated; 0 before a prompt is known,
    /// when none are.
    prompt: u32,
    /// What was captured and not yet fetched.
    pub captured: Vec<Captured>,
    /// The attention that the key of each token received, for a prune of the layer at work.
    pub(super) received: Option<BTreeMap<u32, f32>>,
    /// Rows that passed a layer, and these times the keys that they saw; by stack.
    passed: BTreeMap<Stack, Passed>,
    /// Sums of squares of each row, still on the device: of what changed and of what was there.
    pending: Vec<(Cell, Tensor)>,
}

/// Rows that passed layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// (row, layer) pairs.
    pub rows: u64,
    /// (row, key, layer) triples.
    pub keys: u64,
}

/// What one intervention did to some rows at one point.
#[derive(Debug, Clone)]
pub struct Cell {
    owner: usize,
    point: Point,
    /// Layers of the path before it.
    slot: usize,
    /// Picture and view.
    view: (usize, usize),
    tokens: Arc<[u32]>,
    /// For each token the sums of squares of what changed and of what was there; none of tokens
    /// that left.
    sums: Vec<(f64, f64)>,
}

/// What one intervention did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Effect {
    /// How often it acted.
    pub fired: u64,
    /// Sums of squares of what changed and of what was there, where that is known.
    pub sums: Option<(f64, f64)>,
}

impl Effect {
    /// `|after - before| / |before|`; of what was zero before, 0 or infinity.
    pub fn relative_change(self) -> Option<f64> {
        self.sums.map(|(changed, was)| {
            if changed == 0.0 {
                0.0
            } else {
                (changed / was).sqrt()
            }
        })
    }

    /// Adds what another one did.
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

/// Tokens with their log-probabilities, likeliest first.
pub type Likeliest = Vec<(u32, f64)>;

/// Rows taken at a hook point.
#[derive(Debug)]
pub struct Captured {
    /// Position in the request.
    pub target: usize,
    /// Where.
    pub point: Point,
    /// Step of the answer.
    pub step: u32,
    /// Which picture and view.
    pub view: (usize, usize),
    /// Tokens behind the rows.
    pub tokens: Vec<u32>,
    /// The rows, on the CPU once the step is over.
    pub value: Tensor,
    /// For the logit lens: how many tokens; and, once the step is over, the likeliest of each row
    /// with their log-probabilities.
    pub lens: Option<(usize, Vec<Likeliest>)>,
}

impl Observed {
    /// Nothing has happened yet but for what compiling did.
    pub(super) fn of(plan: &Plan) -> Self {
        let effect = |r: &super::Resolved| Effect {
            fired: r.fired.unwrap_or(0),
            sums: None,
        };
        Self {
            base: plan.resolved.iter().map(effect).collect(),
            ..Self::default()
        }
    }

    /// Of a sequence whose prompt has `prompt` tokens; what compiling did is accounted for
    /// elsewhere.
    pub fn of_sequence(prompt: usize) -> Self {
        Self {
            prompt: prompt as u32,
            ..Self::default()
        }
    }

    /// What each of `count` interventions did.
    pub fn effects(&self, count: usize) -> Vec<Effect> {
        let mut effects = self.base.clone();
        effects.resize(count.max(effects.len()), Effect::default());
        let mut cells: Vec<&Cell> = self.cells.iter().collect();
        cells.sort_by_key(|c| (c.place(), c.tokens.first().copied()));
        for same in cells.chunk_by(|a, b| a.place() == b.place()) {
            let Some(effect) = effects.get_mut(same[0].owner) else {
                continue;
            };
            effect.fired += 1;
            same.iter()
                .flat_map(|c| &c.sums)
                .for_each(|&(changed, was)| effect.measure(changed, was));
        }
        for (&owner, tail) in &self.tail {
            if let Some(effect) = effects.get_mut(owner) {
                effect.add(tail);
            }
        }
        effects
    }

    /// What each of `count` interventions did to what was generated.
    pub fn generated_effects(&self, count: usize) -> Vec<Effect> {
        (0..count)
            .map(|owner| self.tail.get(&owner).copied().unwrap_or_default())
            .collect()
    }

    /// The visual tokens that left, by intervention; ascending.
    pub fn pruned(&self) -> BTreeMap<usize, Vec<u32>> {
        let mut pruned = BTreeMap::<usize, Vec<u32>>::new();
        for cell in self.cells.iter().filter(|c| c.sums.is_empty()) {
            pruned
                .entry(cell.owner)
                .or_default()
                .extend(cell.tokens.iter());
        }
        for tokens in pruned.values_mut() {
            tokens.sort_unstable();
            tokens.dedup();
        }
        pruned
    }

    /// The cells so far.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Cells that were computed elsewhere: those of `cells` below layer number `slot` of `stack`,
    /// and there and above those of tokens before `position`.
    pub fn inherit(&mut self, cells: &[Cell], stack: Stack, slot: usize, position: u32) {
        for cell in cells.iter().filter(|c| c.point.stack == stack) {
            let count = if cell.slot < slot {
                cell.tokens.len()
            } else {
                cell.tokens.partition_point(|&t| t < position)
            };
            if count > 0 || cell.slot < slot {
                let sums = cell.sums.iter().take(count).copied().collect();
                self.cells.push(Cell {
                    tokens: cell.tokens[..count].into(),
                    sums,
                    ..cell.clone()
                });
            }
        }
    }

    /// All that was accounted for pictures.
    pub fn adopt(&mut self, cells: &[Cell]) {
        self.cells.extend_from_slice(cells);
    }

    /// What has passed layers since the last call, by stack.
    pub fn take_passed(&mut self) -> BTreeMap<Stack, Passed> {
        std::mem::take(&mut self.passed)
    }

    /// Rows of `span` are about to pass a layer of `stack`.
    pub(super) fn pass(&mut self, stack: Stack, span: &Span) {
        let rows = span.rows.len() as u64;
        let keys = if stack == Stack::LanguageModel {
            let left: usize = self
                .cells
                .iter()
                .filter(|c| c.sums.is_empty())
                .map(|c| c.tokens.len())
                .sum();
            u64::from(span.tokens.last().map_or(0, |t| t + 1)).saturating_sub(left as u64)
        } else {
            rows
        };
        let passed = self.passed.entry(stack).or_default();
        passed.rows += rows;
        passed.keys += rows * keys;
    }

    /// Intervention `owner` acted when the plan was made, and changed so much.
    pub(super) fn measured(&mut self, owner: usize, (changed, was): (f64, f64)) {
        if let Some(effect) = self.base.get_mut(owner) {
            effect.fired += 1;
            effect.measure(changed, was);
        }
    }

    /// Intervention `owner` let `tokens` of `span` leave after `point`.
    pub(super) fn left(&mut self, owner: usize, point: Point, span: &Span, tokens: &[u32]) {
        let view = (span.image, span.view);
        self.cells.push(Cell {
            owner,
            point,
            slot: span.layers_done,
            view,
            tokens: tokens.into(),
            sums: Vec::new(),
        });
    }

    /// Intervention `owner` turned the rows `old (n, ...)` of `tokens` into `new`; sums stay on a
    /// GPU until [`Self::settle`].
    pub(super) fn changed(
        &mut self,
        owner: usize,
        point: Point,
        span: &Span,
        tokens: Vec<u32>,
        (old, new): (&Tensor, &Tensor),
    ) -> Result<()> {
        let view = (span.image, span.view);
        let cell = Cell {
            owner,
            point,
            slot: span.layers_done,
            view,
            tokens: tokens.into(),
            sums: Vec::new(),
        };
        let flat = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all();
        if Backend::of(old.device()) == Backend::Cpu {
            let (old, new) = (flat(old)?.to_vec1::<f32>()?, flat(new)?.to_vec1::<f32>()?);
            let width = (old.len() / cell.tokens.len().max(1)).max(1);
            let mut sums = Vec::with_capacity(cell.tokens.len());
            // One chain after the other, so that masked scores, which are 0 here, change no bit
            // however many there are.
            for (old, new) in old.chunks(width).zip(new.chunks(width)) {
                let (mut changed, mut was) = (0.0, 0.0);
                for (&old, &new) in old.iter().zip(new) {
                    let (old, new) = (f64::from(old), f64::from(new));
                    changed += (new - old) * (new - old);
                    was += old * old;
                }
                sums.push((changed, was));
            }
            self.account(cell, sums);
            return Ok(());
        }
        let rows = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_from(1);
        let (old, new) = (rows(old)?, rows(new)?);
        let (changed, was) = (
            (new - &old)?.sqr()?.sum(D::Minus1)?,
            old.sqr()?.sum(D::Minus1)?,
        );
        self.pending
            .push((cell, Tensor::stack(&[changed, was], 1)?));
        Ok(())
    }

    fn account(&mut self, cell: Cell, sums: Vec<(f64, f64)>) {
        let generated = cell.point.stack == Stack::LanguageModel && self.prompt > 0;
        let prompt = if generated {
            cell.tokens.partition_point(|&t| t < self.prompt)
        } else {
            cell.tokens.len()
        };
        for &(changed, was) in &sums[prompt..] {
            let effect = self.tail.entry(cell.owner).or_default();
            effect.fired += 1;
            effect.measure(changed, was);
        }
        if prompt > 0 {
            self.cells.push(Cell {
                tokens: cell.tokens[..prompt].into(),
                sums: sums[..prompt].to_vec(),
                ..cell
            });
        }
    }

    /// Fetches the sums and the captured rows from the device; once a step.
    pub fn settle(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            let (cells, sums): (Vec<Cell>, Vec<Tensor>) = pending.into_iter().unzip();
            let sums = Tensor::cat(&sums, 0)?.to_vec2::<f64>()?;
            let mut sums = sums.into_iter().map(|row| (row[0], row[1]));
            for cell in cells {
                let own = sums.by_ref().take(cell.tokens.len()).collect();
                self.account(cell, own);
            }
        }
        for captured in &mut self.captured {
            captured.value = captured.value.to_device(&Device::Cpu)?;
        }
        Ok(())
    }
}

impl Cell {
    /// What counts as acting once: one intervention, at one point of one picture, view or sequence.
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
