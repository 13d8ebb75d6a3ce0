//! Knock out attention: tokens no longer see tokens (Geva et al. 2023, "Dissecting Recall of
//! Factual Associations").
//!
//! Scores become minus infinity before the softmax; a token that sees nothing any more attends to
//! nothing. Law: hiding tokens that are not seen anyway changes nothing.

use std::sync::Arc;

use crate::intervention::compile::{Compiler, Entry, Spec, Steps, Target, TokenSelector};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolved, Rows};
use crate::nn::{Point, Site, Stack};

/// Hides tokens from tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct KnockOutAttention {
    /// The tower or the language model.
    pub stack: Stack,
    /// Layers from 0; all that run where it is empty.
    pub layers: Vec<u32>,
    /// Heads; all where it is empty.
    pub heads: Vec<u32>,
    /// Tokens that attend: the queries.
    pub from: TokenSelector,
    /// Tokens that are hidden: the keys.
    pub to: TokenSelector,
    /// Steps of the queries.
    pub steps: Steps,
}

impl Spec for KnockOutAttention {
    fn selectors(&self) -> Vec<&TokenSelector> {
        vec![&self.from, &self.to]
    }

    fn is_early(&self) -> bool {
        false
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.needs_layers(self.stack, compiler.context)?;
        let target = Target {
            point: format!("{}.blocks.{{l}}.attn.hook_attn_scores", self.stack.name()),
            layers: self.layers.clone(),
            heads: self.heads.clone(),
            steps: self.steps,
            ..Target::default()
        };
        // The request has no target: its errors name the fields of this message.
        let mut target = target.resolve(entry, "", compiler)?;
        // Picked apart, so that an error blames `from`, which the target does not know.
        target.rows = self.pick(entry, "from", compiler)?;
        let hidden = self.pick(entry, "to", compiler)?;
        let mut resolved = target.edit(entry, compiler, |_| Operation::Hide(hidden.clone()));
        for &point in &target.points {
            // A row whose keys are all hidden keeps its scores, since a softmax of minus infinities
            // has no value; the same edit zeroes it in the pattern.
            let pattern = Point {
                site: Site::Pattern,
                ..point
            };
            let scores = compiler.plan.edits.get(&point);
            let edit = scores.and_then(|edits| edits.last()).cloned();
            compiler.plan.edits.entry(pattern).or_default().extend(edit);
        }
        // Keys behind queries, and without points, by which a reader tells them apart.
        resolved.resolutions.extend(hidden.resolutions(&[]));
        Ok(resolved)
    }
}

impl KnockOutAttention {
    /// Returns the rows of the selector `field`.
    fn pick(&self, entry: Entry, field: &str, compiler: &Compiler<'_>) -> Result<Arc<Rows>, Error> {
        let (tokens, steps) = match field {
            "from" => (&self.from, self.steps),
            // Keys at every step: `steps` are those of the queries.
            _ => (&self.to, Steps::default()),
        };
        let rows = compiler.pick(entry, field, tokens, steps, self.stack, Site::Scores)?;
        if rows.is_empty() && !compiler.is_preview() {
            return Err(entry.never_fired(format!("no token is chosen by `{field}`")));
        }
        Ok(Arc::new(rows))
    }
}
