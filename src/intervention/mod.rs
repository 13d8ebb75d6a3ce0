//! Interventions as data, compiled to a plan and applied at hook points.
//!
//! [`compile`] checks a list of [`Intervention`]s against a model and the request's pictures and
//! words, makes every random choice and returns a [`Plan`] of few primitives: pictures retouched,
//! layers that run, a projector, operations on rows at hook points, rows that leave. [`Applied`]
//! performs the plans of a batch, each on its own rows, and [`Observed`] keeps the account: how
//! often each one acted, how much it changed, what was captured. This folder must not know
//! requests, protobuf or scheduling.
//!
//! To add an intervention: a file here with its formula, its source and its law; an arm of
//! [`Intervention`], of the contract and of its conversion; a golden in tests/goldens/capture.py.

mod ablate;
mod add_noise;
mod applied;
mod blank_image;
mod drop_layers;
mod exit_early;
mod footprint;
mod knock_out_attention;
mod observed;
mod occlude_patches;
mod patch;
mod permute_tokens;
mod plan;
mod project_out;
mod prune_tokens;
mod random;
mod repeat_layers;
mod replace_tokens;
mod retouch;
mod salient;
mod scale;
mod select_tokens;
mod selector;
mod shuffle_patches;
mod steer;
mod swap_projector;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;

pub use ablate::Ablate;
pub use add_noise::{AddNoise, Geometry};
pub use applied::Applied;
pub use blank_image::BlankImage;
pub use drop_layers::DropLayers;
pub use exit_early::ExitEarly;
pub use footprint::Act;
pub use knock_out_attention::KnockOutAttention;
pub use observed::{Captured, Cell, Effect, Likeliest, Observed, Passed};
pub use occlude_patches::{Choice, OccludePatches};
pub use patch::{Patch, Source as PatchSource};
pub use permute_tokens::{Order, PermuteTokens, Scope};
pub use plan::{
    Capture, Edit, Noise, Operation, Plan, Prune, Ranking, Reduction, Resolution, Resolved, Rows,
    Value,
};
pub use project_out::ProjectOut;
pub use prune_tokens::{By, Keep, PruneTokens};
pub use random::{Draws, fresh_seed};
pub use repeat_layers::RepeatLayers;
pub use replace_tokens::{ReplaceTokens, Replacement};
pub use retouch::{Change, Fill, Retouch};
pub use salient::{Amount, Look, Looks, SaliencySource, Salient};
pub use scale::Scale;
pub use select_tokens::{Mode, SelectTokens};
pub use selector::{Named, Part, Steps, TokenSelector, Tokens, Word, words};
pub use shuffle_patches::ShufflePatches;
pub use steer::Steer;
pub use swap_projector::SwapProjector;
pub use target::{Shape, Target, shape_of};

use crate::field_path::{FieldPath, InvalidField};
use crate::model::{self, ImageTokens, Model, ViewInfo};
use crate::nn::{Point, Site, Stack};
use crate::vision::Grid;
use selector::Universe;

/// The largest factor and scale.
const MOST_FACTOR: f64 = 1e6;

/// One change to the forward pass.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the intervention of its name")]
pub enum Intervention {
    PermuteTokens(PermuteTokens),
    OccludePatches(OccludePatches),
    DropLayers(DropLayers),
    SwapProjector(SwapProjector),
    BlankImage(BlankImage),
    ShufflePatches(ShufflePatches),
    SelectTokens(SelectTokens),
    ReplaceTokens(ReplaceTokens),
    RepeatLayers(RepeatLayers),
    ExitEarly(ExitEarly),
    AddNoise(AddNoise),
    Steer(Steer),
    ProjectOut(ProjectOut),
    Scale(Scale),
    Ablate(Ablate),
    Patch(Patch),
    KnockOutAttention(KnockOutAttention),
    PruneTokens(PruneTokens),
}

