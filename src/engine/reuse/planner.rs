//! The planner: decides which parts of which sequences are computed, and which are taken from
//! another one.
//!
//! A sequence is a grid of *cells*: a layer of its path by a token. Attention is causal, so a cell
//! depends on the cells below it and to the left of it alone. Two sequences that differ first at
//! layer l of their path and first at token p therefore agree everywhere but in the *dirty
//! rectangle* of layers >= l and tokens >= p. Such a sequence takes the residual stream before
//! layer l, from token p on, and the keys and values of all else, from the other one.
//!
//! All of this is arithmetic on [`Program`]s: no tensor, no clock. Views of pictures in the tower
//! are sequences as well, of one token.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::program::{Program, Rectangle};

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
            own: Rectangle {
                depth: 0,
                position: 0,
            },
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
        next = starts[parent].parent;
    }
    None
}
