//! Captures: hook points whose rows a request asks to see, checked and counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compiler::Compiler;
use super::entry::Entry;
use super::grid_positions::{PatchPlace, place};
use super::named::Named;
use super::selector::{Steps, TokenSelector, Tokens};
use super::target::{ResolvedTarget, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Reduction, Rows, TopFeatures, TopTokens};
use crate::model::TunedLens;
use crate::nn::{Site, Stack};

/// Most tokens of a row that a lens shows.
const MAX_TOP_TOKENS: usize = 100;
/// Most features of a row that are told.
const MAX_TOP_FEATURES: usize = 1000;
/// Numbers that one feature counts for: number and value.
const NUMBERS_OF_FEATURE: usize = 2;
/// Numbers that one token of a lens counts for: id, text and log-probability.
const NUMBERS_OF_TOP_TOKEN: usize = 16;

/// Sites that hold rows as wide as the residual stream, which the unembedding can read.
const RESIDUAL: [Site; 8] = [
    Site::Embed,
    Site::ResidPre,
    Site::AttnOut,
    Site::ResidMid,
    Site::MlpOut,
    Site::ResidPost,
    Site::Tokens,
    Site::Out,
];

/// Something to capture.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureTarget {
    /// The hook point and its rows.
    pub target: Target,
    /// The reduction of the rows.
    pub reduce: Reduce,
}

/// A reduction of captured rows, as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract defines each")]
pub enum Reduce {
    None,
    Mean,
    Norm,
    Last,
    TopTokens {
        top: usize,
        /// A tuned lens; empty for the logit lens.
        lens: String,
    },
    Received,
    TopFeatures {
        sae: String,
        top: usize,
        /// 0 for all.
        prefix: usize,
    },
}

/// The patch behind each row of the prompt and the pictures, by picture and view; `None` where a row
/// shows none.
pub type RowPatches = BTreeMap<(usize, usize), Vec<Option<PatchPlace>>>;

/// The number of values that a capture comes to, and what its rows are of.
#[derive(Debug, Clone, Default)]
pub struct Volume {
    /// Values of the prompt and the pictures.
    pub prompt: usize,
    /// Values of each generated token, at most.
    pub step: usize,
    /// Values that one row of one point counts for, where it is told as features or tokens; else 0.
    pub told_row: usize,
    /// The patches behind the rows; of captures of features alone.
    pub patches: Arc<RowPatches>,
}

impl CaptureTarget {
    /// Checks it, adds it to the plan and returns its size.
    pub(crate) fn compile(
        &self,
        entry: Entry,
        compiler: &mut Compiler<'_>,
    ) -> Result<Volume, Error> {
        let target = self.target.resolve(entry, "target", compiler)?;
        // Shapes of captures are those of the hook table, which clients rely on.
        if !self.target.dimensions.is_empty() {
            return Err(entry.invalid(
                "target.dimensions",
                "captures hold whole rows; leave it empty",
            ));
        }
        let reduction = self.reduction(entry, &target, compiler)?;
        let volume = volume(&target, &reduction, compiler);
        target.capture(entry.index, &reduction, compiler);
        Ok(volume)
    }

    fn reduction(
        &self,
        entry: Entry,
        target: &ResolvedTarget,
        compiler: &Compiler<'_>,
    ) -> Result<Reduction, Error> {
        let point = target.points.first();
        // There is a point: `resolve` refuses a target without any.
        let site = point.map_or(Site::Embed, |p| p.site);
        let stack = point.map_or(Stack::LanguageModel, |p| p.stack);
        Ok(match &self.reduce {
            Reduce::None => Reduction::None,
            Reduce::Mean => Reduction::Mean,
            Reduce::Norm => Reduction::Norm,
            Reduce::Last => Reduction::Last,
            Reduce::TopTokens { top, lens } => Reduction::TopTokens(self.top_tokens(
                entry,
                (stack, site),
                (*top, lens),
                compiler,
            )?),
            Reduce::Received => {
                if site != Site::Pattern {
                    let message = format!(
                        "{} is not an attention pattern, hook_pattern",
                        self.target.point
                    );
                    return Err(entry.invalid("reduction", message));
                }
                Reduction::Received(received_by(entry, stack, compiler)?.into())
            }
            Reduce::TopFeatures { sae, top, prefix } => {
                let features = self.top_features(entry, target, (sae, *top, *prefix), compiler)?;
                Reduction::TopFeatures(features)
            }
        })
    }