/// Names of all interventions, as requests spell them.
pub const NAMES: [&str; 18] = [
    "permute_tokens",
    "occlude_patches",
    "drop_layers",
    "swap_projector",
    "blank_image",
    "shuffle_patches",
    "select_tokens",
    "replace_tokens",
    "repeat_layers",
    "exit_early",
    "add_noise",
    "steer",
    "project_out",
    "scale",
    "ablate",
    "patch",
    "knock_out_attention",
    "prune_tokens",
];

impl Intervention {
    /// The name, as requests spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PermuteTokens(_) => NAMES[0],
            Self::OccludePatches(_) => NAMES[1],
            Self::DropLayers(_) => NAMES[2],
            Self::SwapProjector(_) => NAMES[3],
            Self::BlankImage(_) => NAMES[4],
            Self::ShufflePatches(_) => NAMES[5],
            Self::SelectTokens(_) => NAMES[6],
            Self::ReplaceTokens(_) => NAMES[7],
            Self::RepeatLayers(_) => NAMES[8],
            Self::ExitEarly(_) => NAMES[9],
            Self::AddNoise(_) => NAMES[10],
            Self::Steer(_) => NAMES[11],
            Self::ProjectOut(_) => NAMES[12],
            Self::Scale(_) => NAMES[13],
            Self::Ablate(_) => NAMES[14],
            Self::Patch(_) => NAMES[15],
            Self::KnockOutAttention(_) => NAMES[16],
            Self::PruneTokens(_) => NAMES[17],
        }
    }

    /// Where it acts, if it acts at a hook point of the request's choice.
    fn target(&self) -> Option<&Target> {
        match self {
            Self::AddNoise(n) => Some(&n.target),
            Self::Steer(s) => Some(&s.target),
            Self::ProjectOut(p) => Some(&p.target),
            Self::Scale(s) => Some(&s.target),
            Self::Ablate(a) => Some(&a.target),
            Self::Patch(p) => Some(&p.target),
            _ => None,
        }
    }

    /// Its token selectors.
    fn selectors(&self) -> Vec<&TokenSelector> {
        match self {
            Self::SelectTokens(s) => vec![&s.tokens],
            Self::ReplaceTokens(r) => vec![&r.tokens],
            Self::KnockOutAttention(k) => vec![&k.from, &k.to],
            Self::PruneTokens(PruneTokens {
                by: By::Received(from),
                ..
            }) => vec![from],
            other => other.target().map(|t| &t.tokens).into_iter().collect(),
        }
    }

    /// What decides which layers run, or happens before the language model reads its input;
    /// compiled first.
    fn is_early(&self) -> bool {
        match self {
            Self::KnockOutAttention(_) | Self::PruneTokens(_) => false,
            other => other.target().is_none_or(Target::is_early),
        }
    }

    fn compile(&self, place: Place, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        match self {
            Self::PermuteTokens(p) => p.compile(place, compiler),
            Self::OccludePatches(o) => o.compile(place, compiler),
            Self::DropLayers(d) => d.compile(place, compiler),
            Self::SwapProjector(s) => s.compile(place, compiler),
            Self::BlankImage(b) => b.compile(place, compiler),
            Self::ShufflePatches(s) => s.compile(place, compiler),
            Self::SelectTokens(s) => s.compile(place, compiler),
            Self::ReplaceTokens(r) => r.compile(place, compiler),
            Self::RepeatLayers(r) => r.compile(place, compiler),
            Self::ExitEarly(e) => e.compile(place, compiler),
            Self::AddNoise(n) => n.compile(place, compiler),
            Self::Steer(s) => s.compile(place, compiler),
            Self::ProjectOut(p) => p.compile(place, compiler),
            Self::Scale(s) => s.compile(place, compiler),
            Self::Ablate(a) => a.compile(place, compiler),
            Self::Patch(p) => p.compile(place, compiler),
            Self::KnockOutAttention(k) => k.compile(place, compiler),
            Self::PruneTokens(p) => p.compile(place, compiler),
        }
    }
}

