//! Compiles a list of interventions to a plan: resolves targets and selectors against a model and an
//! input, checks limits, makes every random choice.

mod capture;
mod compiler;
mod context;
mod entry;
mod saliency;
mod selector;
mod shape;
mod spec;
mod target;
mod token_map;

use std::collections::BTreeSet;

pub use capture::{CaptureTarget, Reduce, Volume};
pub(crate) use compiler::Compiler;
pub use context::{Context, SaliencyMaps, SaliencyQuery};
pub(crate) use entry::{Entry, MAX_FACTOR};
pub(crate) use saliency::rounded;
pub use saliency::{Amount, SaliencySource, Salient};
pub use selector::{Named, Steps, TokenSelector, Tokens};
pub use shape::{Shape, shape_of};
pub(crate) use spec::Spec;
pub use target::Target;
pub use token_map::{PromptToken, TextSegment, prompt_tokens};
pub(crate) use token_map::{TokenInfo, TokenMap};

use super::error::Error;
use super::plan::{Plan, Resolved};
use super::spec::Intervention;

/// Returns the attention maps of the unchanged pictures that compiling needs.
pub fn saliency_queries<'a>(
    list: &'a [Intervention],
    targets: impl Iterator<Item = &'a Target>,
) -> BTreeSet<SaliencyQuery> {
    let of_selectors = list
        .iter()
        .flat_map(|intervention| intervention.spec().selectors())
        .chain(targets.map(|target| &target.tokens))
        .flat_map(TokenSelector::salient)
        .filter_map(Salient::query);
    let own = list
        .iter()
        .flat_map(|intervention| intervention.spec().saliency_queries());
    of_selectors.chain(own).collect()
}

/// Returns the handles of kept activations that a list names.
pub fn handles(list: &[Intervention]) -> impl Iterator<Item = &str> {
    list.iter()
        .filter_map(|intervention| intervention.spec().activation_handle())
}

/// Returns the files of the donor pictures of a list, with the indices of their interventions.
pub fn donors(list: &[Intervention]) -> impl Iterator<Item = (usize, &[u8])> {
    list.iter()
        .enumerate()
        .filter_map(|(index, intervention)| Some((index, intervention.spec().donor()?)))
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
    // None is missing: every kind is early or is not.
    plan.resolved = resolved.into_iter().flatten().collect();
    Ok((plan, volumes))
}
