//! Targets: which values at which hook points, checked against a model and resolved against one
//! input.

use std::sync::Arc;

use super::plan::{Capture, Edit, Operation, Reduction, Resolution, Resolved, Rows};
use super::selector::{Picked, Universe};
use super::{Compiler, Error, Place as At, Steps, TokenSelector};
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
    /// Places along the last dimension; all where it is empty.
    pub dimensions: Vec<u32>,
    /// Steps of the answer.
    pub steps: Steps,
}

/// The sizes of one row at a hook point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Heads, where it has them.
    pub heads: Option<usize>,
    /// Length of the last dimension; at attention scores and patterns that of the prompt or of a
    /// view.
    pub width: usize,
}

impl Shape {
    /// Numbers of one row.
    pub fn numbers(self) -> usize {
        self.heads.unwrap_or(1) * self.width
    }

    /// With `rows` rows.
    pub fn of_rows(self, rows: usize) -> Vec<usize> {
        [Some(rows), self.heads, Some(self.width)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// A target resolved.
#[derive(Debug, Clone)]
pub(super) struct Aim {
    pub(super) points: Vec<Point>,
    pub(super) rows: Arc<Rows>,
    pub(super) shape: Shape,
    heads: Option<Arc<[u32]>>,
    dimensions: Option<Arc<[u32]>>,
}

/// The sizes of one row at `point` of a model; `keys` at attention scores and patterns.
pub fn shape_of(model: &crate::model::Model, point: Point, keys: usize) -> Shape {
    let (tower, decoder) = (model.tower.info(), model.decoder.config());
    let (width, inner, heads, kv_heads, head) = match point.stack {
        Stack::VisionTower => (
            tower.width,
            tower.inner,
            tower.heads,
            tower.heads,
            tower.head_width(),
        ),
        Stack::Projector | Stack::LanguageModel => (
            decoder.hidden_size,
            decoder.intermediate_size,
            decoder.num_attention_heads,
            decoder.kv_heads(),
            decoder.head_width(),
        ),
    };
    let plain = |width| Shape { heads: None, width };
    match point.site {
        Site::In => plain(tower.feature_width),
        Site::Q | Site::RotQ | Site::Z => Shape {
            heads: Some(heads),
            width: head,
        },
        Site::K | Site::V | Site::RotK => Shape {
            heads: Some(kv_heads),
            width: head,
        },
        Site::Scores | Site::Pattern => Shape {
            heads: Some(heads),
            width: keys,
        },
        Site::MlpPre | Site::MlpPreLinear | Site::MlpPost => plain(inner),
        Site::Logits => plain(decoder.vocab_size),
        Site::Pre
        | Site::Post
        | Site::Out
        | Site::Tokens
        | Site::Embed
        | Site::ResidPre
        | Site::Ln1Normalized
        | Site::AttnOut
        | Site::ResidMid
        | Site::Ln2Normalized
        | Site::MlpOut
        | Site::ResidPost
        | Site::LnFinalNormalized => plain(width),
    }
}

impl Target {
    /// A target at one point.
    pub fn at(point: &str) -> Self {
        Self {
            point: point.to_owned(),
            ..Self::default()
        }
    }

    /// The stack and the site that it names; layers are not looked at.
    pub(super) fn site(&self, at: At, field: &str) -> Result<(Point, bool), Error> {
        let named = |name: &str| HOOK_TABLE.iter().find(|row| row.name == name);
        if let Some(row) = named(&self.point) {
            return Ok((
                Point {
                    stack: row.stack,
                    layer: None,
                    site: row.site,
                },
                row.per_layer(),
            ));
        }
        if let Ok(point) = self.point.parse::<Point>() {
            return Ok((point, false));
        }
        let distance = |name: &str| strsim::damerau_levenshtein(name, &self.point);
        let general = |row: &&crate::nn::HookRow| {
            let layer = self
                .point
                .split('.')
                .find(|part| part.parse::<usize>().is_ok())
                .unwrap_or("{l}");
            row.name.replacen("{l}", layer, 1)
        };
        let nearest = HOOK_TABLE
            .iter()
            .map(|row| general(&row))
            .min_by_key(|name| distance(name))
            .unwrap_or_default();
        let message = format!("no hook point {:?}; did you mean {nearest:?}?", self.point);
        Err(at.invalid(&format!("{field}.point"), message))
    }

    /// Whether it is part of what happens before the language model reads its input.
    pub(super) fn is_early(&self) -> bool {
        self.point == "projector.hook_tokens"
    }

    /// Resolves it.
    pub(super) fn aim(&self, at: At, field: &str, compiler: &Compiler<'_>) -> Result<Aim, Error> {
        let (point, general) = self.site(at, field)?;
        if !compiler.context.model.has_point(point.stack, point.site) {
            let family = compiler.context.model.family.name();
            let message = format!("{family} has no hook point {:?}", self.point);
            return Err(at.invalid(&format!("{field}.point"), message));
        }
        let points = self.points(at, field, compiler, point, general)?;
        if !general && !self.layers.is_empty() {
            let message = format!(
                "{:?} names its layer itself, or has none; leave `layers` empty",
                self.point
            );
            return Err(at.invalid(&format!("{field}.layers"), message));
        }
        let rows = self.rows(at, field, compiler, point)?;
        let keys = compiler.rows_in(point.stack);
        let shape = shape_of(compiler.context.model, point, keys);
        let check = |name: &str, chosen: &[u32], size: usize| {
            if let Some(wrong) = chosen.iter().find(|c| **c as usize >= size) {
                let message = format!("{wrong} is not below {size}, the {name} of {}", self.point);
                return Err(at.invalid(&format!("{field}.{name}"), message));
            }
            Ok((!chosen.is_empty()).then(|| chosen.into()))
        };
        if shape.heads.is_none() && !self.heads.is_empty() {
            return Err(at.invalid(
                &format!("{field}.heads"),
                format!("{} has no heads; leave it empty", self.point),
            ));
        }
        let heads = check("heads", &self.heads, shape.heads.unwrap_or(0))?;
        let dimensions = check("dimensions", &self.dimensions, shape.width)?;
        Ok(Aim {
            points,
            rows: Arc::new(rows),
            shape,
            heads,
            dimensions,
        })
    }

    fn points(
        &self,
        at: At,
        field: &str,
        compiler: &Compiler<'_>,
        point: Point,
        general: bool,
    ) -> Result<Vec<Point>, Error> {
        if point.layer.is_none() && !general {
            return Ok(vec![point]);
        }
        let path = compiler.path(point.stack);
        let layers: Vec<usize> = match point.layer {
            Some(layer) => vec![layer],
            None if self.layers.is_empty() => path.clone(),
            None => self.layers.iter().map(|&l| l as usize).collect(),
        };
        let field = if general {
            format!("{field}.layers")
        } else {
            format!("{field}.point")
        };
        if layers.is_empty() {
            return Err(at.never_fired(format!("no layer of {} runs", point.stack.name())));
        }
        for &layer in &layers {
            compiler.check_runs(at, &field, point.stack, layer)?;
        }
        let mut points: Vec<Point> = layers
            .into_iter()
            .map(|l| Point {
                layer: Some(l),
                ..point
            })
            .collect();
        points.sort_unstable();
        points.dedup();
        Ok(points)
    }

    fn rows(
        &self,
        at: At,
        field: &str,
        compiler: &Compiler<'_>,
        point: Point,
    ) -> Result<Rows, Error> {
        let rows = compiler.pick(
            at,
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
            return Err(at.invalid(&format!("{field}.steps.last"), message));
        }
        if rows.is_empty() && !compiler.is_preview() {
            return Err(at.never_fired(format!("no token is chosen at {}", self.point)));
        }
        Ok(rows)
    }
}

impl Aim {
    /// Whether its width is that of the keys, which grow with the answer.
    pub(super) fn is_attention(&self) -> bool {
        matches!(
            self.points.first().map(|p| p.site),
            Some(Site::Scores | Site::Pattern)
        )
    }

    /// The same for tokens of the prompt alone.
    pub(super) fn of_prompt(
        self,
        at: At,
        why: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, Error> {
        let rows = self.rows.of_prompt();
        if rows.is_empty() && !compiler.is_preview() {
            return Err(at.never_fired(format!("no token of the prompt is chosen, {why}")));
        }
        Ok(Self {
            rows: Arc::new(rows),
            ..self
        })
    }

    /// Puts `operation` at all its points.
    pub(super) fn edit(
        &self,
        at: At,
        compiler: &mut Compiler<'_>,
        mut operation: impl FnMut(Point) -> Operation,
    ) -> Resolved {
        for &point in &self.points {
            compiler.plan.edits.entry(point).or_default().push(Edit {
                owner: at.index,
                rows: self.rows.clone(),
                heads: self.heads.clone(),
                dimensions: self.dimensions.clone(),
                operation: operation(point),
            });
        }
        Resolved {
            resolutions: self.resolutions(),
            fired: None,
            changed_nothing: false,
        }
    }

    pub(super) fn capture(&self, target: usize, reduction: Reduction, compiler: &mut Compiler<'_>) {
        for &point in &self.points {
            let (rows, heads, reduction) =
                (self.rows.clone(), self.heads.clone(), reduction.clone());
            compiler
                .plan
                .captures
                .entry(point)
                .or_default()
                .push(Capture {
                    target,
                    rows,
                    heads,
                    reduction,
                });
        }
    }

    /// Heads that are left.
    pub(super) fn heads(&self) -> Option<usize> {
        self.heads.as_ref().map(|h| h.len()).or(self.shape.heads)
    }

    fn resolutions(&self) -> Vec<Resolution> {
        let points: Vec<String> = self.points.iter().map(ToString::to_string).collect();
        let one = |(&(image, view), rows): (&(usize, usize), &Vec<bool>)| Resolution {
            image,
            view,
            indices: Picked {
                rows: rows.clone(),
                generated: false,
            }
            .indices(),
            digest: String::new(),
            points: points.clone(),
        };
        self.rows.views.iter().map(one).collect()
    }
}

impl Compiler<'_> {
    /// The layers of `stack` that run, in order.
    pub(super) fn path(&self, stack: Stack) -> Vec<usize> {
        let model = self.context.model;
        let layers = match stack {
            Stack::VisionTower => model.tower.info().layers_run(),
            Stack::LanguageModel => model.decoder.config().num_hidden_layers,
            Stack::Projector => 0,
        };
        self.plan.path(stack, layers)
    }

    /// Fails unless layer `layer` of `stack` runs.
    pub(super) fn check_runs(
        &self,
        at: At,
        field: &str,
        stack: Stack,
        layer: usize,
    ) -> Result<(), Error> {
        let model = self.context.model;
        let (run, why) = match stack {
            Stack::Projector => (0, ""),
            Stack::LanguageModel => (model.decoder.config().num_hidden_layers, ""),
            Stack::VisionTower => (
                model.tower.info().layers_run(),
                ", those up to the one whose output the model reads",
            ),
        };
        if layer >= run {
            let message = format!(
                "layer {layer} of {} is not in 0 to {}{why}",
                stack.name(),
                run.saturating_sub(1)
            );
            return Err(at.invalid(field, message));
        }
        if let Some(other) = self.left_out.get(&(stack, layer)) {
            let message = format!(
                "layer {layer} of {} does not run: interventions[{other}] leaves it out; take it from one of the two",
                stack.name()
            );
            return Err(at.invalid(field, message));
        }
        Ok(())
    }

    /// Rows of one sequence, or of one view, in a stack: what attention scores are wide.
    fn rows_in(&self, stack: Stack) -> usize {
        match stack {
            Stack::VisionTower => self.context.largest(|view| view.rows),
            Stack::Projector => self.context.largest(|view| view.tokens),
            Stack::LanguageModel => self.prompt.items.len(),
        }
    }

    /// The rows that a selector picks at a stack (and site).
    pub(super) fn pick(
        &self,
        at: At,
        field: &str,
        tokens: &TokenSelector,
        steps: Steps,
        stack: Stack,
        site: Site,
    ) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        let prompt = steps.first == 0;
        let mut add = |view: (usize, usize), universe: &Universe| -> Result<bool, Error> {
            let picked = tokens.pick(at, field, universe, self.context)?;
            let chosen = if prompt {
                picked.rows
            } else {
                vec![false; universe.items.len()]
            };
            rows.views.insert(view, chosen);
            Ok(picked.generated)
        };
        if stack == Stack::LanguageModel {
            if !self.is_preview() {
                let generated = add((0, 0), &self.prompt)?;
                rows.generated =
                    (generated && steps.last > 0).then(|| steps.first.max(1)..=steps.last);
            }
            return Ok(rows);
        }
        at.needs_image(self.context)?;
        for (image, tokens) in self.images.iter().enumerate() {
            if site == Site::Tokens {
                add((image, 0), &Universe::of_tokens(image, tokens))?;
                continue;
            }
            let tower = self.context.model.tower.info();
            let class = tower.has_class && (stack == Stack::VisionTower || tower.keeps_class());
            let dropped = usize::from(stack == Stack::Projector && tower.drops_a_patch());
            // The tower sees pictures as they were before tokens were selected.
            let tokens = &self.context.images[image];
            for view in 0..tokens.views {
                let universe = if stack == Stack::Projector && tokens.view.merge > 1 {
                    Universe::of_merged_view(image, tokens, view)
                } else {
                    Universe::of_view(image, tokens, view, class, dropped)
                };
                add((image, view), &universe)?;
            }
        }
        Ok(rows)
    }
}
