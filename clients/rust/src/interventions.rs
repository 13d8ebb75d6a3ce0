//! Short ways to write interventions.

use crate::v1::occlude_patches::{Choice, Fill};
use crate::v1::permute_tokens::Scope;
use crate::v1::swap_projector::Source;
use crate::v1::{
    self, DropLayers, IdentityProjector, Intervention, OccludePatches, PermuteTokens,
    RandomPatches, SalientPatches, Stack, SwapProjector, permute_tokens::Source as Order,
    salient_patches::Amount,
};

/// All values at a hook point, `{l}` for all layers that run.
pub fn target(point: &str) -> v1::Target {
    v1::Target {
        point: point.to_owned(),
        ..Default::default()
    }
}

/// Permutes all visual tokens of each picture by a seed.
pub fn permute_tokens(seed: u64) -> Intervention {
    PermuteTokens {
        source: Some(Order::Seed(seed)),
        scope: Scope::All.into(),
        ..Default::default()
    }
    .into()
}

/// Blackens a random share of the patches.
pub fn occlude_at_random(ratio: f64, seed: u64) -> Intervention {
    occlude_patches(Choice::Random(RandomPatches {
        ratio,
        seed: Some(seed),
    }))
}

/// Blackens the fewest patches that hold `mass` of the tower's attention.
pub fn occlude_salient(mass: f64) -> Intervention {
    occlude_patches(Choice::Salient(SalientPatches {
        amount: Some(Amount::Mass(mass)),
        ..Default::default()
    }))
}

/// Blackens the chosen patches.
pub fn occlude_patches(choice: Choice) -> Intervention {
    OccludePatches {
        choice: Some(choice),
        fill: Fill::Black.into(),
        ..Default::default()
    }
    .into()
}

/// Drops layers of the language model.
pub fn drop_layers(layers: impl IntoIterator<Item = u32>) -> Intervention {
    let layers = layers.into_iter().collect();
    DropLayers {
        stack: Stack::LanguageModel.into(),
        layers,
    }
    .into()
}

/// Drops layers of the vision tower.
pub fn drop_tower_layers(layers: impl IntoIterator<Item = u32>) -> Intervention {
    let layers = layers.into_iter().collect();
    DropLayers {
        stack: Stack::VisionTower.into(),
        layers,
    }
    .into()
}

fn swap(source: Source) -> Intervention {
    SwapProjector {
        source: Some(source),
    }
    .into()
}

/// Runs a random projector.
pub fn swap_projector_at_random(seed: u64) -> Intervention {
    swap(Source::RandomSeed(seed))
}

/// Runs another resident projector.
pub fn swap_projector_by_name(name: &str) -> Intervention {
    swap(Source::Name(name.to_owned()))
}

/// Runs no projector; the tower and the language model must be equally wide.
pub fn swap_projector_by_identity() -> Intervention {
    swap(Source::Identity(IdentityProjector {}))
}
