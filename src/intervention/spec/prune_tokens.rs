//! Prune tokens: visual tokens leave the computation after a layer (FastV, Chen et al. 2024). Rows
//! and keys of the layers above are really fewer; tokens that stay keep their positions. The last
//! token of a prompt stays whatever it is.
//!
//! Law: keeping all changes nothing.

use std::sync::Arc;

use crate::intervention::compile::{
    Amount, Compiler, Context, Entry, SaliencyQuery, SaliencySource, Salient, Spec, Steps,
    TokenInfo, TokenMap, TokenSelector, rounded,
};
use crate::intervention::error::Error;
use crate::intervention::plan::{Prune, Ranking, Resolution, Resolved};
use crate::nn::{Site, Stack};

/// Drops visual tokens after a layer of the language model.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneTokens {
    /// Number of the layer, from 0.
    pub layer: u32,
    /// The number of tokens that stay.
    pub keep: Keep,
    /// The order in which they stay.
    pub ranking: PruneRanking,
}

/// The number of tokens that stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keep {
    /// `floor(share * tokens + 0.5)`.
    Share(f64),
    /// A number.
    Count(u32),
}

/// A ranking of visual tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum PruneRanking {
    /// The attention that these tokens pay to them at this layer.
    Received(TokenSelector),
    /// Drawn from a seed.
    Random(u64),
    /// The attention that the tower's class token pays to them.
    ClassAttention,
}

/// The attention map that [`PruneRanking::ClassAttention`] ranks by.
const CLASS_ATTENTION: Salient = Salient {
    amount: Amount::Share(1.0),
    source: SaliencySource::Tower,
    head: None,
};

impl Spec for PruneTokens {
    fn selectors(&self) -> Vec<&TokenSelector> {
        match &self.ranking {
            PruneRanking::Received(from) => vec![from],
            PruneRanking::Random(_) | PruneRanking::ClassAttention => Vec::new(),
        }
    }

    fn is_early(&self) -> bool {
        false
    }

    fn saliency_queries(&self) -> Vec<SaliencyQuery> {
        match self.ranking {
            PruneRanking::ClassAttention => CLASS_ATTENTION.query().into_iter().collect(),
            PruneRanking::Received(_) | PruneRanking::Random(_) => Vec::new(),
        }
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.needs_image(compiler.context)?;
        let layer = self.layer as usize;
        compiler.check_runs(entry, "layer", Stack::LanguageModel, layer)?;
        if compiler.plan.prunes.contains_key(&layer) {
            return Err(entry.invalid(
                "layer",
                format!("tokens are pruned twice after layer {layer}; once is valid"),
            ));
        }
        // Rankings count the tokens that earlier prunes leave, so those must be known.
        if let Some((later, _)) = compiler.plan.prunes.range(layer..).next() {
            let message =
                format!("layer {layer} is listed after layer {later}; list them from the input up");
            return Err(entry.invalid("layer", message));
        }
        let visual = visual_tokens(&compiler.prompt);
        // Their number is known, though which tokens leave may show only when the layer runs.
        let gone: usize = compiler.plan.prunes.values().map(|prune| prune.leave).sum();
        let before = visual.len().saturating_sub(gone);
        // A preview has no prompt, and so no visual token either.
        if before == 0 && !compiler.is_preview() {
            return Err(entry.never_fired(match compiler.plan.prunes.keys().last() {
                Some(earlier) if gone > 0 => {
                    format!("no visual token is left after the one that prunes at layer {earlier}")
                }
                _ => "the language model reads no visual token".into(),
            }));
        }
        let keep = self.count(entry, before, compiler)?;
        let leave = before.saturating_sub(keep);
        let prune = Prune {
            owner: entry.index,
            keep,
            leave,
            ranking: self.rank(entry, visual, compiler)?,
        };
        compiler.plan.prunes.insert(layer, prune);
        Ok(Resolved {
            changed_nothing: leave == 0,
            // Filled in when the answer has shown which tokens left.
            resolutions: vec![Resolution::default()],
            fired: None,
        })
    }
}

impl PruneTokens {
    /// Returns how many of `before` tokens stay.
    fn count(&self, entry: Entry, before: usize, compiler: &Compiler<'_>) -> Result<usize, Error> {
        match self.keep {
            Keep::Share(share) => {
                entry.check_share("keep_share", share)?;
                Ok(rounded(share, before))
            }
            // A preview has no prompt, and so no visual token that could be counted.
            Keep::Count(count) if count as usize > before && !compiler.is_preview() => {
                let message =
                    format!("{count} is more than the {before} visual tokens that there are");
                Err(entry.invalid("keep_count", message))
            }
            Keep::Count(count) => Ok(count as usize),
        }
    }

    /// Returns the order in which the positions `visual` stay.
    fn rank(
        &self,
        entry: Entry,
        visual: Vec<u32>,
        compiler: &Compiler<'_>,
    ) -> Result<Ranking, Error> {
        let context = compiler.context;
        match &self.ranking {
            PruneRanking::Received(from) => {
                let prompt = Steps { first: 0, last: 0 };
                let (stack, site) = (Stack::LanguageModel, Site::Pattern);
                let from = compiler.pick(entry, "received_from", from, prompt, stack, site)?;
                if from.is_empty() && !compiler.is_preview() {
                    return Err(entry.never_fired("no token of the prompt looks"));
                }
                Ok(Ranking::Received {
                    from: Arc::new(from),
                    visual: visual.into(),
                })
            }
            PruneRanking::Random(seed) => {
                // In one ranking, whatever picture they are of.
                let order = entry.draws(*seed, context, 0).permutation(visual.len());
                let ranked = order.into_iter().map(|i| visual[i as usize]);
                Ok(Ranking::Fixed(ranked.collect()))
            }
            PruneRanking::ClassAttention => {
                let mut scored = Vec::with_capacity(visual.len());
                for position in visual {
                    let token = &compiler.prompt.tokens[position as usize];
                    scored.push((position, class_attention(entry, token, context)?));
                }
                // Ties go to the earlier token, as everywhere.
                scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                Ok(Ranking::Fixed(scored.into_iter().map(|(p, _)| p).collect()))
            }
        }
    }
}

/// Returns the positions of the visual tokens, without the last token of the prompt: it predicts
/// the answer and always stays.
fn visual_tokens(prompt: &TokenMap) -> Vec<u32> {
    // Saturating, for the prompt of a preview, which is empty.
    let others = prompt.tokens.len().saturating_sub(1);
    (0..)
        .zip(&prompt.tokens[..others])
        .filter(|(_, token)| matches!(token, TokenInfo::Visual { .. }))
        .map(|(i, _)| i)
        .collect()
}

/// Returns the attention that the tower's class token pays to a token of the prompt.
fn class_attention(entry: Entry, token: &TokenInfo, context: &Context<'_>) -> Result<f64, Error> {
    let TokenInfo::Visual { image, patches, .. } = token else {
        return Ok(0.0);
    };
    // Newlines, which are made of no patch, leave first.
    if patches.is_empty() {
        return Ok(-1.0);
    }
    CLASS_ATTENTION.of_token(entry, "class_attention", context, *image, token)
}
