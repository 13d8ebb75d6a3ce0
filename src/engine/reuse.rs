//! Decides which parts of which sequences are computed, and which are taken from another one.
//!
//! A sequence is a grid of *cells*: a layer of its path by a token. Attention is causal, so a cell
//! depends on the cells below it and to the left of it alone. Two sequences that differ first at
//! layer l of their path and first at token p therefore agree everywhere but in the *dirty
//! rectangle* of layers >= l and tokens >= p. Such a sequence takes the residual stream before
//! layer l, from token p on, and the keys and values of all else, from the other one.
//!
//! A [`Program`] is all that determines the results of a sequence; [`schedule`] compares them. All of
//! this is arithmetic: no tensor, no clock. Views of pictures in the tower are sequences as well, of
//! one token.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::intervention::{EditKey, EditKeys, Plan};
use crate::nn::{Site, Stack};

/// One row of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// The token, or 128 bits of a digest.
    pub content: u128,
    /// The rotary position.
    pub position: u32,
}

/// All that determines the cells of a sequence.
#[derive(Debug, Clone)]
pub struct Program {
    /// The input.
    pub rows: Arc<[Row]>,
    /// The edits at each layer of the path; the last entry stands for what comes after all layers.
    pub layers: Vec<LayerProgram>,
    /// The first token whose logits may be asked for.
    pub first_logit: u32,
    /// Every cell has to be computed for this sequence itself.
    pub no_reuse: bool,
    /// All rows have to be computed in one step.
    pub unchunkable: bool,
    /// A row depends on those before it alone; in a tower it depends on all.
    pub causal: bool,
}

/// All that determines the cells of one layer, given those below.
#[derive(Debug, Clone)]
pub struct LayerProgram {
    /// The layer; `None` after all layers.
    pub layer: Option<usize>,
    /// The edits of the prompt there.
    pub edits: Vec<EditKey>,
    digest: blake3::Hash,
}

impl LayerProgram {
    /// Creates the program of a layer with its edits.
    pub fn new(layer: Option<usize>, edits: Vec<EditKey>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&layer.map_or(u64::MAX, |l| l as u64).to_le_bytes());
        edits.iter().for_each(|edit| {
            hasher.update(edit.digest().as_bytes());
        });
        Self {
            layer,
            edits,
            digest: hasher.finalize(),
        }
    }

    /// Returns the first token that the edits of this layer and of `other` may change differently.
    fn first_difference(&self, other: &Self) -> Option<u32> {
        let both = self.edits.iter().zip(&other.edits);
        // Pair by pair: edits do not commute, so that the same two in another order differ.
        let apart = both.filter_map(|(a, b)| a.difference(b));
        let shared = self.edits.len().min(other.edits.len());
        let more = self.edits[shared..].iter().chain(&other.edits[shared..]);
        apart.chain(more.map(EditKey::first_token)).min()
    }
}

/// Cells of the layers from `depth` on, and of the tokens from `position` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// The first layer, counted along the path.
    pub depth: usize,
    /// The first token.
    pub position: u32,
}

impl Rectangle {
    /// The cells of a sequence that computes everything itself.
    pub const WHOLE: Self = Self {
        depth: 0,
        position: 0,
    };

    /// Takes in the cells from `depth` and `position` on.
    fn grow(&mut self, depth: usize, position: u32) {
        self.depth = self.depth.min(depth);
        self.position = self.position.min(position);
    }
}

