//! Messages to the server's own types, with every enum number and every absent oneof checked.

use candle_core::{DType, Device};

pub(super) mod evaluation;
mod model;
mod request;
mod response;

pub(super) use model::{
    empty_parity_report, hook_points, load_request, model_info, parity_case, parity_report,
};
pub(super) use request::{
    image, multi_image, prompt, request_interventions, requested_dtype, sampling, targets,
};
pub(super) use response::{
    activation, capture_finished, finished, plan, scored, started, token, usage, verified,
};

use super::{Error, v1};
use crate::intervention::{
    Ablate, AddNoise, Amount, BlankImage, By, CaptureTarget, Choice, DropLayers, ExitEarly, Fill,
    Geometry, Intervention, Keep, KnockOutAttention, Mode, Named, OccludePatches, Order, Patch,
    PatchSource, PermuteTokens, ProjectOut, PruneTokens, Reduce, RepeatLayers, ReplaceTokens,
    Replacement, SaliencySource, Salient, Scale, Scope, SelectTokens, ShufflePatches, Steer, Steps,
    SwapProjector, Target, TokenSelector, Tokens,
};
use crate::nn::Stack;

/// Interventions of one request.
const MAX_INTERVENTIONS: usize = 64;
/// Targets of one capture.
const MAX_TARGETS: usize = 64;

/// The interventions of a request.
pub(super) fn interventions(list: &[v1::Intervention]) -> Result<Vec<Intervention>, Error> {
    if list.len() > MAX_INTERVENTIONS {
        let message = format!(
            "{} interventions; at most {MAX_INTERVENTIONS} are taken",
            list.len()
        );
        return Err(Error::invalid("interventions", message));
    }
    list.iter()
        .enumerate()
        .map(|(i, message)| intervention(&format!("interventions[{i}]"), message))
        .collect()
}

/// The interventions of a list in canonical JSON.
pub fn interventions_from_json(json: &serde_json::Value) -> Result<Vec<Intervention>, String> {
    let list: Vec<v1::Intervention> =
        serde_json::from_value(json.clone()).map_err(|e| e.to_string())?;
    interventions(&list).map_err(|e| e.to_string())
}

/// Draws every seed that a request left open.
pub(super) fn draw_open_seeds<'a>(
    list: &mut [v1::Intervention],
    targets: impl Iterator<Item = &'a mut v1::Target>,
    mut fresh: impl FnMut() -> u64,
) {
    use v1::intervention::Kind;
    let selector = |selector: &mut Option<v1::TokenSelector>, fresh: &mut dyn FnMut() -> u64| {
        for tokens in selector.iter_mut().flat_map(|s| &mut s.any_of) {
            if let Some(v1::tokens::Set::Random(random)) = &mut tokens.set {
                random.seed.get_or_insert_with(&mut *fresh);
            }
        }
    };
    let target = |target: &mut Option<v1::Target>, fresh: &mut dyn FnMut() -> u64| {
        if let Some(target) = target {
            selector(&mut target.tokens, fresh);
        }
    };
    for message in list {
        match &mut message.kind {
            Some(Kind::PermuteTokens(p)) => {
                p.source
                    .get_or_insert_with(|| v1::permute_tokens::Source::Seed(fresh()));
            }
            Some(Kind::ShufflePatches(s)) => {
                s.source
                    .get_or_insert_with(|| v1::shuffle_patches::Source::Seed(fresh()));
            }
            Some(Kind::OccludePatches(o)) => {
                if let Some(v1::occlude_patches::Choice::Random(random)) = &mut o.choice {
                    random.seed.get_or_insert_with(&mut fresh);
                }
                if o.fill == i32::from(v1::occlude_patches::Fill::Noise) {
                    o.fill_seed.get_or_insert_with(&mut fresh);
                }
            }
            Some(Kind::SelectTokens(s)) => selector(&mut s.tokens, &mut fresh),
            Some(Kind::ReplaceTokens(r)) => {
                selector(&mut r.tokens, &mut fresh);
                if let Some(v1::replace_tokens::Source::Noise(noise)) = &mut r.source {
                    noise.seed.get_or_insert_with(&mut fresh);
                }
            }
            Some(Kind::AddNoise(n)) => {
                target(&mut n.target, &mut fresh);
                n.seed.get_or_insert_with(&mut fresh);
            }
            Some(Kind::Steer(s)) => target(&mut s.target, &mut fresh),
            Some(Kind::ProjectOut(p)) => target(&mut p.target, &mut fresh),
            Some(Kind::Scale(s)) => target(&mut s.target, &mut fresh),
            Some(Kind::Ablate(a)) => target(&mut a.target, &mut fresh),
            Some(Kind::Patch(p)) => target(&mut p.target, &mut fresh),
            Some(Kind::KnockOutAttention(k)) => {
                selector(&mut k.from, &mut fresh);
                selector(&mut k.to, &mut fresh);
            }
            Some(Kind::PruneTokens(p)) => {
                if let Some(v1::prune_tokens::Ranking::ReceivedFrom(from)) = &mut p.ranking {
                    let mut some = Some(std::mem::take(from));
                    selector(&mut some, &mut fresh);
                    *from = some.unwrap_or_default();
                }
            }
            Some(
                Kind::DropLayers(_)
                | Kind::SwapProjector(_)
                | Kind::BlankImage(_)
                | Kind::RepeatLayers(_)
                | Kind::ExitEarly(_),
            )
            | None => {}
        }
    }
    for target in targets {
        selector(&mut target.tokens, &mut fresh);
    }
}