/// Why a list of interventions cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that is out of its range.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// A projector that is not resident.
    #[error("{field}: {}", self.detail())]
    UnknownProjector {
        /// Path of the field in the request.
        field: FieldPath,
        /// As asked.
        name: String,
        /// What there is.
        resident: Vec<String>,
    },
    /// Activations that are not kept, or no longer.
    #[error("{field}: {}", self.detail())]
    UnknownActivation {
        /// Path of the field in the request.
        field: FieldPath,
        /// As asked.
        handle: String,
    },
    /// It had nothing to act on.
    #[error("{field}: {}", self.detail())]
    NeverFired {
        /// Path of the field in the request.
        field: FieldPath,
        /// Why.
        message: String,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] model::Error),
}

impl Error {
    /// Returns the field of the request that is to blame, if one is.
    pub fn field(&self) -> Option<&FieldPath> {
        match self {
            Self::Invalid(InvalidField { field, .. })
            | Self::UnknownProjector { field, .. }
            | Self::UnknownActivation { field, .. }
            | Self::NeverFired { field, .. } => Some(field),
            Self::Model(_) => None,
        }
    }

    /// Returns the text without the field in front.
    pub fn detail(&self) -> String {
        match self {
            Self::Invalid(invalid) => invalid.message.clone(),
            Self::UnknownProjector { name, resident, .. } => {
                format!("no projector {name:?}; resident: {}", resident.join(", "))
            }
            Self::UnknownActivation { handle, .. } => {
                format!("no activations {handle:?} are kept; capture them again, or send them")
            }
            Self::NeverFired { message, .. } => format!("never fired: {message}"),
            Self::Model(error) => error.to_string(),
        }
    }

    /// Returns the same field, to be moved below another one.
    pub fn field_mut(&mut self) -> Option<&mut FieldPath> {
        match self {
            Self::Invalid(InvalidField { field, .. })
            | Self::UnknownProjector { field, .. }
            | Self::UnknownActivation { field, .. }
            | Self::NeverFired { field, .. } => Some(field),
            Self::Model(_) => None,
        }
    }
}

/// What interventions are compiled against.
#[derive(Debug)]
pub struct Context<'a> {
    /// The model.
    pub model: &'a Model,
    /// The visual tokens of each picture of the request.
    pub images: &'a [ImageTokens],
    /// The prompt, pictures not yet spread out; `None` for a preview, which has none: what acts in
    /// the language model is then checked as far as that goes.
    pub words: Option<&'a [Word]>,
    /// Tells samples that share a seed apart.
    pub sample_key: &'a str,
    /// The attention that [`looks`] asks for.
    pub looks: &'a Looks,
    /// Digests of the resident saliency models.
    pub saliency_digests: &'a BTreeMap<String, String>,
    /// The visual tokens of the donor pictures, `(N, D)`, by the place of their intervention.
    pub donors: &'a BTreeMap<usize, Tensor>,
    /// Kept activations, by handle.
    pub activations: &'a BTreeMap<String, Tensor>,
}

impl Context<'_> {
    /// Returns the largest of a size of the pictures' views; without pictures that of a square.
    fn largest(&self, size: impl Fn(&ViewInfo) -> usize) -> usize {
        let views = self.images.iter().map(|image| size(&image.view));
        views.max().unwrap_or_else(|| {
            let side = self.model.tower.info().image_size;
            size(&self.model.tower.view((side, side)))
        })
    }

    /// Returns the most blocks that a partition of a patch grid may have along a side.
    fn largest_side(&self) -> usize {
        self.largest(|view| view.grid.0.min(view.grid.1))
    }
}

/// The looks at the unchanged pictures that compiling needs.
pub fn looks<'a>(
    list: &'a [Intervention],
    targets: impl Iterator<Item = &'a Target>,
) -> BTreeSet<Look> {
    let mut found = BTreeSet::new();
    let selectors = list
        .iter()
        .flat_map(Intervention::selectors)
        .chain(targets.map(|t| &t.tokens));
    found.extend(
        selectors
            .flat_map(TokenSelector::salient)
            .filter_map(Salient::look),
    );
    for intervention in list {
        match intervention {
            Intervention::OccludePatches(o) => found.extend(o.salient().and_then(Salient::look)),
            Intervention::PruneTokens(PruneTokens {
                by: By::ClassAttention,
                ..
            }) => {
                found.extend(prune_tokens::CLASS.look());
            }
            _ => {}
        }
    }
    found
}