impl Program {
    /// Reads off `plan`, whose keys are `keys`, what happens in `stack`, a plain pass of which runs
    /// `layers` layers.
    pub fn of(
        plan: &Plan,
        keys: &EditKeys,
        stack: Stack,
        layers: usize,
        rows: Arc<[Row]>,
        first_logit: u32,
    ) -> Self {
        let (mut input, mut layered, mut after) = (
            Vec::new(),
            BTreeMap::<usize, Vec<EditKey>>::new(),
            Vec::new(),
        );
        for (point, edits) in keys.iter().filter(|(p, _)| p.stack == stack) {
            let edits = edits.iter().cloned();
            match point.layer {
                Some(layer) => layered.entry(layer).or_default().extend(edits),
                None if point.site == Site::Embed => input.extend(edits),
                None => after.extend(edits),
            }
        }
        let mut entries = Vec::new();
        for (i, layer) in plan.path(stack, layers).into_iter().enumerate() {
            let mut edits = layered.get(&layer).cloned().unwrap_or_default();
            // Edits of the embeddings are done before the first layer that runs.
            if i == 0 {
                edits.splice(0..0, input.drain(..));
            }
            // Cloned: a layer that runs again has its edits each time.
            entries.push(LayerProgram::new(Some(layer), edits));
        }
        // Edits of the embeddings are left only where no layer runs.
        input.append(&mut after);
        entries.push(LayerProgram::new(None, input));
        // A mean or a last row that is captured is that of the whole prompt, which one step must
        // then hold.
        let unchunkable = entries
            .iter()
            .any(|s| s.edits.iter().any(EditKey::is_non_causal))
            || plan.captures_rows();
        let causal = stack == Stack::LanguageModel;
        let captures = match stack {
            // Who takes the rows of another sequence takes its pictures, too.
            Stack::LanguageModel => plan.captures_rows(),
            Stack::VisionTower | Stack::Projector => plan.captures_pictures(),
        };
        Self {
            rows,
            layers: entries,
            first_logit,
            // Rows that another sequence has computed pass no hook of this one.
            no_reuse: captures,
            unchunkable,
            causal,
        }
    }

    /// Returns BLAKE3 of all that determines its cells.
    pub fn digest(&self) -> blake3::Hash {
        self.depths()
            .last()
            .copied()
            .unwrap_or_else(|| blake3::hash(&[]))
    }

    /// Returns BLAKE3 of the input, then of that and the first layer, and so on.
    fn depths(&self) -> Vec<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        let mut rows = Vec::with_capacity(self.rows.len() * size_of::<(u128, u32)>());
        for row in self.rows.iter() {
            rows.extend_from_slice(&row.content.to_le_bytes());
            rows.extend_from_slice(&row.position.to_le_bytes());
        }
        // In one piece: a call for each number takes several times as long.
        hasher.update(&rows);
        let mut depths = vec![hasher.finalize()];
        for entry in &self.layers {
            hasher.update(entry.digest.as_bytes());
            depths.push(hasher.finalize());
        }
        depths
    }

    fn last_depth(&self) -> usize {
        self.layers.len().saturating_sub(1)
    }

    /// Returns the (row, layer) pairs of a rectangle.
    pub fn cells(&self, own: Rectangle) -> u64 {
        let layers = self.last_depth().saturating_sub(own.depth);
        layers as u64 * (self.rows.len() as u64).saturating_sub(own.position.into())
    }

    /// Returns what `self` has to compute where `base` has computed all of its own, if it may start
    /// at every `stride`-th layer.
    pub fn difference(&self, base: &Self, stride: usize) -> Rectangle {
        let mut own = Rectangle {
            depth: self.last_depth(),
            // At the most: the rows whose logits are wanted are always computed, since logits are
            // not kept.
            position: self.first_logit,
        };
        let rows = self.rows.iter().zip(base.rows.iter());
        // A row is its content and its rotary position: either changes keys.
        let shared_rows = rows.take_while(|(a, b)| a == b).count();
        if shared_rows < self.rows.len().max(base.rows.len()) {
            // Another row is another one from the first layer on.
            own.grow(0, shared_rows as u32);
        }
        for (depth, entry) in self.layers.iter().enumerate() {
            let other = base.layers.get(depth);
            let Some(other) = other.filter(|other| other.layer == entry.layer) else {
                // Another path: nothing above agrees.
                own.grow(depth, 0);
                break;
            };
            // Most layers are alike: one comparison instead of one for each edit.
            if entry.digest == other.digest {
                continue;
            }
            let first = entry.first_difference(other);
            if let Some(first) = if self.causal { first } else { Some(0) } {
                own.grow(depth, first);
            }
        }
        // Without causality one changed row changes all.
        if !self.causal && own.depth < self.last_depth() {
            own.position = 0;
        }
        // Down, never up: the cells between are computed again.
        own.depth = own.depth / stride.max(1) * stride.max(1);
        // An edit that looks ahead is done over again with all that it looks at.
        let above = self.layers.iter().skip(own.depth).flat_map(|s| &s.edits);
        for edit in above.filter(|edit| edit.is_non_causal()) {
            own.position = own.position.min(edit.first_token());
        }
        own
    }

    /// Returns the first token whose keys and values may differ from those of `base` at any layer.
    pub fn prefix(&self, base: &Self) -> u32 {
        // A stride beyond all layers: every start is at the bottom.
        if self.no_reuse || base.no_reuse {
            0
        } else {
            self.difference(base, usize::MAX).position
        }
    }
}