fn intervention(at: &str, message: &v1::Intervention) -> Result<Intervention, Error> {
    use v1::intervention::Kind;
    let field = |name: &str| format!("{at}.{name}");
    Ok(match &message.kind {
        None => {
            return Err(unset(
                &field("kind"),
                &crate::intervention::NAMES.join(", "),
            ));
        }
        Some(Kind::PermuteTokens(p)) => {
            Intervention::PermuteTokens(permute_tokens(&field("permute_tokens"), p)?)
        }
        Some(Kind::OccludePatches(o)) => {
            Intervention::OccludePatches(occlude_patches(&field("occlude_patches"), o)?)
        }
        Some(Kind::DropLayers(d)) => {
            let stack = stack(&field("drop_layers"), d.stack)?;
            Intervention::DropLayers(DropLayers {
                stack,
                layers: d.layers.clone(),
            })
        }
        Some(Kind::SwapProjector(s)) => {
            Intervention::SwapProjector(swap_projector(&field("swap_projector"), s)?)
        }
        Some(Kind::BlankImage(b)) => {
            Intervention::BlankImage(blank_image(&field("blank_image"), b)?)
        }
        Some(Kind::ShufflePatches(s)) => {
            use v1::shuffle_patches::Source;
            let order = match &s.source {
                Some(Source::Seed(seed)) => Order::Seed(*seed),
                Some(Source::Order(order)) => Order::Given(order.indices.clone()),
                None => return Err(unset(&field("shuffle_patches.source"), "seed, order")),
            };
            Intervention::ShufflePatches(ShufflePatches {
                grid: s.grid as usize,
                order,
            })
        }
        Some(Kind::SelectTokens(s)) => {
            Intervention::SelectTokens(select_tokens(&field("select_tokens"), s)?)
        }
        Some(Kind::ReplaceTokens(r)) => {
            Intervention::ReplaceTokens(replace_tokens(&field("replace_tokens"), r)?)
        }
        Some(Kind::RepeatLayers(r)) => {
            let stack = stack(&field("repeat_layers"), r.stack)?;
            Intervention::RepeatLayers(RepeatLayers {
                stack,
                first: r.first,
                last: r.last,
                times: r.times,
            })
        }
        Some(Kind::ExitEarly(e)) => Intervention::ExitEarly(ExitEarly {
            stack: stack(&field("exit_early"), e.stack)?,
            layer: e.layer,
        }),
        Some(Kind::AddNoise(n)) => Intervention::AddNoise(add_noise(&field("add_noise"), n)?),
        Some(Kind::Steer(s)) => Intervention::Steer(Steer {
            target: target(&field("steer.target"), s.target.as_ref())?,
            vector: s.vector.clone(),
            scale: s.scale,
        }),
        Some(Kind::ProjectOut(p)) => Intervention::ProjectOut(ProjectOut {
            target: target(&field("project_out.target"), p.target.as_ref())?,
            directions: p.directions.iter().map(|d| d.values.clone()).collect(),
        }),
        Some(Kind::Scale(s)) => Intervention::Scale(Scale {
            target: target(&field("scale.target"), s.target.as_ref())?,
            factor: s.factor,
        }),
        Some(Kind::Ablate(a)) => Intervention::Ablate(Ablate {
            target: target(&field("ablate.target"), a.target.as_ref())?,
            mean: constant(&field("ablate.value"), a.value)?,
        }),
        Some(Kind::Patch(p)) => {
            let source = match &p.source {
                Some(v1::patch::Source::Values(values)) => {
                    PatchSource::Inline(tensor(&field("patch.values"), values)?)
                }
                Some(v1::patch::Source::Handle(handle)) => PatchSource::Handle(handle.clone()),
                None => return Err(unset(&field("patch.source"), "values, handle")),
            };
            Intervention::Patch(Patch {
                target: target(&field("patch.target"), p.target.as_ref())?,
                source,
            })
        }
        Some(Kind::KnockOutAttention(k)) => {
            let at = field("knock_out_attention");
            Intervention::KnockOutAttention(KnockOutAttention {
                stack: stack(&at, k.stack)?,
                layers: k.layers.clone(),
                heads: k.heads.clone(),
                from: selector(&format!("{at}.from"), k.from.as_ref())?,
                to: selector(&format!("{at}.to"), k.to.as_ref())?,
                steps: steps(k.steps.as_ref()),
            })
        }
        Some(Kind::PruneTokens(p)) => {
            Intervention::PruneTokens(prune_tokens(&field("prune_tokens"), p)?)
        }
    })
}

