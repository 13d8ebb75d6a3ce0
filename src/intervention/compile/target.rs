//! Targets: values at hook points, checked against a model and resolved against one input.

use std::sync::Arc;

use super::compiler::Compiler;
use super::entry::{Entry, no_hook_point};
use super::selector::{Steps, TokenSelector};
use crate::field_path::shown;
use crate::intervention::error::Error;
use crate::intervention::plan::{Capture, Edit, Operation, Reduction, Resolved, Rows};
use crate::model::{Shape, shape_of};
use crate::nn::{HOOK_TABLE, Point, Site, Stack};

/// Values at a hook point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Target {
    /// Name of a hook point, `{l}` for its layers.
    pub point: String,
    /// Layers that `{l}` stands for; all that run where it is empty.
    pub layers: Vec<u32>,
    /// Tokens.
    pub tokens: TokenSelector,
    /// Heads; all where it is empty.
    pub heads: Vec<u32>,
    /// Indices along the last dimension; all where it is empty.
    pub dimensions: Vec<u32>,
    /// Steps of the answer.
    pub steps: Steps,
}

/// A target resolved against a model and an input.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedTarget {
    pub(crate) points: Vec<Point>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) shape: Shape,
    heads: Option<Arc<[u32]>>,
    dimensions: Option<Arc<[u32]>>,
}

impl Target {
    /// Returns a target of all values at one point.
    pub fn at(point: &str) -> Self {
        Self {
            point: point.to_owned(),
            ..Self::default()
        }
    }

    /// Returns whether it is read before the language model reads its input.
    pub(crate) fn is_early(&self) -> bool {
        self.point == "projector.hook_tokens"
    }

    /// Resolves it; `field` is its path within its entry.
    pub(crate) fn resolve(
        &self,
        entry: Entry,
        field: &str,
        compiler: &Compiler<'_>,
    ) -> Result<ResolvedTarget, Error> {
        let (point, general) = self.site(entry, field)?;
        let model = compiler.context.model;
        if !model.has_point(point.stack, point.site) {
            let message = model.no_point(point.stack, shown(&self.point));
            return Err(entry.invalid(&format!("{field}.point"), message));
        }
        self.check_swapped(entry, field, compiler, point)?;
        let points = self.points(entry, field, compiler, point, general)?;
        if !general && !self.layers.is_empty() {
            let message = format!(
                "{} names its layer itself, or has none; leave `layers` empty",
                shown(&self.point)
            );
            return Err(entry.invalid(&format!("{field}.layers"), message));
        }
        let rows = self.rows(entry, field, compiler, point)?;
        // The width of attention is that of the prompt here; it grows with the answer.
        let keys = compiler.rows_in(point.stack);
        let shape = shape_of(model, point, keys);
        if shape.heads.is_none() && !self.heads.is_empty() {
            return Err(entry.invalid(
                &format!("{field}.heads"),
                format!("{} has no heads; leave it empty", self.point),
            ));
        }
        let heads = (&*self.heads, shape.heads.unwrap_or(0));
        let dimensions = (&*self.dimensions, shape.width);
        Ok(ResolvedTarget {
            points,
            rows: Arc::new(rows),
            shape,
            heads: self.chosen(entry, field, "heads", heads)?,
            dimensions: self.chosen(entry, field, "dimensions", dimensions)?,
        })
    }

    /// Fails on a point of the projector that the one in its place does not have.
    fn check_swapped(
        &self,
        entry: Entry,
        field: &str,
        compiler: &Compiler<'_>,
        point: Point,
    ) -> Result<(), Error> {
        let swapped = compiler.plan.projector.as_ref();
        let lacks = swapped.is_some_and(|projector| !projector.host().has_site(point.site));
        if point.stack == Stack::Projector && lacks {
            let name = shown(&self.point);
            let message = format!("the projector that is swapped in has no hook point {name}");
            return Err(entry.invalid(&format!("{field}.point"), message));
        }
        Ok(())
    }

    /// Returns the stack and the site that it names, and whether `{l}` stands for the layers.
    fn site(&self, entry: Entry, field: &str) -> Result<(Point, bool), Error> {
        if let Some(row) = HOOK_TABLE.iter().find(|row| row.name == self.point) {
            let point = Point {
                stack: row.stack,
                layer: None,
                site: row.site,
            };
            return Ok((point, row.per_layer()));
        }
        // Names with a layer in them are not in the table.
        if let Ok(point) = self.point.parse::<Point>() {
            return Ok((point, false));
        }
        Err(entry.invalid(&format!("{field}.point"), no_hook_point(&self.point)))
    }

