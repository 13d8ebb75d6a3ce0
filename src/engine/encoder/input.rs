//! The inputs of the encoder.

use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::cost::Cost;
use crate::engine::request::Variant;
use crate::engine::reuse::{Program, Row};
use crate::intervention::Plan;
use crate::model::{Error, ImageTokens, Model, Pixels};
use crate::nn::{HostTensor, Stack};

/// One picture of one variant.
#[derive(Debug, Clone)]
pub(in crate::engine) struct EncoderInput {
    pub(in crate::engine) plan: Arc<Plan>,
    /// The number of the picture in the prompt.
    pub(in crate::engine) image: usize,
    /// `(V, 3, H, W)`.
    pub(in crate::engine) pixels: HostTensor,
    pub(in crate::engine) tokens: ImageTokens,
    /// Digest of the picture in this tower under this plan.
    pub(in crate::engine) features: blake3::Hash,
    /// Digest of the same after the projector, as the language model reads it.
    pub(in crate::engine) key: blake3::Hash,
    pub(in crate::engine) program: Arc<Program>,
}

/// Digests of what a plan does to every picture alike.
struct Edits {
    /// Begins the digest of every picture.
    picture: blake3::Hasher,
    tower: blake3::Hasher,
    projector: blake3::Hasher,
    /// Something is edited in the tower.
    in_tower: bool,
    /// Something is edited in the projector.
    in_projector: bool,
}

impl EncoderInput {
    /// Describes the pictures of a variant.
    pub(in crate::engine) fn all(
        model: &Model,
        tenant: &str,
        variant: &Variant,
    ) -> Result<Vec<Self>, Error> {
        if variant.images.is_empty() {
            return Ok(Vec::new());
        }
        // Once for all pictures: the digests of a plan's edits are theirs alike.
        let edits = Edits::of(model, tenant, variant)?;
        let pictures = variant.pixels.iter().zip(&variant.images).enumerate();
        let inputs = pictures.map(|(image, (pixels, tokens))| {
            Self::new(model, variant, &edits, image, pixels, tokens)
        });
        Ok(inputs.collect())
    }

    fn new(
        model: &Model,
        variant: &Variant,
        edits: &Edits,
        image: usize,
        pixels: &Pixels,
        tokens: &ImageTokens,
    ) -> Self {
        // Noise depends on the number of the picture; without edits the number does not matter.
        let number = |edited: bool| if edited { image as u64 + 1 } else { 0 };
        // The same numbers may stand in rows of another length.
        let grid = format!("{:?}", tokens.view.grid);
        let mut picture = edits.picture.clone();
        picture
            .update(pixels.digest.as_bytes())
            .update(grid.as_bytes());
        let picture = picture.finalize();
        let mut features = edits.tower.clone();
        features
            .update(picture.as_bytes())
            .update(&number(edits.in_tower).to_le_bytes());
        let features = features.finalize();
        let shape = format!(
            "{} {:?} {:?} {:?}",
            tokens.views,
            tokens.base,
            tokens.canvas,
            tokens.content()
        );
        let mut key = edits.projector.clone();
        key.update(features.as_bytes())
            .update(shape.as_bytes())
            .update(&number(edits.in_projector).to_le_bytes());
        // Half of a hash, which always has 32 bytes.
        let content = picture.as_bytes()[..16].try_into();
        let row = Row {
            content: u128::from_le_bytes(content.unwrap_or_default()),
            position: number(edits.in_tower) as u32,
        };
        let layers = model.tower.info().layers_run();
        let (plan, keys) = (&variant.plan, &variant.edit_keys);
        let program = Program::of(plan, keys, Stack::VisionTower, layers, [row].into(), 0);
        Self {
            plan: plan.clone(),
            image,
            pixels: pixels.views.clone(),
            tokens: tokens.clone(),
            features,
            key: key.finalize(),
            program: Arc::new(program),
        }
    }

    /// Returns after how many layers of its path each feature is read; see
    /// [`TowerInfo::reads`](crate::model::TowerInfo::reads).
    pub(in crate::engine) fn reads(&self, model: &Model) -> Vec<usize> {
        let info = model.tower.info();
        info.reads(&self.plan.path(Stack::VisionTower, info.layers_run()))
    }

    /// Returns what it takes where the pictures in `seen` are remembered, to which it is added.
    pub(in crate::engine) fn cost(&self, model: &Model, seen: &mut HashSet<blake3::Hash>) -> Cost {
        // A picture whose rows are captured is encoded anew, and nobody else takes it.
        let captures = self.program.no_reuse;
        let mut cost = Cost::default();
        if captures || seen.insert(self.features) {
            cost += Cost::of_features(model, &self.plan, &self.tokens);
        }
        if captures || seen.insert(self.key) {
            let projector = self.plan.projector.as_ref();
            let projector = projector.unwrap_or(model.own_projector());
            cost += Cost::of_projector(projector, &self.tokens);
        }
        cost
    }

    /// Returns the number of its rows in the tower.
    pub(in crate::engine) fn rows(&self) -> usize {
        self.tokens.views * self.tokens.view.rows
    }
}

impl Edits {
    fn of(model: &Model, tenant: &str, variant: &Variant) -> Result<Self, Error> {
        let plan = &variant.plan;
        let mut edits = Self {
            picture: blake3::Hasher::new(),
            tower: blake3::Hasher::new(),
            projector: blake3::Hasher::new(),
            in_tower: false,
            in_projector: false,
        };
        for (point, keys) in &variant.edit_keys {
            let (hasher, edited) = match point.stack {
                Stack::VisionTower => (&mut edits.tower, &mut edits.in_tower),
                Stack::Projector => (&mut edits.projector, &mut edits.in_projector),
                Stack::LanguageModel => continue,
            };
            *edited = true;
            hasher.update(point.to_string().as_bytes());
            for edit in keys {
                hasher.update(edit.digest().as_bytes());
            }
        }
        let path = plan.path(Stack::VisionTower, model.tower.info().layers_run());
        let place = format!("{} {path:?}", model.digest);
        edits.tower.update(place.as_bytes());
        // Nothing is shared between tenants, not even pictures that are encoded in one step: their
        // cost would tell that another one has sent the same.
        edits.picture.update(format!("{tenant:?} ").as_bytes());
        if let Some(swapped) = &plan.projector {
            // By its weights: two names may stand for the same projector.
            edits.projector.update(swapped.digest()?.as_bytes());
        }
        Ok(edits)
    }
}
