//! Targets and token selectors.

use super::super::{Error, v1};
use super::from_wire::Seeds;
use super::values::{unknown, unset};
use crate::intervention::{
    Amount, Named, SaliencySource, Salient, Steps, Target, TokenSelector, Tokens,
};

/// Returns a target, which must be set.
pub(super) fn target(
    path: &str,
    message: Option<&mut v1::Target>,
    seeds: Seeds,
) -> Result<Target, Error> {
    let Some(message) = message else {
        return Err(Error::invalid(path, "unset; a hook point is needed"));
    };
    let tokens = message.tokens.as_mut();
    Ok(Target {
        tokens: selector(&format!("{path}.tokens"), tokens, seeds)?,
        point: message.point.clone(),
        layers: message.layers.clone(),
        heads: message.heads.clone(),
        dimensions: message.dimensions.clone(),
        steps: steps(message.steps.as_ref()),
    })
}

/// Returns steps; all of them where they are unset.
pub(super) fn steps(message: Option<&v1::Steps>) -> Steps {
    message.map_or_else(Steps::default, |steps| Steps {
        first: steps.first,
        // Left open it is every step that comes; 0 is the prompt alone.
        last: steps.last.unwrap_or(u32::MAX),
    })
}

/// Returns a selector; all tokens where it is unset.
pub(super) fn selector(
    path: &str,
    message: Option<&mut v1::TokenSelector>,
    seeds: Seeds,
) -> Result<TokenSelector, Error> {
    let mut selector = TokenSelector::default();
    if let Some(message) = message {
        selector.complement = message.complement;
        for (i, set) in message.any_of.iter_mut().enumerate() {
            let set = tokens(&format!("{path}.any_of[{i}]"), set, seeds)?;
            selector.any_of.push(set);
        }
    }
    Ok(selector)
}

fn tokens(path: &str, message: &mut v1::Tokens, seeds: Seeds) -> Result<Tokens, Error> {
    use v1::tokens::Set;
    Ok(match &mut message.set {
        None => {
            let valid = "named, indices, image, turn, tile, blocks, random, salient";
            return Err(unset(&format!("{path}.set"), valid));
        }
        Some(Set::Named(number)) => Tokens::Named(named(path, *number)?),
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
            seed: seeds.fill(&mut random.seed),
        },
        Some(Set::Salient(patches)) => {
            Tokens::Salient(salient(&format!("{path}.salient"), patches)?)
        }
    })
}

fn named(path: &str, number: i32) -> Result<Named, Error> {
    use v1::tokens::Named as Number;
    Ok(match Number::try_from(number) {
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
            return Err(unknown(format!("{path}.named"), number, &valid));
        }
    })
}

/// Returns the most attended patches.
pub(super) fn salient(path: &str, message: &v1::SalientPatches) -> Result<Salient, Error> {
    use v1::salient_patches::{Amount as Share, Source};
    let amount = match message.amount {
        Some(Share::Mass(mass)) => Amount::Mass(mass),
        Some(Share::Share(share)) => Amount::Share(share),
        None => return Err(unset(&format!("{path}.amount"), "mass, share")),
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
