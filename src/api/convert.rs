//! Messages to the server's own types and back, with every enum number and every absent oneof checked.

use super::{Error, v1};
use crate::intervention::{
    Amount, Choice, DropLayers, Fill, Intervention, OccludePatches, Order, PermuteTokens, Scope, SwapProjector,
};
use crate::nn::Stack;

/// Interventions of one request.
const MAX_INTERVENTIONS: usize = 64;

/// The interventions of a request.
pub(super) fn interventions(list: &[v1::Intervention]) -> Result<Vec<Intervention>, Error> {
    if list.len() > MAX_INTERVENTIONS {
        let message = format!("{} interventions; at most {MAX_INTERVENTIONS} are taken", list.len());
        return Err(Error::invalid("interventions", message));
    }
    list.iter().enumerate().map(|(i, message)| intervention(&format!("interventions[{i}]"), message)).collect()
}

fn intervention(at: &str, message: &v1::Intervention) -> Result<Intervention, Error> {
    use v1::intervention::Kind;
    match &message.kind {
        None => Err(Error::invalid(
            format!("{at}.kind"),
            format!("unset; one of {} is needed", crate::intervention::NAMES.join(", ")),
        )),
        Some(Kind::PermuteTokens(p)) => {
            permute_tokens(&format!("{at}.permute_tokens"), p).map(Intervention::PermuteTokens)
        }
        Some(Kind::OccludePatches(o)) => {
            occlude_patches(&format!("{at}.occlude_patches"), o).map(Intervention::OccludePatches)
        }
        Some(Kind::DropLayers(d)) => drop_layers(&format!("{at}.drop_layers"), d).map(Intervention::DropLayers),
        Some(Kind::SwapProjector(s)) => {
            swap_projector(&format!("{at}.swap_projector"), s).map(Intervention::SwapProjector)
        }
    }
}

/// An enum number that the contract does not have.
fn unknown(field: String, number: i32, valid: &[&str]) -> Error {
    Error::invalid(field, format!("unknown number {number}; valid: {}", valid.join(", ")))
}

fn permute_tokens(at: &str, message: &v1::PermuteTokens) -> Result<PermuteTokens, Error> {
    use v1::permute_tokens::{Scope as Number, Source};
    let scope = match Number::try_from(message.scope) {
        Ok(Number::Unspecified | Number::All) => Scope::All,
        Ok(Number::WithinTiles) => Scope::WithinTiles,
        Ok(Number::BaseView) => Scope::BaseView,
        Ok(Number::WithinBlocks) => Scope::WithinBlocks(message.blocks as usize),
        Err(_) => {
            let valid = ["SCOPE_ALL", "SCOPE_WITHIN_TILES", "SCOPE_BASE_VIEW", "SCOPE_WITHIN_BLOCKS"];
            return Err(unknown(format!("{at}.scope"), message.scope, &valid));
        }
    };
    let order = match &message.source {
        None => Order::Seed(None),
        Some(Source::Seed(seed)) => Order::Seed(Some(*seed)),
        Some(Source::Order(order)) => Order::Given(order.indices.clone()),
    };
    Ok(PermuteTokens { order, scope })
}

fn occlude_patches(at: &str, message: &v1::OccludePatches) -> Result<OccludePatches, Error> {
    use v1::occlude_patches::{Choice as Arm, Fill as Number};
    let fill = match Number::try_from(message.fill) {
        Ok(Number::Unspecified | Number::Black) => Fill::Black,
        Ok(Number::Mean) => Fill::Mean,
        Ok(Number::Noise) => Fill::Noise,
        Err(_) => {
            return Err(unknown(format!("{at}.fill"), message.fill, &["FILL_BLACK", "FILL_MEAN", "FILL_NOISE"]));
        }
    };
    let amount = |name: &str, patches: &v1::SalientPatches| match patches.amount {
        Some(v1::salient_patches::Amount::Mass(mass)) => Ok(Amount::Mass(mass)),
        Some(v1::salient_patches::Amount::Share(share)) => Ok(Amount::Share(share)),
        None => Err(Error::invalid(format!("{at}.{name}.amount"), "unset; mass or share is needed")),
    };
    let choice = match &message.choice {
        Some(Arm::Random(r)) => Choice::Random { ratio: r.ratio, seed: r.seed },
        Some(Arm::Salient(s)) => Choice::Salient(amount("salient", s)?),
        Some(Arm::NonSalient(s)) => Choice::NonSalient(amount("non_salient", s)?),
        Some(Arm::Indices(i)) => Choice::Indices(i.indices.clone()),
        None => {
            let message = "unset; one of random, salient, non_salient, indices is needed";
            return Err(Error::invalid(format!("{at}.choice"), message));
        }
    };
    Ok(OccludePatches { choice, grid: message.grid as usize, fill, fill_seed: message.fill_seed })
}

fn drop_layers(at: &str, message: &v1::DropLayers) -> Result<DropLayers, Error> {
    let stack = match v1::Stack::try_from(message.stack) {
        Ok(v1::Stack::Unspecified | v1::Stack::LanguageModel) => Stack::LanguageModel,
        Ok(v1::Stack::VisionTower) => Stack::VisionTower,
        Err(_) => {
            return Err(unknown(format!("{at}.stack"), message.stack, &["STACK_VISION_TOWER", "STACK_LANGUAGE_MODEL"]));
        }
    };
    Ok(DropLayers { stack, layers: message.layers.clone() })
}

fn swap_projector(at: &str, message: &v1::SwapProjector) -> Result<SwapProjector, Error> {
    use v1::swap_projector::Source;
    match &message.source {
        Some(Source::Name(name)) => Ok(SwapProjector::Named(name.clone())),
        Some(Source::RandomSeed(seed)) => Ok(SwapProjector::Random(*seed)),
        Some(Source::Identity(_)) => Ok(SwapProjector::Identity),
        None => {
            let message = "unset; one of name, random_seed, identity is needed";
            Err(Error::invalid(format!("{at}.source"), message))
        }
    }
}

/// The messages of a request with the seeds that the server drew for it.
pub(super) fn with_seeds(messages: &[v1::Intervention], drawn: &[Intervention]) -> Vec<v1::Intervention> {
    use v1::intervention::Kind;
    let mut messages = messages.to_vec();
    for (message, drawn) in messages.iter_mut().zip(drawn) {
        match (&mut message.kind, drawn) {
            (
                Some(Kind::PermuteTokens(p)),
                Intervention::PermuteTokens(PermuteTokens { order: Order::Seed(Some(seed)), .. }),
            ) => {
                p.source = Some(v1::permute_tokens::Source::Seed(*seed));
            }
            (Some(Kind::OccludePatches(o)), Intervention::OccludePatches(drawn)) => {
                o.fill_seed = drawn.fill_seed;
                if let (Some(v1::occlude_patches::Choice::Random(r)), Choice::Random { seed, .. }) =
                    (&mut o.choice, &drawn.choice)
                {
                    r.seed = *seed;
                }
            }
            _ => {}
        }
    }
    messages
}
