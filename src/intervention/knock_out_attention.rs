//! Knock out attention: tokens no longer see tokens (Geva et al. 2023, "Dissecting Recall of
//! Factual Associations").
//!
//! Scores become minus infinity before the softmax; a token that sees nothing any more attends to
//! nothing. Law: hiding tokens that are not seen anyway changes nothing.

use std::sync::Arc;

use super::plan::{Operation, Resolution, Resolved};
use super::selector::Picked;
use super::{Compiler, Error, Place, Steps, Target, TokenSelector};
use crate::nn::{Point, Site, Stack};

/// Hides tokens from tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct KnockOutAttention {
    /// The tower or the language model.
    pub stack: Stack,
    /// From 0; all that run where it is empty.
    pub layers: Vec<u32>,
    /// All where it is empty.
    pub heads: Vec<u32>,
    /// Tokens that look.
    pub from: TokenSelector,
    /// Tokens that are hidden.
    pub to: TokenSelector,
    /// Steps, for the tokens that look.
    pub steps: Steps,
}

impl KnockOutAttention {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        place.needs_layers(self.stack, compiler.context)?;
        let target = Target {
            point: format!("{}.blocks.{{l}}.attn.hook_attn_scores", self.stack.name()),
            layers: self.layers.clone(),
            heads: self.heads.clone(),
            steps: self.steps,
            ..Target::default()
        };
        let mut aim = target.aim(place, "", compiler)?;
        let pick = |field: &str, tokens: &TokenSelector, steps| {
            let rows = compiler.pick(place, field, tokens, steps, self.stack, Site::Scores)?;
            if rows.is_empty() && !compiler.is_preview() {
                return Err(place.never_fired(format!("no token is chosen by `{field}`")));
            }
            Ok(Arc::new(rows))
        };
        aim.rows = pick("from", &self.from, self.steps)?;
        let hidden = pick("to", &self.to, Steps::default())?;
        let mut resolved = aim.edit(place, compiler, |_| Operation::Hide(hidden.clone()));
        // A row that sees nothing is zeroed where the pattern is known.
        for point in aim.points.clone() {
            let pattern = Point {
                site: Site::Pattern,
                ..point
            };
            let edit = compiler
                .plan
                .edits
                .get(&point)
                .and_then(|edits| edits.last())
                .cloned();
            compiler.plan.edits.entry(pattern).or_default().extend(edit);
        }
        resolved
            .resolutions
            .extend(hidden.views.iter().map(|(&(image, view), rows)| {
                Resolution {
                    view,
                    ..Resolution::of(
                        image,
                        Picked {
                            rows: rows.clone(),
                            generated: false,
                        }
                        .indices(),
                    )
                }
            }));
        Ok(resolved)
    }
}
