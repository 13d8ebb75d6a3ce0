//! Short ways to write interventions: a function or more for each kind of the contract. What they
//! leave at its default, the message itself says: `AddNoise { seed: Some(1), .. }.into()`.

use crate::v1::occlude_patches::{Choice, Fill};
use crate::v1::permute_tokens::Scope;
use crate::v1::swap_projector::Source;
use crate::v1::{
    self, Ablate, AddNoise, BlankImage, ClampNorm, Constant, DataType, Direction, Donor,
    DropLayers, ExitEarly, IdentityProjector, Intervention, KnockOutAttention, OccludePatches,
    Patch, PermuteTokens, ProjectOut, PruneTokens, RandomPatches, RepeatLayers, ReplaceTokens, Rgb,
    SalientPatches, Scale, SelectTokens, SetFeature, ShufflePatches, Stack, Steer, SwapProjector,
    Target, Tensor, TokenNoise, TokenOrder, TokenSelector, blank_image, patch,
    permute_tokens::Source as Order, prune_tokens, replace_tokens, salient_patches::Amount,
    select_tokens, set_feature, shuffle_patches,
};

/// Names all values at a hook point, `{l}` for all layers that run.
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

/// Permutes the visual tokens so that row `i` becomes row `order[i]`.
pub fn permute_tokens_to(order: impl IntoIterator<Item = u32>) -> Intervention {
    PermuteTokens {
        source: Some(Order::Order(token_order(order))),
        scope: Scope::All.into(),
        ..Default::default()
    }
    .into()
}

fn token_order(order: impl IntoIterator<Item = u32>) -> TokenOrder {
    TokenOrder {
        indices: order.into_iter().collect(),
    }
}

/// Shows one colour in place of the picture: the blind control of a benchmark.
pub fn blank_image(colour: blank_image::Colour) -> Intervention {
    let fill = Some(blank_image::Fill::Colour(colour.into()));
    BlankImage { fill }.into()
}

/// Shows a colour of red, green and blue.
pub fn blank_image_of([red, green, blue]: [u8; 3]) -> Intervention {
    let fill = Some(blank_image::Fill::Rgb(Rgb {
        red: red.into(),
        green: green.into(),
        blue: blue.into(),
    }));
    BlankImage { fill }.into()
}

/// Cuts the picture in `grid` x `grid` cells and permutes them by a seed.
pub fn shuffle_patches(grid: u32, seed: u64) -> Intervention {
    let source = Some(shuffle_patches::Source::Seed(seed));
    ShufflePatches { grid, source }.into()
}

/// Cuts the picture in `grid` x `grid` cells and lets cell `i` show what cell `order[i]` did.
pub fn shuffle_patches_to(grid: u32, order: impl IntoIterator<Item = u32>) -> Intervention {
    let source = Some(shuffle_patches::Source::Order(token_order(order)));
    ShufflePatches { grid, source }.into()
}

/// Keeps, removes or pools visual tokens; what is left keeps its positions.
pub fn select_tokens(tokens: impl Into<TokenSelector>, mode: select_tokens::Mode) -> Intervention {
    SelectTokens {
        tokens: Some(tokens.into()),
        mode: mode.into(),
        ..Default::default()
    }
    .into()
}

/// Writes zero, or the mean of the picture, over visual tokens.
pub fn replace_tokens(tokens: impl Into<TokenSelector>, constant: Constant) -> Intervention {
    replace(
        tokens.into(),
        replace_tokens::Source::Constant(constant.into()),
    )
}

/// Writes noise with the picture's mean and standard deviation over visual tokens.
pub fn replace_tokens_by_noise(tokens: impl Into<TokenSelector>, seed: u64) -> Intervention {
    let noise = TokenNoise { seed: Some(seed) };
    replace(tokens.into(), replace_tokens::Source::Noise(noise))
}

/// Writes the tokens of another picture, the bytes of a file, over visual tokens.
pub fn replace_tokens_by_picture(
    tokens: impl Into<TokenSelector>,
    file: impl Into<Vec<u8>>,
) -> Intervention {
    let data: Vec<u8> = file.into();
    replace(tokens.into(), replace_tokens::Source::Donor(Donor { data }))
}

fn replace(tokens: TokenSelector, source: replace_tokens::Source) -> Intervention {
    ReplaceTokens {
        tokens: Some(tokens),
        source: Some(source),
    }
    .into()
}

/// Runs layers `first` to `last` of the language model again after themselves, `times` more (at
/// most 16).
pub fn repeat_layers(first: u32, last: u32, times: u32) -> Intervention {
    RepeatLayers {
        first,
        last,
        times,
        ..Default::default()
    }
    .into()
}

/// Leaves out all layers of the language model above `layer`.
pub fn exit_early(layer: u32) -> Intervention {
    ExitEarly {
        layer,
        ..Default::default()
    }
    .into()
}

/// Adds gaussian noise of a scale (0 to 1e6).
pub fn add_noise(target: impl Into<Target>, scale: f64) -> Intervention {
    AddNoise {
        target: Some(target.into()),
        scale,
        ..Default::default()
    }
    .into()
}

/// Adds `scale * vector`: activation steering.
pub fn steer(
    target: impl Into<Target>,
    vector: impl IntoIterator<Item = f32>,
    scale: f64,
) -> Intervention {
    Steer {
        target: Some(target.into()),
        vector: vector.into_iter().collect(),
        scale,
    }
    .into()
}