/// An enum number that the contract does not have.
fn unknown(field: String, number: i32, valid: &[&str]) -> Error {
    Error::invalid(
        field,
        format!("unknown number {number}; valid: {}", valid.join(", ")),
    )
}

fn unset(field: &str, valid: &str) -> Error {
    Error::invalid(field, format!("unset; one of {valid} is needed"))
}

fn stack(at: &str, number: i32) -> Result<Stack, Error> {
    match v1::Stack::try_from(number) {
        Ok(v1::Stack::Unspecified | v1::Stack::LanguageModel) => Ok(Stack::LanguageModel),
        Ok(v1::Stack::VisionTower) => Ok(Stack::VisionTower),
        Err(_) => Err(unknown(
            format!("{at}.stack"),
            number,
            &["STACK_VISION_TOWER", "STACK_LANGUAGE_MODEL"],
        )),
    }
}

/// Whether it is the mean.
fn constant(field: &str, number: i32) -> Result<bool, Error> {
    match v1::Constant::try_from(number) {
        Ok(v1::Constant::Unspecified | v1::Constant::Zero) => Ok(false),
        Ok(v1::Constant::Mean) => Ok(true),
        Err(_) => Err(unknown(
            field.into(),
            number,
            &["CONSTANT_ZERO", "CONSTANT_MEAN"],
        )),
    }
}

fn steps(message: Option<&v1::Steps>) -> Steps {
    message.map_or_else(Steps::default, |s| Steps {
        first: s.first,
        last: s.last.unwrap_or(u32::MAX),
    })
}

fn target(at: &str, message: Option<&v1::Target>) -> Result<Target, Error> {
    let Some(message) = message else {
        return Err(Error::invalid(at, "unset; a hook point is needed"));
    };
    Ok(Target {
        point: message.point.clone(),
        layers: message.layers.clone(),
        tokens: selector(&format!("{at}.tokens"), message.tokens.as_ref())?,
        heads: message.heads.clone(),
        dimensions: message.dimensions.clone(),
        steps: steps(message.steps.as_ref()),
    })
}

