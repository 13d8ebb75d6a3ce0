//! Targets and token selectors.

use super::super::{Error, v1};
use super::values::{unknown, unread, unset};
use crate::intervention::{
    Amount, MeasuredAmount, MeasuredTokens, Named, SaliencySource, Salient, Seeds, Steps, Target,
    TokenMeasure, TokenSelector, Tokens,
};

/// Sets of one selector: more than a picture has visual tokens, each of which may be a set to pool.
const MAX_SETS: usize = 4096;

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
        // Each is resolved over all tokens, and may ask for rows that are measured before.
        let given = message.any_of.len();
        if given > MAX_SETS {
            let message = format!("{given} sets; at most {MAX_SETS} are taken");
            return Err(Error::invalid(format!("{path}.any_of"), message));
        }
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
            let valid = "named, indices, image, turn, tile, blocks, random, salient, measured";
            return Err(unset(&format!("{path}.set"), valid));
        }
        Some(Set::Named(number)) => Tokens::Named(named(&format!("{path}.named"), *number)?),
        Some(Set::Indices(indices)) => Tokens::Indices(indices.indices.clone()),
        // Numbers of pictures and turns are held against the request when it is compiled.
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
        Some(Set::Measured(tokens)) => {
            Tokens::Measured(measured(&format!("{path}.measured"), tokens)?)
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
            return Err(unknown(path.to_owned(), number, &valid));
        }
    })
}

/// Returns tokens by a number that is measured of each.
fn measured(path: &str, message: &v1::MeasuredTokens) -> Result<MeasuredTokens, Error> {
    use v1::measured_tokens::Amount as Number;
    let amount = match message.amount {
        Some(Number::Share(share)) => MeasuredAmount::Share(share),
        Some(Number::Count(count)) => MeasuredAmount::Count(count),
        Some(Number::AtLeast(bound)) => MeasuredAmount::AtLeast(bound),
        Some(Number::TimesMedian(times)) => MeasuredAmount::TimesMedian(times),
        None => {
            let valid = "share, count, at_least, times_median";
            return Err(unset(&format!("{path}.amount"), valid));
        }
    };
    Ok(MeasuredTokens {
        point: message.point.clone(),
        measure: token_measure(path, message)?,
        amount,
        lowest: message.lowest,
        among: named(&format!("{path}.among"), message.among)?,
        head: message.head,
    })
}

fn token_measure(path: &str, message: &v1::MeasuredTokens) -> Result<TokenMeasure, Error> {
    use v1::measured_tokens::Measure;
    // Unset is told from NAMED_ALL here.
    let looking = match message.looking {
        0 => None,
        number => Some(named(&format!("{path}.looking"), number)?),
    };
    let measure = match Measure::try_from(message.measure) {
        Ok(Measure::Unspecified | Measure::Norm) => TokenMeasure::Norm,
        Ok(Measure::AttentionReceived) => TokenMeasure::Received(looking),
        Ok(Measure::Similarity) => TokenMeasure::Similarity(message.vector.clone()),
        Ok(Measure::LargestValue) => TokenMeasure::LargestValue,
        Err(_) => {
            let valid = ["MEASURE_NORM to MEASURE_LARGEST_VALUE, 1 to 4"];
            return Err(unknown(format!("{path}.measure"), message.measure, &valid));
        }
    };
    if !message.vector.is_empty() && !matches!(measure, TokenMeasure::Similarity(_)) {
        return Err(unread(path, "vector", "MEASURE_SIMILARITY"));
    }
    if message.looking != 0 && !matches!(measure, TokenMeasure::Received(_)) {
        return Err(unread(path, "looking", "MEASURE_ATTENTION_RECEIVED"));
    }
    Ok(measure)
}

/// Returns the most attended patches.
pub(super) fn salient(path: &str, message: &v1::SalientPatches) -> Result<Salient, Error> {
    use v1::salient_patches::{Amount as Share, Source};
    let amount = match message.amount {
        Some(Share::Mass(mass)) => Amount::Mass(mass),
        Some(Share::Share(share)) => Amount::Share(share),
        Some(Share::Count(count)) => Amount::Count(count),
        None => return Err(unset(&format!("{path}.amount"), "mass, share, count")),
    };
    if message.head.is_some() && matches!(message.source, Some(Source::Weights(_))) {
        return Err(unread(path, "head", "attention of a tower or a model"));
    }
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
