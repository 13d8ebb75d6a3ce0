//! Compiles a list of interventions to a plan: resolves targets and selectors against a model and an
//! input, checks limits, makes every random choice.

mod capture;
mod compiler;
mod context;
mod entry;
mod grid;
mod grid_positions;
mod measured;
mod named;
mod sae;
mod saliency;
mod selector;
mod shape;
mod spec;
mod target;
mod token_map;

use std::collections::BTreeSet;

pub use capture::{CaptureTarget, Reduce, RowPatches, Volume};
pub(crate) use compiler::Compiler;
pub use context::{Context, SaliencyMaps, SaliencyQuery};
pub(crate) use entry::{Entry, MAX_FACTOR};
pub use grid::{Grid, GridPoint, GridSpec, Receiver, compile_grid, grid_needs};
pub use grid_positions::{GridPosition, GridToken, MAX_CELLS, PatchPlace, Patches, Positions};
pub(crate) use measured::cosine;
pub use measured::{MeasuredAmount, MeasuredTokens, TokenMeasure};
pub use named::Named;
pub(crate) use saliency::rounded;
pub use saliency::{Amount, SaliencySource, Salient};
pub use selector::{Steps, TokenSelector, Tokens};
pub(crate) use spec::{Spec, grid_work};
pub use target::Target;
pub(crate) use token_map::{TokenInfo, TokenMap};

use super::error::Error;
use super::plan::{Plan, Resolved};
use super::spec::Intervention;
use crate::model::RowsQuery;

/// Lists what compiling needs beside the request.
#[derive(Debug, Default)]
pub struct Needs<'a> {
    /// Attention maps of the unchanged pictures.
    pub saliency: BTreeSet<SaliencyQuery>,
    /// Rows of the model without interventions.
    pub rows: BTreeSet<RowsQuery>,
    /// Files of donor pictures, with the indices of their interventions.
    pub donors: Vec<(usize, &'a [u8])>,
    /// Handles of kept activations.
    pub activations: Vec<&'a str>,
}

impl Needs<'_> {
    /// Adds what a selector needs.
    pub(crate) fn look_for(&mut self, selector: &TokenSelector) {
        let maps = selector.salient().filter_map(Salient::query);
        self.saliency.extend(maps);
        self.rows.extend(selector.rows_queries());
    }

    /// Reports whether the request is enough, as it is for most.
    pub fn is_empty(&self) -> bool {
        self.saliency.is_empty()
            && self.rows.is_empty()
            && self.donors.is_empty()
            && self.activations.is_empty()
    }
}

/// Returns what compiling `list` and `captures` needs.
pub fn needs<'a>(list: &'a [Intervention], captures: &[CaptureTarget]) -> Needs<'a> {
    let mut needs = Needs::default();
    for (index, intervention) in list.iter().enumerate() {
        let spec = intervention.spec();
        needs.saliency.extend(spec.saliency_queries());
        needs.rows.extend(spec.rows_query());
        for selector in spec.selectors() {
            needs.look_for(selector);
        }
        needs.donors.extend(spec.donor().map(|file| (index, file)));
        needs.activations.extend(spec.activation_handle());
    }
    for capture in captures {
        needs.look_for(&capture.target.tokens);
    }
    needs
}

/// Returns about how many operations of a processor changing pictures of so many pixels takes.
pub fn picture_work(list: &[Intervention], pictures: impl Iterator<Item = u64>) -> u64 {
    let of_one = |pixels| list.iter().map(move |i| i.spec().picture_work(pixels));
    pictures.flat_map(of_one).fold(0, u64::saturating_add)
}

/// Checks `list` against the model, the pictures and the prompt, and makes every random choice.
pub fn compile(list: &[Intervention], context: &Context<'_>) -> Result<Plan, Error> {
    compile_with(list, &[], context).map(|(plan, _)| plan)
}

/// Compiles `list` and `captures`; returns the plan and the size of each capture.
pub fn compile_with(
    list: &[Intervention],
    captures: &[CaptureTarget],
    context: &Context<'_>,
) -> Result<(Plan, Vec<Volume>), Error> {
    let (mut compiler, resolved) = compiled(list, context)?;
    // Captures last: they see the layers and tokens that the interventions leave.
    let mut volumes = Vec::with_capacity(captures.len());
    for (index, capture) in captures.iter().enumerate() {
        let entry = Entry {
            list: "targets",
            index,
            name: "",
        };
        volumes.push(capture.compile(entry, &mut compiler)?);
    }
    let mut plan = compiler.plan;
    plan.images = compiler.images;
    plan.resolved = resolved;
    Ok((plan, volumes))
}

/// Compiles `list`; returns what is known after it, and the result of each intervention.
fn compiled<'a>(
    list: &[Intervention],
    context: &'a Context<'a>,
) -> Result<(Compiler<'a>, Vec<Resolved>), Error> {
    let mut compiler = Compiler::new(context);
    // Two passes, results in the order of the request.
    let mut resolved: Vec<Option<Resolved>> = vec![None; list.len()];
    for early in [true, false] {
        for (index, intervention) in list.iter().enumerate() {
            let spec = intervention.spec();
            if spec.is_early() != early {
                continue;
            }
            let entry = Entry {
                list: "interventions",
                index,
                name: intervention.name(),
            };
            resolved[index] = Some(spec.compile(entry, &mut compiler)?);
        }
        if early && let Some(prompt) = context.prompt {
            // Selections are known now; what follows names tokens of the prompt by their places.
            compiler.prompt = TokenMap::of_prompt(prompt, &compiler.images);
        }
    }
    // None is missing: every kind is early or is not.
    Ok((compiler, resolved.into_iter().flatten().collect()))
}