fn selector(at: &str, message: Option<&v1::TokenSelector>) -> Result<TokenSelector, Error> {
    let Some(message) = message else {
        return Ok(TokenSelector::default());
    };
    let one =
        |(i, tokens): (usize, &v1::Tokens)| self::tokens(&format!("{at}.any_of[{i}]"), tokens);
    Ok(TokenSelector {
        any_of: message
            .any_of
            .iter()
            .enumerate()
            .map(one)
            .collect::<Result<_, _>>()?,
        complement: message.complement,
    })
}

fn tokens(at: &str, message: &v1::Tokens) -> Result<Tokens, Error> {
    use v1::tokens::{Named as Number, Set};
    Ok(match &message.set {
        None => {
            return Err(unset(
                &format!("{at}.set"),
                "named, indices, image, turn, tile, blocks, random, salient",
            ));
        }
        Some(Set::Named(number)) => Tokens::Named(match Number::try_from(*number) {
            Ok(Number::Unspecified | Number::All) => Named::All,
            Ok(Number::Visual) => Named::Visual,
            Ok(Number::Text) => Named::Text,
            Ok(Number::System) => Named::System,
            Ok(Number::Question) => Named::Question,
            Ok(Number::Last) => Named::Last,
            Ok(Number::Generated) => Named::Generated,
            Ok(Number::Newline) => Named::Newline,
            Ok(Number::Class) => Named::Class,
            Ok(Number::BaseView) => Named::BaseView,
            Ok(Number::User) => Named::User,
            Ok(Number::Assistant) => Named::Assistant,
            Err(_) => {
                let valid = ["NAMED_ALL to NAMED_ASSISTANT, 1 to 12"];
                return Err(unknown(format!("{at}.named"), *number, &valid));
            }
        }),
        Some(Set::Indices(indices)) => Tokens::Indices(indices.indices.clone()),
        Some(Set::Image(image)) => Tokens::Image(*image),
        Some(Set::Turn(turn)) => Tokens::Turn(*turn),
        Some(Set::Tile(tile)) => Tokens::Tile(*tile),
        Some(Set::Blocks(blocks)) => Tokens::Blocks {
            grid: blocks.grid,
            indices: blocks.indices.clone(),
        },
        Some(Set::Random(random)) => Tokens::Random {
            share: random.ratio,
            seed: random.seed.unwrap_or_default(),
        },
        Some(Set::Salient(patches)) => Tokens::Salient(salient(&format!("{at}.salient"), patches)?),
    })
}

fn salient(at: &str, message: &v1::SalientPatches) -> Result<Salient, Error> {
    use v1::salient_patches::{Amount as Share, Source};
    let amount = match message.amount {
        Some(Share::Mass(mass)) => Amount::Mass(mass),
        Some(Share::Share(share)) => Amount::Share(share),
        None => return Err(unset(&format!("{at}.amount"), "mass, share")),
    };
    let source = match &message.source {
        None => SaliencySource::Tower,
        Some(Source::Model(name)) => SaliencySource::Model(name.clone()),
        Some(Source::Weights(weights)) => SaliencySource::Weights(weights.weights.clone()),
    };
    Ok(Salient {
        amount,
        source,
        head: message.head,
    })
}

fn permute_tokens(at: &str, message: &v1::PermuteTokens) -> Result<PermuteTokens, Error> {
    use v1::permute_tokens::{Scope as Number, Source};
    let scope = match Number::try_from(message.scope) {
        Ok(Number::Unspecified | Number::All) => Scope::All,
        Ok(Number::WithinTiles) => Scope::WithinTiles,
        Ok(Number::BaseView) => Scope::BaseView,
        Ok(Number::WithinBlocks) => Scope::WithinBlocks(message.blocks as usize),
        Err(_) => {
            let valid = [
                "SCOPE_ALL",
                "SCOPE_WITHIN_TILES",
                "SCOPE_BASE_VIEW",
                "SCOPE_WITHIN_BLOCKS",
            ];
            return Err(unknown(format!("{at}.scope"), message.scope, &valid));
        }
    };
    let order = match &message.source {
        Some(Source::Seed(seed)) => Order::Seed(*seed),
        Some(Source::Order(order)) => Order::Given(order.indices.clone()),
        None => return Err(unset(&format!("{at}.source"), "seed, order")),
    };
    Ok(PermuteTokens { order, scope })
}