    fn top_tokens(
        &self,
        entry: Entry,
        (stack, site): (Stack, Site),
        (top, lens): (usize, &str),
        compiler: &Compiler<'_>,
    ) -> Result<TopTokens, Error> {
        if !(1..=MAX_TOP_TOKENS).contains(&top) {
            let message = format!("{top} is not in 1 to {MAX_TOP_TOKENS}");
            return Err(entry.invalid("top", message));
        }
        // A lens applies the final norm and the unembedding: the width must be theirs.
        let readable = stack == Stack::LanguageModel || site == Site::Tokens || site == Site::Out;
        if !readable || !RESIDUAL.contains(&site) {
            let message = format!(
                "{} is not a residual stream of the language model",
                self.target.point
            );
            return Err(entry.invalid("reduction", message));
        }
        if lens.is_empty() {
            return Ok(TopTokens { top, lens: None });
        }
        let tuned = entry.lens(lens, compiler.context.model)?;
        if !TunedLens::reads(stack, site) {
            let message = format!(
                "{} is not between layers; a tuned lens reads hook_embed, hook_resid_pre and \
                 hook_resid_post of the language model",
                self.target.point
            );
            return Err(entry.invalid("lens", message));
        }
        Ok(TopTokens {
            top,
            lens: Some(tuned),
        })
    }

    fn top_features(
        &self,
        entry: Entry,
        target: &ResolvedTarget,
        (name, top, prefix): (&str, usize, usize),
        compiler: &Compiler<'_>,
    ) -> Result<TopFeatures, Error> {
        if !(1..=MAX_TOP_FEATURES).contains(&top) {
            let message = format!("{top} is not in 1 to {MAX_TOP_FEATURES}");
            return Err(entry.invalid("top", message));
        }
        let sae = entry.sae("sae", name, compiler.context.model)?;
        entry.check_width("target.point", target, &sae)?;
        if !self.target.heads.is_empty() {
            let message = "features are of whole rows; leave it empty";
            return Err(entry.invalid("target.heads", message));
        }
        let all = sae.features();
        if prefix > all {
            let message = format!("{prefix} is more than the {all} features of the autoencoder");
            return Err(entry.invalid("prefix", message));
        }
        let prefix = if prefix == 0 { all } else { prefix };
        Ok(TopFeatures { sae, top, prefix })
    }
}

/// Returns the keys whose received attention is reported: patches in the tower, visual tokens in
/// the language model.
fn received_by(entry: Entry, stack: Stack, compiler: &Compiler<'_>) -> Result<Rows, Error> {
    let in_tower = stack == Stack::VisionTower;
    let named = if in_tower {
        Named::Class
    } else {
        Named::Visual
    };
    let keys = TokenSelector {
        any_of: vec![Tokens::Named(named)],
        // In the tower all but the class token are patches.
        complement: in_tower,
    };
    let rows = compiler.pick(
        entry,
        "target",
        &keys,
        Steps::default(),
        stack,
        Site::Pattern,
    )?;
    Ok(rows.of_prompt())
}

fn volume(target: &ResolvedTarget, reduction: &Reduction, compiler: &Compiler<'_>) -> Volume {
    let decoder = compiler.context.model.decoder.config();
    let generated = usize::from(target.rows.generated.is_some());
    let width = target.shape.width;
    // Patterns grow with the answer, up to the context.
    let step_width = if target.is_attention() {
        decoder.max_position_embeddings
    } else {
        width
    };
    let prompt = numbers(
        target,
        reduction,
        target.rows.count(),
        target.rows.views.len(),
        width,
    );
    let step = numbers(target, reduction, generated, generated, step_width);
    Volume {
        prompt: target.points.len() * prompt,
        step: target.points.len() * step,
        told_row: told_row(reduction),
        // Only features are labelled row by row; the maps of all pictures would be built for
        // nothing.
        patches: match reduction {
            Reduction::TopFeatures(_) => Arc::new(row_patches(target, compiler)),
            _ => Arc::default(),
        },
    }
}

fn row_patches(target: &ResolvedTarget, compiler: &Compiler<'_>) -> RowPatches {
    // All points of a target count their rows alike.
    let Some(point) = target.points.first() else {
        return RowPatches::default();
    };
    let maps = compiler.maps(point.stack, point.site).into_iter();
    maps.map(|(view, map)| (view, map.tokens.iter().map(place).collect()))
        .collect()
}

/// Returns how many numbers are left of `rows` rows in `views` views at one point.
fn numbers(
    target: &ResolvedTarget,
    reduction: &Reduction,
    rows: usize,
    views: usize,
    width: usize,
) -> usize {
    let heads = target.heads().unwrap_or(1);
    match reduction {
        Reduction::None => rows * heads * width,
        // One row for each view; a view of which no row is chosen has none.
        Reduction::Mean | Reduction::Last => views.min(rows) * heads * width,
        Reduction::Norm => rows * heads,
        Reduction::TopTokens(_) | Reduction::TopFeatures(_) => rows * told_row(reduction),
        // A number a key, whichever heads and rows look.
        Reduction::Received(keys) if rows > 0 => keys.count(),
        Reduction::Received(_) => 0,
    }
}

/// Returns how many numbers a row counts for that is told as features or tokens; else 0.
fn told_row(reduction: &Reduction) -> usize {
    match reduction {
        Reduction::TopTokens(lens) => lens.top * NUMBERS_OF_TOP_TOKEN,
        Reduction::TopFeatures(features) => features.top.min(features.prefix) * NUMBERS_OF_FEATURE,
        _ => 0,
    }
}
