//! Captures: hook points whose rows a request asks to see, checked and counted.

use super::compiler::Compiler;
use super::entry::Entry;
use super::selector::{Named, Steps, TokenSelector, Tokens};
use super::target::{ResolvedTarget, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Reduction, Rows};
use crate::nn::{Site, Stack};

/// Most tokens of a row that the logit lens shows.
const MAX_TOP_TOKENS: usize = 100;
/// Numbers that one token of the logit lens counts for: id, text and log-probability.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract defines each")]
pub enum Reduce {
    None,
    Mean,
    Norm,
    Last,
    TopTokens(usize),
    Received,
}

/// The number of values that a capture comes to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Volume {
    /// Values of the prompt and the pictures.
    pub prompt: usize,
    /// Values of each generated token, at most.
    pub step: usize,
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
        let site = point.map_or(Site::Embed, |p| p.site);
        let stack = point.map_or(Stack::LanguageModel, |p| p.stack);
        Ok(match self.reduce {
            Reduce::None => Reduction::None,
            Reduce::Mean => Reduction::Mean,
            Reduce::Norm => Reduction::Norm,
            Reduce::Last => Reduction::Last,
            Reduce::TopTokens(top) => {
                if !(1..=MAX_TOP_TOKENS).contains(&top) {
                    let message = format!("{top} is not in 1 to {MAX_TOP_TOKENS}");
                    return Err(entry.invalid("top", message));
                }
                // The lens applies the final norm and the unembedding: the width must be theirs.
                let readable =
                    stack == Stack::LanguageModel || site == Site::Tokens || site == Site::Out;
                if !readable || !RESIDUAL.contains(&site) {
                    let message = format!(
                        "{} is not a residual stream of the language model",
                        self.target.point
                    );
                    return Err(entry.invalid("reduction", message));
                }
                Reduction::TopTokens(top)
            }
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
        })
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
    }
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
        Reduction::TopTokens(top) => rows * top * NUMBERS_OF_TOP_TOKEN,
        Reduction::Received(keys) if rows > 0 => keys.count(),
        Reduction::Received(_) => 0,
    }
}
