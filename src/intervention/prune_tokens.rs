//! Prune tokens: visual tokens leave the computation after a layer (FastV, Chen et al. 2024). Rows
//! and keys of the layers above are really fewer; those that stay keep their positions. The last
//! token of a prompt stays whatever it is.
//!
//! Law: keeping all changes nothing.

use std::sync::Arc;

use super::plan::{Prune, Ranking, Resolution, Resolved};
use super::salient::{Amount, SaliencySource, Salient, rounded};
use super::selector::Item;
use super::{Compiler, Error, Place, Steps, TokenSelector, check_share};
use crate::nn::{Site, Stack};

/// Drops visual tokens after a layer of the language model.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneTokens {
    /// From 0.
    pub layer: u32,
    /// How many stay.
    pub keep: Keep,
    /// Which stay.
    pub by: By,
}

/// How many stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keep {
    /// `floor(share * tokens + 0.5)`.
    Share(f64),
    /// So many.
    Count(u32),
}

/// Which stay.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    /// Those that these tokens attend to most at this layer.
    Received(TokenSelector),
    /// Those that a seed draws.
    Random(u64),
    /// Those that the tower's class token attends to most.
    ClassAttention,
}

/// What class attention ranks by.
pub(super) const CLASS: Salient = Salient {
    amount: Amount::Share(1.0),
    source: SaliencySource::Tower,
    head: None,
};

impl PruneTokens {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let context = compiler.context;
        place.needs_image(context)?;
        let layer = self.layer as usize;
        compiler.check_runs(place, "layer", Stack::LanguageModel, layer)?;
        if compiler.plan.prunes.contains_key(&layer) {
            return Err(place.invalid(
                "layer",
                format!("tokens are pruned twice after layer {layer}; once is valid"),
            ));
        }
        let visual: Vec<u32> = (0..)
            .zip(&compiler.prompt.items)
            .filter(|(i, item)| {
                matches!(item, Item::Visual { .. }) && *i + 1 < compiler.prompt.items.len() as u32
            })
            .map(|(i, _)| i)
            .collect();
        let gone: usize = compiler
            .plan
            .prunes
            .range(..layer)
            .map(|(_, p)| p.leave)
            .sum();
        let before = visual.len() - gone.min(visual.len());
        let keep = match self.keep {
            Keep::Share(share) => {
                check_share(place, "keep_share", share)?;
                rounded(share, before)
            }
            Keep::Count(count) if count as usize > before && !compiler.is_preview() => {
                let message =
                    format!("{count} is more than the {before} visual tokens that there are");
                return Err(place.invalid("keep_count", message));
            }
            Keep::Count(count) => count as usize,
        };
        if let Some((later, _)) = compiler.plan.prunes.range(layer..).next() {
            let message =
                format!("layer {layer} is listed after layer {later}; list them from the input up");
            return Err(place.invalid("layer", message));
        }
        let ranking = match &self.by {
            By::Received(from) => {
                let steps = Steps { first: 0, last: 0 };
                let from = compiler.pick(
                    place,
                    "received_from",
                    from,
                    steps,
                    Stack::LanguageModel,
                    Site::Pattern,
                )?;
                if from.is_empty() && !compiler.is_preview() {
                    return Err(place.never_fired("no token of the prompt looks"));
                }
                Ranking::Received {
                    from: Arc::new(from),
                    visual: visual.into(),
                }
            }
            By::Random(seed) => {
                let order = place.draws(*seed, context, 0).permutation(visual.len());
                Ranking::Fixed(order.into_iter().map(|i| visual[i as usize]).collect())
            }
            By::ClassAttention => {
                let score = |position: u32| -> Result<f64, Error> {
                    let item = &compiler.prompt.items[position as usize];
                    let Item::Visual { image, patches, .. } = item else {
                        return Ok(0.0);
                    };
                    if patches.is_empty() {
                        return Ok(-1.0);
                    }
                    CLASS.of_item(place, "class_attention", context, *image, item)
                };
                let mut scored: Vec<(u32, f64)> = visual
                    .iter()
                    .map(|&p| Ok((p, score(p)?)))
                    .collect::<Result<_, Error>>()?;
                scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                Ranking::Fixed(scored.into_iter().map(|(p, _)| p).collect())
            }
        };
        let leave = before.saturating_sub(keep);
        compiler.plan.prunes.insert(
            layer,
            Prune {
                owner: place.index,
                keep,
                leave,
                ranking,
            },
        );
        Ok(Resolved {
            changed_nothing: leave == 0,
            resolutions: vec![Resolution::default()],
            fired: None,
        })
    }
}