/// Removes the span of directions: directional ablation.
pub fn project_out<D: Into<Vec<f32>>>(
    target: impl Into<Target>,
    directions: impl IntoIterator<Item = D>,
) -> Intervention {
    ProjectOut {
        target: Some(target.into()),
        directions: directions.into_iter().map(direction).collect(),
    }
    .into()
}

fn direction(values: impl Into<Vec<f32>>) -> Direction {
    Direction {
        values: values.into(),
    }
}

/// Multiplies by a factor; 1 changes nothing.
pub fn scale(target: impl Into<Target>, factor: f64) -> Intervention {
    Scale {
        target: Some(target.into()),
        factor,
    }
    .into()
}

/// Limits the Euclidean norm of each row, above 0.
pub fn clamp_norm(target: impl Into<Target>, max_norm: f64) -> Intervention {
    ClampNorm {
        target: Some(target.into()),
        max_norm,
    }
    .into()
}

/// Sets features of a resident sparse autoencoder, the only one where `sae` is empty, to a value.
/// What the autoencoder does not explain of a row stays. The other changes are `Change::Scale`, `Add`
/// and `Ablate` of the message.
pub fn set_feature(
    target: impl Into<Target>,
    sae: impl Into<String>,
    features: impl Into<Vec<u32>>,
    value: f64,
) -> Intervention {
    SetFeature {
        target: Some(target.into()),
        sae: sae.into(),
        features: features.into(),
        change: Some(set_feature::Change::Clamp(value)),
    }
    .into()
}

/// Writes zeros, or the mean of the chosen tokens of the prompt.
pub fn ablate(target: impl Into<Target>, value: Constant) -> Intervention {
    Ablate {
        target: Some(target.into()),
        value: value.into(),
    }
    .into()
}

/// Writes rows of `N` numbers, one for all chosen tokens or one for each.
pub fn patch<const N: usize>(target: impl Into<Target>, rows: &[[f32; N]]) -> Intervention {
    patch_rows(target, rows.iter().flatten().copied(), N)
}

/// Writes rows of `width` numbers each, one after the other.
pub fn patch_rows(
    target: impl Into<Target>,
    values: impl IntoIterator<Item = f32>,
    width: usize,
) -> Intervention {
    // Tensors of the contract are little-endian.
    let data: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    // A width of 0 is the server's to refuse, not a division here.
    let rows = data.len() / size_of::<f32>() / width.max(1);
    let values = Tensor {
        shape: vec![rows as u32, width as u32],
        dtype: DataType::F32.into(),
        data,
    };
    write(target.into(), patch::Source::Values(values))
}

/// Writes what `Capture` has kept, by its handle.
pub fn patch_kept(target: impl Into<Target>, handle: &str) -> Intervention {
    write(target.into(), patch::Source::Handle(handle.to_owned()))
}

fn write(target: Target, source: patch::Source) -> Intervention {
    Patch {
        target: Some(target),
        source: Some(source),
    }
    .into()
}

/// Hides tokens from tokens that look, in all layers of the language model.
pub fn knock_out_attention(
    from: impl Into<TokenSelector>,
    to: impl Into<TokenSelector>,
) -> Intervention {
    KnockOutAttention {
        from: Some(from.into()),
        to: Some(to.into()),
        ..Default::default()
    }
    .into()
}

/// Drops visual tokens after a layer of the language model, but for a share (0 to 1) of them, those
/// that the last token attends to most (`FastV`).
pub fn prune_tokens(layer: u32, keep_share: f64) -> Intervention {
    PruneTokens {
        layer,
        amount: Some(prune_tokens::Amount::KeepShare(keep_share)),
        ..Default::default()
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selectors::{at, last, numbered, visual};

    macro_rules! names {
        ($($kind:ident $name:ident,)*) => { &[$(stringify!($name)),*] };
    }

    const NAMES: &[&str] = scotoma_proto::for_each_intervention!(names);

    fn one_of_each() -> Vec<Intervention> {
        let place = || at("language_model.blocks.{l}.hook_resid_post").layers([5]);
        vec![
            permute_tokens(1),
            occlude_at_random(0.5, 1),
            drop_layers([1]),
            swap_projector_at_random(1),
            blank_image(blank_image::Colour::White),
            shuffle_patches(3, 1),
            select_tokens(visual(), select_tokens::Mode::Keep),
            replace_tokens(numbered([1]), Constant::Mean),
            repeat_layers(2, 3, 1),
            exit_early(6),
            add_noise(place(), 0.5),
            steer(place(), [1.0], 2.0),
            project_out(place(), [[1.0]]),
            scale(place(), 0.5),
            ablate(place(), Constant::Zero),
            patch(place(), &[[1.0, 2.0]]),
            knock_out_attention(last(), !last()),
            prune_tokens(2, 0.5),
            clamp_norm(place(), 1.0),
            set_feature(place(), "shapes", [3, 7], 2.5),
        ]
    }

    #[test]
    fn every_kind_of_the_contract_has_a_helper() {
        let list = one_of_each();
        let made: Vec<_> = list.iter().filter_map(|own| own.kind.as_ref()).collect();
        let made: Vec<&str> = made.iter().map(|kind| kind.name()).collect();
        for name in NAMES {
            assert!(made.contains(name), "{name} has no helper here");
        }
    }

    #[test]
    fn rows_keep_their_shape() {
        let target = target("projector.hook_tokens");
        assert_eq!(
            patch(target.clone(), &[[1.0, 2.0], [3.0, 4.0]]),
            patch_rows(target, [1.0, 2.0, 3.0, 4.0], 2)
        );
    }
}