/// The start of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The sequence that has computed what this one does not; it stands earlier in the list.
    pub parent: Option<usize>,
    /// The cells that this one computes.
    pub own: Rectangle,
}

/// Decides where each of `programs` starts. `hint` names an earlier sequence that is likely to
/// agree on the input. Checkpoints, counted in rows of the residual stream, stay within
/// `most_rows`; where they do not fit, sequences start at fewer layers and recompute.
pub fn schedule(
    programs: &[Arc<Program>],
    hint: impl Fn(usize) -> Option<usize>,
    most_rows: u64,
) -> Vec<Start> {
    // The longest path: under RepeatLayers it is longer than the model is deep.
    let layers = programs.iter().map(|p| p.layers.len()).max().unwrap_or(0);
    // Starts at every second, fourth, ... layer need fewer checkpoints and recompute more.
    let mut stride = 1;
    loop {
        let starts = schedule_by(programs, &hint, stride);
        // With a stride beyond all layers every start is at the bottom, which needs no checkpoint.
        if stride > layers || checkpoint_rows(programs, &starts) <= most_rows {
            return starts;
        }
        stride *= 2;
    }
}

/// Counts the rows of all checkpoints that `starts` need.
pub fn checkpoint_rows(programs: &[Arc<Program>], starts: &[Start]) -> u64 {
    let mut kept = BTreeMap::<(usize, usize), u64>::new();
    for start in starts.iter().filter(|s| s.own.depth > 0) {
        let Some(parent) = start.parent else { continue };
        let rows = (programs[parent].rows.len() as u64).saturating_sub(start.own.position.into());
        let most = kept.entry((parent, start.own.depth)).or_default();
        // One checkpoint serves all that start at its depth.
        *most = rows.max(*most);
    }
    kept.values().sum()
}

/// Decides the same with starts at every `stride`-th layer alone.
fn schedule_by(
    programs: &[Arc<Program>],
    hint: &impl Fn(usize) -> Option<usize>,
    stride: usize,
) -> Vec<Start> {
    let mut starts: Vec<Start> = Vec::with_capacity(programs.len());
    // The sequence that first ran these layers on this input.
    let mut owners = HashMap::<blake3::Hash, usize>::new();
    for (i, program) in programs.iter().enumerate() {
        let depths = program.depths();
        let nothing = Start {
            parent: None,
            own: Rectangle::WHOLE,
        };
        let mut best = nothing;
        if !program.no_reuse {
            // The deepest agreement with anything before, the hint, and the first one.
            let similar = depths.iter().rev().find_map(|d| owners.get(d)).copied();
            for candidate in [similar, hint(i).filter(|&k| k < i), (i > 0).then_some(0)]
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

/// Returns where `program` would start from sequence `candidate`, or from the one that this one
/// started from, and so on: the first that has computed the rows that are needed itself.
fn start_from(
    programs: &[Arc<Program>],
    starts: &[Start],
    candidate: usize,
    program: &Program,
    stride: usize,
) -> Option<Start> {
    let mut next = Some(candidate);
    while let Some(parent) = next {
        // With the whole parent: what it has taken from others is what it would have computed.
        let own = program.difference(&programs[parent], stride);
        let has = starts[parent].own;
        // A start at the bottom needs nothing but keys and values, which may be inherited
        // themselves.
        if !programs[parent].no_reuse
            && (own.depth == 0 || (has.depth <= own.depth && has.position <= own.position))
        {
            return Some(Start {
                parent: Some(parent),
                own,
            });
        }
        // Ends, since a parent stands earlier in the list.
        next = starts[parent].parent;
    }
    None
}