/// The handles of kept activations that a list names.
pub fn handles(list: &[Intervention]) -> impl Iterator<Item = &str> {
    list.iter().filter_map(|i| match i {
        Intervention::Patch(Patch {
            source: PatchSource::Handle(handle),
            ..
        }) => Some(handle.as_str()),
        _ => None,
    })
}

/// The bytes of the donor pictures of a list, with the places of their interventions.
pub fn donors(list: &[Intervention]) -> impl Iterator<Item = (usize, &[u8])> {
    list.iter()
        .enumerate()
        .filter_map(|(i, intervention)| match intervention {
            Intervention::ReplaceTokens(ReplaceTokens {
                source: Replacement::Donor(data),
                ..
            }) => Some((i, data.as_slice())),
            _ => None,
        })
}

/// Where in a list something stands, and how its fields are spelled.
#[derive(Debug, Clone, Copy)]
struct Place {
    list: &'static str,
    index: usize,
    name: &'static str,
}

impl Place {
    fn field(self, path: &str) -> FieldPath {
        let own = FieldPath::from(self.list).index(self.index).join(self.name);
        own.join(path.trim_start_matches('.'))
    }

    fn invalid(self, path: &str, message: impl Into<String>) -> Error {
        InvalidField::new(self.field(path), message).into()
    }

    fn never_fired(self, message: impl Into<String>) -> Error {
        Error::NeverFired {
            field: self.field(""),
            message: message.into(),
        }
    }

    /// The place's source of randomness for one picture.
    fn draws(self, seed: u64, context: &Context<'_>, image: usize) -> Draws {
        Draws::new(seed, context.sample_key, self.index, image)
    }

    /// A source of noise for each picture, or for the sequence.
    fn streams(self, seed: u64, context: &Context<'_>, point: &str) -> std::sync::Arc<[Draws]> {
        let stream = |image| Draws::at_point(seed, context.sample_key, self.index, image, point);
        (0..context.images.len().max(1)).map(stream).collect()
    }

    /// Fails where there is no picture to act on.
    fn needs_image(self, context: &Context<'_>) -> Result<(), Error> {
        if context.images.is_empty() {
            Err(self.never_fired("the request has no picture"))
        } else {
            Ok(())
        }
    }

    /// Fails for a stack without layers, or a tower that does not run.
    fn needs_layers(self, stack: Stack, context: &Context<'_>) -> Result<(), Error> {
        match stack {
            Stack::Projector => Err(self.invalid("stack", "the projector has no layers")),
            Stack::VisionTower => self.needs_image(context),
            Stack::LanguageModel => Ok(()),
        }
    }

    /// Fails unless `value` is a factor that floating-point numbers can bear; `lowest` is 0 or its
    /// negative limit.
    fn check_factor(self, field: &str, value: f64, lowest: f64) -> Result<(), Error> {
        if (lowest..=MOST_FACTOR).contains(&value) {
            return Ok(());
        }
        Err(self.invalid(
            field,
            format!("{value} is not in {lowest} to {MOST_FACTOR}"),
        ))
    }

    /// A grid of cells over the picture.
    fn grid(self, context: &Context<'_>, side: usize) -> Result<Grid, Error> {
        let limit = context.model.processor.side;
        if side > limit {
            return Err(self.invalid(
                "grid",
                format!("{side} is more than the {limit} pixels of a side"),
            ));
        }
        Ok(Grid::square(side))
    }

    /// One row for a point of `shape`: as wide as it, or as one head, or (`whole`) as all heads end
    /// to end.
    fn vector(
        self,
        field: &str,
        values: &[f32],
        shape: Shape,
        whole: bool,
        model: &Model,
    ) -> Result<Tensor, Error> {
        let sizes = match shape.heads {
            None if values.len() == shape.width => vec![1, shape.width],
            Some(_) if values.len() == shape.width => vec![1, 1, shape.width],
            Some(heads) if whole && values.len() == heads * shape.width => {
                vec![1, heads, shape.width]
            }
            _ => {
                let all = shape
                    .heads
                    .filter(|_| whole)
                    .map_or(String::new(), |h| format!(" or {}", h * shape.width));
                let message = format!(
                    "{} numbers; the point is {}{all} wide",
                    values.len(),
                    shape.width
                );
                return Err(self.invalid(field, message));
            }
        };
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(self.invalid(
                field,
                format!("number {i} is {}, which is not finite", values[i]),
            ));
        }
        Ok(Tensor::from_slice(values, sizes, &model.device).map_err(model::Error::from)?)
    }
}