fn occlude_patches(at: &str, message: &v1::OccludePatches) -> Result<OccludePatches, Error> {
    use v1::occlude_patches::{Choice as Arm, Fill as Number};
    let fill = match Number::try_from(message.fill) {
        Ok(Number::Unspecified | Number::Black) => Fill::BLACK,
        Ok(Number::Mean) => Fill::Mean,
        Ok(Number::Noise) => Fill::Noise,
        Ok(Number::Blur) => Fill::Blur(message.blur_sigma),
        Err(_) => {
            let valid = ["FILL_BLACK", "FILL_MEAN", "FILL_NOISE", "FILL_BLUR"];
            return Err(unknown(format!("{at}.fill"), message.fill, &valid));
        }
    };
    let choice = match &message.choice {
        Some(Arm::Random(r)) => Choice::Random {
            ratio: r.ratio,
            seed: r.seed.unwrap_or_default(),
        },
        Some(Arm::Salient(s)) => Choice::Salient(salient(&format!("{at}.salient"), s)?),
        Some(Arm::NonSalient(s)) => Choice::NonSalient(salient(&format!("{at}.non_salient"), s)?),
        Some(Arm::Indices(i)) => Choice::Indices(i.indices.clone()),
        None => {
            return Err(unset(
                &format!("{at}.choice"),
                "random, salient, non_salient, indices",
            ));
        }
    };
    let fill_seed = message.fill_seed.unwrap_or_default();
    Ok(OccludePatches {
        choice,
        grid: message.grid as usize,
        fill,
        fill_seed,
    })
}

fn swap_projector(at: &str, message: &v1::SwapProjector) -> Result<SwapProjector, Error> {
    use v1::swap_projector::Source;
    match &message.source {
        Some(Source::Name(name)) => Ok(SwapProjector::Named(name.clone())),
        Some(Source::RandomSeed(seed)) => Ok(SwapProjector::Random(*seed)),
        Some(Source::Identity(_)) => Ok(SwapProjector::Identity),
        None => Err(unset(
            &format!("{at}.source"),
            "name, random_seed, identity",
        )),
    }
}

fn blank_image(at: &str, message: &v1::BlankImage) -> Result<BlankImage, Error> {
    use v1::blank_image::{Colour, Fill as Arm};
    let fill = match &message.fill {
        None => Fill::BLACK,
        Some(Arm::Rgb(rgb)) => {
            let part = |name: &str, value: u32| {
                let wrong = |_| {
                    Error::invalid(
                        format!("{at}.rgb.{name}"),
                        format!("{value} is not in 0 to 255"),
                    )
                };
                u8::try_from(value).map_err(wrong)
            };
            Fill::Colour([
                part("red", rgb.red)?,
                part("green", rgb.green)?,
                part("blue", rgb.blue)?,
            ])
        }
        Some(Arm::Colour(number)) => match Colour::try_from(*number) {
            Ok(Colour::Unspecified | Colour::Black) => Fill::BLACK,
            Ok(Colour::White) => Fill::Colour([255; 3]),
            Ok(Colour::Mean) => Fill::Mean,
            Err(_) => {
                let valid = ["COLOUR_BLACK", "COLOUR_WHITE", "COLOUR_MEAN"];
                return Err(unknown(format!("{at}.colour"), *number, &valid));
            }
        },
    };
    Ok(BlankImage { fill })
}

