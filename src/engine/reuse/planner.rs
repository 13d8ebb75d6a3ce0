//! The planner: which parts of which runs are computed, and which are taken from another.
//!
//! A run is a grid of *cells*: a layer of its path (a *slot*) by a token. Attention is causal, so a
//! cell depends on the cells below it and to the left of it alone. Two runs that differ first at
//! slot l and first at token p therefore agree everywhere but in the *dirty rectangle* of slots >=
//! l and tokens >= p. Such a run takes the residual stream before slot l, from token p on, and the
//! keys and values of all else, from the other one.
//!
//! All of this is arithmetic on [`Program`]s: no tensor, no clock. Views of pictures in the tower
//! are runs as well, of one token.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::intervention::{Act, Plan};
use crate::nn::{Result, Site, Stack};

/// What stands in one row of the input: what it is and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// The token, or 128 bits of a digest.
    pub content: u128,
    /// Its rotary position.
    pub position: u32,
}

/// What determines the cells of a run.
#[derive(Debug, Clone)]
pub struct Program {
    /// The input.
    pub rows: Arc<[Row]>,
    /// What happens at each slot; the last one stands for what comes after all layers.
    pub slots: Vec<SlotProgram>,
    /// The first token whose logits may be asked for.
    pub wanted: u32,
    /// Whether every cell has to be computed for this run itself.
    pub alone: bool,
    /// Whether its rows have to be computed together.
    pub whole: bool,
    /// Whether a row depends on those before it alone; in a tower it depends on all.
    pub causal: bool,
}

/// What determines the cells of one slot, given those below.
#[derive(Debug, Clone)]
pub struct SlotProgram {
    /// The layer; `None` after all layers.
    pub layer: Option<usize>,
    /// What is done there to the prompt.
    pub acts: Vec<Act>,
    digest: blake3::Hash,
}

impl SlotProgram {
    /// A layer with what is done there.
    pub fn new(layer: Option<usize>, acts: Vec<Act>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&layer.map_or(u64::MAX, |l| l as u64).to_le_bytes());
        acts.iter().for_each(|act| {
            hasher.update(act.digest().as_bytes());
        });
        Self {
            layer,
            acts,
            digest: hasher.finalize(),
        }
    }
}

/// Slots from `slot` on, tokens from `position` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// The first slot.
    pub slot: usize,
    /// The first token.
    pub position: u32,
}

/// Where a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The run that has computed what this one does not; it stands earlier in the list.
    pub parent: Option<usize>,
    /// What this one computes.
    pub own: Rectangle,
}

impl Program {
    /// Of `plan` in `stack`, whose layers it would run are `layers`.
    pub fn of(
        plan: &Plan,
        stack: Stack,
        layers: usize,
        rows: Arc<[Row]>,
        wanted: u32,
    ) -> Result<Self> {
        let (mut input, mut layered, mut after) =
            (Vec::new(), BTreeMap::<usize, Vec<Act>>::new(), Vec::new());
        for (point, acts) in plan.acts()?.into_iter().filter(|(p, _)| p.stack == stack) {
            match point.layer {
                Some(layer) => layered.entry(layer).or_default().extend(acts),
                None if point.site == Site::Embed => input.extend(acts),
                None => after.extend(acts),
            }
        }
        let mut slots = Vec::new();
        for (i, layer) in plan.path(stack, layers).into_iter().enumerate() {
            let mut acts = layered.get(&layer).cloned().unwrap_or_default();
            if i == 0 {
                acts.splice(0..0, input.drain(..));
            }
            slots.push(SlotProgram::new(Some(layer), acts));
        }
        input.append(&mut after);
        slots.push(SlotProgram::new(None, input));
        let whole =
            slots.iter().any(|s| s.acts.iter().any(Act::looks_ahead)) || plan.captures_rows();
        let causal = stack == Stack::LanguageModel;
        Ok(Self {
            rows,
            slots,
            wanted,
            alone: plan.captures_rows(),
            whole,
            causal,
        })
    }

    /// BLAKE3 of all that determines its cells.
    pub fn digest(&self) -> blake3::Hash {
        self.depths()
            .last()
            .copied()
            .unwrap_or_else(|| blake3::hash(&[]))
    }