/// A list on its way to a plan.
struct Compiler<'a> {
    context: &'a Context<'a>,
    plan: Plan,
    /// The visual tokens of each picture, as far as they have been selected.
    images: Vec<ImageTokens>,
    /// The language model's input; empty before all that shapes it is compiled.
    prompt: Universe,
    /// Layers that do not run, and the intervention that left them out.
    left_out: BTreeMap<(Stack, usize), usize>,
}

impl Compiler<'_> {
    fn is_preview(&self) -> bool {
        self.context.words.is_none()
    }

    /// From now on `path` is what runs of `stack`.
    fn set_path(&mut self, place: Place, stack: Stack, path: Vec<usize>) {
        for layer in self.path(stack) {
            if !path.contains(&layer) {
                self.left_out.insert((stack, layer), place.index);
            }
        }
        self.plan.paths.insert(stack, path.into());
    }

    /// Layers that may run in all, repetitions counted.
    fn most_layers(&self, stack: Stack) -> usize {
        let model = self.context.model;
        8 * match stack {
            Stack::VisionTower => model.tower.info().layers_run(),
            Stack::LanguageModel => model.decoder.config().num_hidden_layers,
            Stack::Projector => 0,
        }
    }

    /// An operation on all visual tokens of a picture.
    fn edit_tokens(&mut self, place: Place, image: usize, operation: Operation) {
        let rows = vec![true; self.images[image].len()];
        let rows = Rows {
            views: [((image, 0), rows)].into_iter().collect(),
            generated: None,
        };
        self.edit_rows(place, rows.into(), operation);
    }

    /// An operation on visual tokens.
    fn edit_rows(&mut self, place: Place, rows: std::sync::Arc<Rows>, operation: Operation) {
        let point = Point::of(Stack::Projector, Site::Tokens);
        let edit = Edit {
            owner: place.index,
            rows,
            heads: None,
            dimensions: None,
            operation,
        };
        self.plan.edits.entry(point).or_default().push(edit);
    }
}

/// Something to capture.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureTarget {
    /// Where.
    pub target: Target,
    /// What is left of it.
    pub reduce: Reduce,
}

/// What is left of captured rows, as asked.
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

/// Checks `list` against the model, the pictures and the words, and makes every random choice.
pub fn compile(list: &[Intervention], context: &Context<'_>) -> Result<Plan, Error> {
    compile_with(list, &[], context).map(|(plan, _)| plan)
}

/// The same, with captures; and how many numbers each of them comes to for the prompt, and for each
/// generated token.
pub fn compile_with(
    list: &[Intervention],
    captures: &[CaptureTarget],
    context: &Context<'_>,
) -> Result<(Plan, Vec<Volume>), Error> {
    let mut compiler = Compiler {
        context,
        plan: Plan::default(),
        images: context.images.to_vec(),
        prompt: Universe::default(),
        left_out: BTreeMap::new(),
    };
    let mut resolved: Vec<Option<Resolved>> = vec![None; list.len()];
    for early in [true, false] {
        for (index, intervention) in list
            .iter()
            .enumerate()
            .filter(|(_, i)| i.is_early() == early)
        {
            let place = Place {
                list: "interventions",
                index,
                name: intervention.name(),
            };
            resolved[index] = Some(intervention.compile(place, &mut compiler)?);
        }
        if early && let Some(words) = context.words {
            compiler.prompt = Universe::of_prompt(words, &compiler.images);
        }
    }
    let mut volumes = Vec::with_capacity(captures.len());
    for (index, capture) in captures.iter().enumerate() {
        volumes.push(capture.compile(
            Place {
                list: "targets",
                index,
                name: "",
            },
            &mut compiler,
        )?);
    }
    let mut plan = compiler.plan;
    plan.images = compiler.images;
    plan.resolved = resolved.into_iter().flatten().collect();
    Ok((plan, volumes))
}