    fn points(
        &self,
        entry: Entry,
        field: &str,
        compiler: &Compiler<'_>,
        point: Point,
        general: bool,
    ) -> Result<Vec<Point>, Error> {
        if point.layer.is_none() && !general {
            return Ok(vec![point]);
        }
        let field = if general {
            format!("{field}.layers")
        } else {
            format!("{field}.point")
        };
        if general {
            // Before each becomes a point, which takes many times the bytes of its number.
            compiler.check_count(entry, &field, point.stack, &self.layers)?;
        }
        let layers: Vec<usize> = match point.layer {
            Some(layer) => vec![layer],
            // A path, so that layers which others have left out are not named.
            None if self.layers.is_empty() => compiler.path(point.stack),
            None => self.layers.iter().map(|&l| l as usize).collect(),
        };
        if layers.is_empty() {
            return Err(entry.never_fired(format!("no layer of {} runs", point.stack.name())));
        }
        for &layer in &layers {
            compiler.check_runs(entry, &field, point.stack, layer)?;
        }
        let mut points: Vec<Point> = layers
            .into_iter()
            .map(|layer| Point {
                layer: Some(layer),
                ..point
            })
            .collect();
        // A layer that is listed twice, or runs twice, is one hook point.
        points.sort_unstable();
        points.dedup();
        Ok(points)
    }

    fn rows(
        &self,
        entry: Entry,
        field: &str,
        compiler: &Compiler<'_>,
        point: Point,
    ) -> Result<Rows, Error> {
        let rows = compiler.pick(
            entry,
            &format!("{field}.tokens"),
            &self.tokens,
            self.steps,
            point.stack,
            point.site,
        )?;
        if self.steps.last < self.steps.first {
            let message = format!(
                "last {} is before first {}",
                self.steps.last, self.steps.first
            );
            return Err(entry.invalid(&format!("{field}.steps.last"), message));
        }
        // An edit that cannot act is refused here, before anything is computed for it.
        if rows.is_empty() && !compiler.is_preview() {
            return Err(entry.never_fired(format!("no token is chosen at {}", self.point)));
        }
        Ok(rows)
    }

    /// Returns the chosen heads or dimensions, `None` for all of them, each checked to be below
    /// `size`.
    fn chosen(
        &self,
        entry: Entry,
        field: &str,
        name: &str,
        (chosen, size): (&[u32], usize),
    ) -> Result<Option<Arc<[u32]>>, Error> {
        let of = format!("the {name} of {}", self.point);
        entry.check_numbers(&format!("{field}.{name}"), chosen, size, &of)?;
        Ok((!chosen.is_empty()).then(|| chosen.into()))
    }
}

impl ResolvedTarget {
    /// Returns whether its rows are as wide as there are keys, whose number grows with the answer.
    pub(crate) fn is_attention(&self) -> bool {
        matches!(
            self.points.first().map(|p| p.site),
            Some(Site::Scores | Site::Pattern)
        )
    }

    /// Restricts it to tokens of the prompt; `why` ends the error where there are none.
    pub(crate) fn of_prompt(
        self,
        entry: Entry,
        why: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, Error> {
        let rows = self.rows.of_prompt();
        if rows.is_empty() && !compiler.is_preview() {
            return Err(entry.never_fired(format!("no token of the prompt is chosen, {why}")));
        }
        Ok(Self {
            rows: Arc::new(rows),
            ..self
        })
    }

    /// Restricts attention to tokens of the prompt, within which its width is fixed; other targets
    /// stay as they are.
    pub(crate) fn of_fixed_width(
        self,
        entry: Entry,
        compiler: &Compiler<'_>,
    ) -> Result<Self, Error> {
        if !self.is_attention() {
            return Ok(self);
        }
        let why = "and the width of attention is fixed within the prompt alone";
        self.of_prompt(entry, why, compiler)
    }

    /// Adds `operation` at all its points.
    pub(crate) fn edit(
        &self,
        entry: Entry,
        compiler: &mut Compiler<'_>,
        mut operation: impl FnMut(Point) -> Operation,
    ) -> Resolved {
        let points: Vec<String> = self.points.iter().map(ToString::to_string).collect();
        for &point in &self.points {
            compiler.plan.edits.entry(point).or_default().push(Edit {
                owner: entry.index,
                rows: self.rows.clone(),
                heads: self.heads.clone(),
                dimensions: self.dimensions.clone(),
                operation: operation(point),
            });
        }
        Resolved {
            resolutions: self.rows.resolutions(&points),
            // Shows when the rows pass; see `EffectLog`.
            fired: None,
            changed_nothing: false,
        }
    }

    /// Adds a capture at all its points.
    pub(crate) fn capture(
        &self,
        target: usize,
        reduction: &Reduction,
        compiler: &mut Compiler<'_>,
    ) {
        for &point in &self.points {
            let captures = compiler.plan.captures.entry(point).or_default();
            captures.push(Capture {
                target,
                rows: self.rows.clone(),
                heads: self.heads.clone(),
                reduction: reduction.clone(),
            });
        }
    }

    /// Returns how many heads it keeps; `None` where the point has no heads.
    pub(crate) fn heads(&self) -> Option<usize> {
        self.heads.as_ref().map(|h| h.len()).or(self.shape.heads)
    }
}