    /// BLAKE3 of the input, then of that and of the first slot, and so on.
    fn depths(&self) -> Vec<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        for row in self.rows.iter() {
            hasher.update(&row.content.to_le_bytes());
            hasher.update(&row.position.to_le_bytes());
        }
        let mut depths = vec![hasher.finalize()];
        for slot in &self.slots {
            hasher.update(slot.digest.as_bytes());
            depths.push(hasher.finalize());
        }
        depths
    }

    fn last_slot(&self) -> usize {
        self.slots.len().saturating_sub(1)
    }

    /// (row, layer) pairs of a rectangle.
    pub fn cells(&self, own: Rectangle) -> u64 {
        let slots = self.last_slot().saturating_sub(own.slot);
        slots as u64 * (self.rows.len() as u64).saturating_sub(own.position.into())
    }

    /// What `self` has to compute where `base` has computed all of its own, if it may start at
    /// every `stride`-th slot.
    pub fn difference(&self, base: &Self, stride: usize) -> Rectangle {
        let mut own = Rectangle {
            slot: self.last_slot(),
            position: self.wanted,
        };
        let rows = self
            .rows
            .iter()
            .zip(base.rows.iter())
            .take_while(|(a, b)| a == b)
            .count();
        if rows < self.rows.len().max(base.rows.len()) {
            own = Rectangle {
                slot: 0,
                position: own.position.min(rows as u32),
            };
        }
        for (i, slot) in self.slots.iter().enumerate() {
            let Some(other) = base.slots.get(i).filter(|other| other.layer == slot.layer) else {
                own = Rectangle {
                    slot: own.slot.min(i),
                    position: 0,
                };
                break;
            };
            if slot.digest == other.digest {
                continue;
            }
            let shared = slot.acts.len().min(other.acts.len());
            let apart = slot
                .acts
                .iter()
                .zip(&other.acts)
                .filter_map(|(a, b)| a.difference(b));
            let more = slot.acts[shared..]
                .iter()
                .chain(&other.acts[shared..])
                .map(Act::first);
            let first = if self.causal {
                apart.chain(more).min()
            } else {
                Some(0)
            };
            if let Some(first) = first {
                own = Rectangle {
                    slot: own.slot.min(i),
                    position: own.position.min(first),
                };
            }
        }
        if !self.causal && own.slot < self.last_slot() {
            own.position = 0;
        }
        own.slot = own.slot / stride.max(1) * stride.max(1);
        // What looks ahead is done over again with all that it looks at.
        for act in self
            .slots
            .iter()
            .skip(own.slot)
            .flat_map(|s| &s.acts)
            .filter(|a| a.looks_ahead())
        {
            own.position = own.position.min(act.first());
        }
        own
    }

    /// The tokens before this one have the same keys and values at every slot as in `base`.
    pub fn prefix(&self, base: &Self) -> u32 {
        if self.alone || base.alone {
            0
        } else {
            self.difference(base, usize::MAX).position
        }
    }
}

/// Where each of `programs` starts. `kin` names an earlier run that is likely to agree on the
/// input. Checkpoints, counted in rows of the residual stream, stay within `most_rows`; where they
/// do not fit, runs start at fewer layers and recompute.
pub fn schedule(
    programs: &[Arc<Program>],
    kin: impl Fn(usize) -> Option<usize>,
    most_rows: u64,
) -> Vec<Start> {
    let slots = programs.iter().map(|p| p.slots.len()).max().unwrap_or(0);
    let mut stride = 1;
    loop {
        let starts = schedule_by(programs, &kin, stride);
        if stride > slots || checkpoint_rows(programs, &starts) <= most_rows {
            return starts;
        }
        stride *= 2;
    }
}

/// Rows of all checkpoints that `starts` need.
pub fn checkpoint_rows(programs: &[Arc<Program>], starts: &[Start]) -> u64 {
    let mut kept = BTreeMap::<(usize, usize), u64>::new();
    for start in starts.iter().filter(|s| s.own.slot > 0) {
        let Some(parent) = start.parent else { continue };
        let rows = (programs[parent].rows.len() as u64).saturating_sub(start.own.position.into());
        let most = kept.entry((parent, start.own.slot)).or_default();
        *most = rows.max(*most);
    }
    kept.values().sum()
}

/// The same with starts at every `stride`-th slot alone.
fn schedule_by(
    programs: &[Arc<Program>],
    kin: &impl Fn(usize) -> Option<usize>,
    stride: usize,
) -> Vec<Start> {
    let mut starts: Vec<Start> = Vec::with_capacity(programs.len());
    // Who first ran these slots on this input.
    let mut owners = HashMap::<blake3::Hash, usize>::new();
    for (i, program) in programs.iter().enumerate() {
        let depths = program.depths();
        let nothing = Start {
            parent: None,
            own: Rectangle {
                slot: 0,
                position: 0,
            },
        };
        let mut best = nothing;
        if !program.alone {
            let twin = depths.iter().rev().find_map(|d| owners.get(d)).copied();
            for candidate in [twin, kin(i).filter(|&k| k < i), (i > 0).then_some(0)]
                .into_iter()
                .flatten()
            {
                let start = start_from(programs, &starts, candidate, program, stride);
                if let Some(start) =
                    start.filter(|s| program.cells(s.own) < program.cells(best.own))
                {
                    best = start;
                }
            }
            depths.into_iter().for_each(|d| {
                owners.entry(d).or_insert(i);
            });
        }
        starts.push(best);
    }
    starts
}

/// Where `program` would start from run `candidate`, or from the run that this one started from, or
/// ...: the first that has computed the rows that are needed itself.
fn start_from(
    programs: &[Arc<Program>],
    starts: &[Start],
    candidate: usize,
    program: &Program,
    stride: usize,
) -> Option<Start> {
    let mut next = Some(candidate);
    while let Some(parent) = next {
        let own = program.difference(&programs[parent], stride);
        let has = starts[parent].own;
        // From the input alone nothing is needed but keys and values, which may be anybody's.
        if !programs[parent].alone
            && (own.slot == 0 || (has.slot <= own.slot && has.position <= own.position))
        {
            return Some(Start {
                parent: Some(parent),
                own,
            });
        }
        next = starts[parent].parent;
    }
    None
}