fn select_tokens(at: &str, message: &v1::SelectTokens) -> Result<SelectTokens, Error> {
    use v1::select_tokens::{Mode as Number, Positions};
    let mode = match Number::try_from(message.mode) {
        Ok(Number::Unspecified | Number::Keep) => Mode::Keep,
        Ok(Number::Remove) => Mode::Remove,
        Ok(Number::Pool) => Mode::Pool,
        Err(_) => {
            let valid = ["MODE_KEEP", "MODE_REMOVE", "MODE_POOL"];
            return Err(unknown(format!("{at}.mode"), message.mode, &valid));
        }
    };
    let compact = match Positions::try_from(message.positions) {
        Ok(Positions::Unspecified | Positions::Original) => false,
        Ok(Positions::Compact) => true,
        Err(_) => {
            let valid = ["POSITIONS_ORIGINAL", "POSITIONS_COMPACT"];
            return Err(unknown(
                format!("{at}.positions"),
                message.positions,
                &valid,
            ));
        }
    };
    Ok(SelectTokens {
        tokens: selector(&format!("{at}.tokens"), message.tokens.as_ref())?,
        mode,
        compact,
    })
}

fn replace_tokens(at: &str, message: &v1::ReplaceTokens) -> Result<ReplaceTokens, Error> {
    use v1::replace_tokens::Source;
    let source = match &message.source {
        Some(Source::Constant(number)) => {
            if constant(&format!("{at}.constant"), *number)? {
                Replacement::Mean
            } else {
                Replacement::Zero
            }
        }
        Some(Source::Noise(noise)) => Replacement::Noise(noise.seed.unwrap_or_default()),
        Some(Source::Donor(donor)) => Replacement::Donor(donor.data.clone()),
        None => return Err(unset(&format!("{at}.source"), "constant, noise, donor")),
    };
    Ok(ReplaceTokens {
        tokens: selector(&format!("{at}.tokens"), message.tokens.as_ref())?,
        source,
    })
}

fn add_noise(at: &str, message: &v1::AddNoise) -> Result<AddNoise, Error> {
    use v1::add_noise::Geometry as Number;
    let geometry = match Number::try_from(message.geometry) {
        Ok(Number::Literal) => Geometry::Literal,
        Ok(Number::AbsScaled) => Geometry::AbsScaled,
        Ok(Number::Keskar) => Geometry::Keskar,
        Ok(Number::Additive) => Geometry::Additive,
        Ok(Number::Unspecified | Number::Gaussian) => Geometry::Gaussian,
        Err(_) => {
            let valid = ["GEOMETRY_LITERAL, _ABS_SCALED, _KESKAR, _ADDITIVE, _GAUSSIAN, 1 to 5"];
            return Err(unknown(format!("{at}.geometry"), message.geometry, &valid));
        }
    };
    Ok(AddNoise {
        target: target(&format!("{at}.target"), message.target.as_ref())?,
        geometry,
        scale: message.scale,
        random_scale: message.random_scale,
        seed: message.seed.unwrap_or_default(),
    })
}

fn prune_tokens(at: &str, message: &v1::PruneTokens) -> Result<PruneTokens, Error> {
    use v1::prune_tokens::{Amount, Ranking};
    let keep = match message.amount {
        Some(Amount::KeepShare(share)) => Keep::Share(share),
        Some(Amount::KeepCount(count)) => Keep::Count(count),
        None => return Err(unset(&format!("{at}.amount"), "keep_share, keep_count")),
    };
    let last = TokenSelector {
        any_of: vec![Tokens::Named(Named::Last)],
        complement: false,
    };
    let by = match &message.ranking {
        None => By::Received(last),
        Some(Ranking::ReceivedFrom(from)) if *from == v1::TokenSelector::default() => {
            By::Received(last)
        }
        Some(Ranking::ReceivedFrom(from)) => {
            By::Received(selector(&format!("{at}.received_from"), Some(from))?)
        }
        Some(Ranking::RandomSeed(seed)) => By::Random(*seed),
        Some(Ranking::ClassAttention(true)) => By::ClassAttention,
        Some(Ranking::ClassAttention(false)) => {
            return Err(Error::invalid(
                format!("{at}.class_attention"),
                "false; leave it out, or say true",
            ));
        }
    };
    Ok(PruneTokens {
        layer: message.layer,
        keep,
        by,
    })
}