/// How many numbers a capture comes to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Volume {
    /// For the prompt and the pictures.
    pub prompt: usize,
    /// For each generated token, at most.
    pub step: usize,
}

impl CaptureTarget {
    fn compile(&self, place: Place, compiler: &mut Compiler<'_>) -> Result<Volume, Error> {
        let aim = self.target.aim(place, "target", compiler)?;
        let site = aim.points.first().map_or(Site::Embed, |p| p.site);
        if !self.target.dimensions.is_empty() {
            return Err(place.invalid(
                "target.dimensions",
                "captures hold whole rows; leave it empty",
            ));
        }
        let stack = aim.points.first().map_or(Stack::LanguageModel, |p| p.stack);
        let residual = stack == Stack::LanguageModel || site == Site::Tokens || site == Site::Out;
        let reduction = match self.reduce {
            Reduce::None => Reduction::None,
            Reduce::Mean => Reduction::Mean,
            Reduce::Norm => Reduction::Norm,
            Reduce::Last => Reduction::Last,
            Reduce::TopTokens(top) => {
                if !(1..=100).contains(&top) {
                    return Err(place.invalid("top", format!("{top} is not in 1 to 100")));
                }
                let plain = [
                    Site::Embed,
                    Site::ResidPre,
                    Site::AttnOut,
                    Site::ResidMid,
                    Site::MlpOut,
                    Site::ResidPost,
                    Site::Tokens,
                    Site::Out,
                ];
                if !residual || !plain.contains(&site) {
                    let message = format!(
                        "{} is not a residual stream of the language model",
                        self.target.point
                    );
                    return Err(place.invalid("reduction", message));
                }
                Reduction::TopTokens(top)
            }
            Reduce::Received => {
                if site != Site::Pattern {
                    let message = format!(
                        "{} is not an attention pattern, hook_pattern",
                        self.target.point
                    );
                    return Err(place.invalid("reduction", message));
                }
                let visual = TokenSelector {
                    any_of: vec![Tokens::Named(Named::Visual)],
                    complement: false,
                };
                let no_class = TokenSelector {
                    any_of: vec![Tokens::Named(Named::Class)],
                    complement: true,
                };
                let tokens = if stack == Stack::VisionTower {
                    &no_class
                } else {
                    &visual
                };
                Reduction::Received(
                    compiler
                        .pick(place, "target", tokens, Steps::default(), stack, site)?
                        .of_prompt()
                        .into(),
                )
            }
        };
        let (rows, views) = (aim.rows.count(), aim.rows.views.len());
        let generated = usize::from(aim.rows.generated.is_some());
        let heads = aim.heads().unwrap_or(1);
        let context = compiler
            .context
            .model
            .decoder
            .config()
            .max_position_embeddings;
        // Patterns grow with the answer.
        let width = |step: bool| {
            if step && aim.is_attention() {
                context
            } else {
                aim.shape.width
            }
        };
        let numbers = |rows: usize, views: usize, step: bool| match &reduction {
            Reduction::None => rows * heads * width(step),
            Reduction::Mean | Reduction::Last => views.min(rows) * heads * width(step),
            Reduction::Norm => rows * heads,
            Reduction::TopTokens(top) => rows * top * 16,
            Reduction::Received(keys) => {
                if rows > 0 {
                    keys.count()
                } else {
                    0
                }
            }
        };
        let points = aim.points.len();
        let volume = Volume {
            prompt: points * numbers(rows, views, false),
            step: points * numbers(generated, generated, true),
        };
        aim.capture(place.index, reduction, compiler);
        Ok(volume)
    }
}

/// Fails unless `value` is a share.
fn check_share(place: Place, path: &str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(place.invalid(path, format!("{value} is not in 0 to 1")))
    }
}
