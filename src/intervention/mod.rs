//! Interventions as data, compiled to a plan and applied at hook points.
//!
//! [`compile`] checks a list of [`Intervention`]s against a model and the request's pictures, makes every random choice and
//! returns a [`Plan`] of few primitive operations: cells painted over, layers sat out, a projector, rows gathered. [`Applied`]
//! performs the plans of a batch, each on its own rows. This folder must not know requests, protobuf or scheduling.

mod applied;
mod drop_layers;
mod occlude_patches;
mod permute_tokens;
mod plan;
mod random;
mod swap_projector;

pub use applied::Applied;
pub use drop_layers::DropLayers;
pub use occlude_patches::{Amount, Choice, Fill, OccludePatches};
pub use permute_tokens::{Order, PermuteTokens, Scope};
pub use plan::{Edit, Operation, Paint, Plan, Resolution, Resolved};
pub use random::{Draws, fresh_seed};
pub use swap_projector::SwapProjector;

use crate::model::{self, ImageTokens, Model};

/// One change to the forward pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Intervention {
    /// Permute the rows of the projector's output.
    PermuteTokens(PermuteTokens),
    /// Hide patches of the picture.
    OccludePatches(OccludePatches),
    /// Replace layers by the identity.
    DropLayers(DropLayers),
    /// Run another projector.
    SwapProjector(SwapProjector),
}

/// Names of all interventions, as requests spell them.
pub const NAMES: [&str; 4] = ["permute_tokens", "occlude_patches", "drop_layers", "swap_projector"];

impl Intervention {
    /// The name, as requests spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PermuteTokens(_) => NAMES[0],
            Self::OccludePatches(_) => NAMES[1],
            Self::DropLayers(_) => NAMES[2],
            Self::SwapProjector(_) => NAMES[3],
        }
    }
}

/// Why a list of interventions cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that is out of its range.
    #[error("{field}: {message}")]
    Invalid {
        /// Path of the field in the request.
        field: String,
        /// The limit, and what would be valid.
        message: String,
    },
    /// A projector that is not resident.
    #[error("{field}: no projector {name:?}; resident: {}", .resident.join(", "))]
    UnknownProjector {
        /// Path of the field in the request.
        field: String,
        /// As asked.
        name: String,
        /// What there is.
        resident: Vec<String>,
    },
    /// It had nothing to act on.
    #[error("{field}: never fired: {message}")]
    NeverFired {
        /// Path of the field in the request.
        field: String,
        /// Why.
        message: String,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] model::Error),
}

/// What interventions are compiled against.
#[derive(Debug)]
pub struct Context<'a> {
    /// The model.
    pub model: &'a Model,
    /// The visual tokens of each picture of the request.
    pub images: &'a [ImageTokens],
    /// Tells samples that share a seed apart.
    pub sample_key: &'a str,
    /// Attention mass of each patch of the tower's grid, by picture; empty unless [`needs_saliency`].
    pub saliency: &'a [Vec<f32>],
}

/// Whether compiling needs the tower's attention on the unchanged pictures.
pub fn needs_saliency(list: &[Intervention]) -> bool {
    list.iter().any(|i| matches!(i, Intervention::OccludePatches(o) if o.choice.is_salient()))
}

/// Fills in every seed that the request left open.
pub fn draw_open_seeds(list: &mut [Intervention], mut fresh: impl FnMut() -> u64) {
    for intervention in list {
        match intervention {
            Intervention::PermuteTokens(p) => p.draw_open_seeds(&mut fresh),
            Intervention::OccludePatches(o) => o.draw_open_seeds(&mut fresh),
            Intervention::DropLayers(_) | Intervention::SwapProjector(_) => {}
        }
    }
}

/// Where in a list an intervention stands, and how its fields are spelled.
#[derive(Debug, Clone, Copy)]
struct Place {
    index: usize,
    name: &'static str,
}

impl Place {
    fn field(self, path: &str) -> String {
        let dot = if path.is_empty() { "" } else { "." };
        format!("interventions[{}].{}{dot}{path}", self.index, self.name)
    }

    fn invalid(self, path: &str, message: impl Into<String>) -> Error {
        Error::Invalid { field: self.field(path), message: message.into() }
    }

    fn never_fired(self, message: impl Into<String>) -> Error {
        Error::NeverFired { field: self.field(""), message: message.into() }
    }

    /// The place's source of randomness for one picture.
    fn draws(self, seed: u64, context: &Context<'_>, image: usize) -> Draws {
        Draws::new(seed, context.sample_key, self.index, image)
    }

    /// Fails where there is no picture to act on.
    fn needs_image(self, context: &Context<'_>) -> Result<(), Error> {
        if context.images.is_empty() { Err(self.never_fired("the request has no picture")) } else { Ok(()) }
    }
}

/// Checks `list` against the model and the pictures, and makes every random choice.
pub fn compile(list: &[Intervention], context: &Context<'_>) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    for (index, intervention) in list.iter().enumerate() {
        let place = Place { index, name: intervention.name() };
        let resolved = match intervention {
            Intervention::PermuteTokens(p) => p.compile(place, context, &mut plan)?,
            Intervention::OccludePatches(o) => o.compile(place, context, &mut plan)?,
            Intervention::DropLayers(d) => d.compile(place, context, &mut plan)?,
            Intervention::SwapProjector(s) => s.compile(place, context, &mut plan)?,
        };
        plan.resolved.push(resolved);
    }
    Ok(plan)
}

/// Fails unless `value` is a share.
fn check_share(place: Place, path: &str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(place.invalid(path, format!("{value} is not in 0 to 1"))) }
}