/// A dtype; f32 where it is not said.
pub(super) fn dtype(field: &str, number: i32) -> Result<DType, Error> {
    match v1::DataType::try_from(number) {
        Ok(v1::DataType::Unspecified | v1::DataType::F32) => Ok(DType::F32),
        Ok(v1::DataType::Bf16) => Ok(DType::BF16),
        Ok(v1::DataType::F16) => Ok(DType::F16),
        Err(_) => Err(unknown(
            field.into(),
            number,
            &["DATA_TYPE_F32", "DATA_TYPE_BF16", "DATA_TYPE_F16"],
        )),
    }
}

/// The numbers of a message, on the CPU in f32.
fn tensor(at: &str, message: &v1::Tensor) -> Result<candle_core::Tensor, Error> {
    let dtype = dtype(&format!("{at}.dtype"), message.dtype)?;
    let count = message
        .shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d as usize))
        .unwrap_or(usize::MAX);
    let needed = count.saturating_mul(dtype.size_in_bytes());
    if !(1..=3).contains(&message.shape.len()) || count == 0 || needed != message.data.len() {
        let message = format!(
            "{} bytes for shape {:?}; 1 to 3 sizes from 1 up are needed, and as many bytes as they make",
            message.data.len(),
            message.shape
        );
        return Err(Error::invalid(format!("{at}.data"), message));
    }
    let shape: Vec<usize> = message.shape.iter().map(|&d| d as usize).collect();
    let tensor = candle_core::Tensor::from_raw_buffer(&message.data, dtype, &shape, &Device::Cpu)
        .and_then(|t| t.to_dtype(DType::F32))
        .map_err(crate::model::Error::from)?;
    // One number that is none would make all sums none.
    let finite = tensor
        .abs()
        .and_then(|t| t.max_all())
        .and_then(|t| t.to_scalar::<f32>());
    let sum = tensor
        .sum_all()
        .and_then(|t| t.to_scalar::<f32>())
        .map_err(crate::model::Error::from)?;
    if sum.is_nan() || !finite.map_err(crate::model::Error::from)?.is_finite() {
        return Err(Error::invalid(
            format!("{at}.data"),
            "not all numbers are finite",
        ));
    }
    Ok(tensor)
}

/// The targets of a capture.
pub(super) fn captures(list: &[v1::CaptureTarget]) -> Result<Vec<CaptureTarget>, Error> {
    use v1::Reduction;
    if !(1..=MAX_TARGETS).contains(&list.len()) {
        return Err(Error::invalid(
            "targets",
            format!("{} given; 1 to {MAX_TARGETS} are taken", list.len()),
        ));
    }
    let one = |(i, message): (usize, &v1::CaptureTarget)| {
        let at = format!("targets[{i}]");
        let reduce = match Reduction::try_from(message.reduction) {
            Ok(Reduction::Unspecified | Reduction::None) => Reduce::None,
            Ok(Reduction::Mean) => Reduce::Mean,
            Ok(Reduction::Norm) => Reduce::Norm,
            Ok(Reduction::Last) => Reduce::Last,
            Ok(Reduction::TopTokens) => Reduce::TopTokens(message.top as usize),
            Ok(Reduction::Received) => Reduce::Received,
            Err(_) => {
                let valid = ["REDUCTION_NONE, _MEAN, _NORM, _LAST, _TOP_TOKENS, _RECEIVED, 1 to 6"];
                return Err(unknown(
                    format!("{at}.reduction"),
                    message.reduction,
                    &valid,
                ));
            }
        };
        let target = target(&format!("{at}.target"), message.target.as_ref())?;
        if message.keep && (reduce != Reduce::None || target.steps.last > 0) {
            let message =
                "needs REDUCTION_NONE and steps {last: 0}: what is kept are rows of the prompt";
            return Err(Error::invalid(format!("{at}.keep"), message));
        }
        Ok(CaptureTarget { target, reduce })
    };
    list.iter().enumerate().map(one).collect()
}
