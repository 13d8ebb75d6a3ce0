//! Converts `SelectTokens` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::selector;
use crate::api::convert::values::{unknown, unread, unset};
use crate::api::{Error, v1};
use crate::intervention::{
    Merge, MergeAmount, MergeSimilarity, Mode, PoolValue, Seeds, SelectTokens,
};

impl FromWire<v1::SelectTokens> for SelectTokens {
    fn from_wire(message: &mut v1::SelectTokens, path: &str, seeds: Seeds) -> Result<Self, Error> {
        use v1::select_tokens::{Mode as Number, Positions};
        let mode = match Number::try_from(message.mode) {
            Ok(Number::Unspecified | Number::Keep) => Mode::Keep,
            Ok(Number::Remove) => Mode::Remove,
            Ok(Number::Pool) => Mode::Pool,
            Ok(Number::Merge) => Mode::Merge(merge(path, message.merge.as_ref())?),
            Err(_) => {
                let valid = ["MODE_KEEP", "MODE_REMOVE", "MODE_POOL", "MODE_MERGE"];
                return Err(unknown(format!("{path}.mode"), message.mode, &valid));
            }
        };
        if message.merge.is_some() && !matches!(mode, Mode::Merge(_)) {
            return Err(unread(path, "merge", "MODE_MERGE"));
        }
        let compact = match Positions::try_from(message.positions) {
            Ok(Positions::Unspecified | Positions::Original) => false,
            Ok(Positions::Compact) => true,
            Err(_) => {
                let valid = ["POSITIONS_ORIGINAL", "POSITIONS_COMPACT"];
                let field = format!("{path}.positions");
                return Err(unknown(field, message.positions, &valid));
            }
        };
        Ok(Self {
            tokens: selector(&format!("{path}.tokens"), message.tokens.as_mut(), seeds)?,
            mode,
            compact,
        })
    }
}

fn merge(path: &str, message: Option<&v1::MergeTokens>) -> Result<Merge, Error> {
    use v1::merge_tokens::{Amount, Similarity, Value};
    let Some(message) = message else {
        let why = "unset; MODE_MERGE needs to know how many tokens are left";
        return Err(Error::invalid(format!("{path}.merge"), why));
    };
    let amount = match message.amount {
        Some(Amount::Share(share)) => MergeAmount::Share(share),
        Some(Amount::Count(count)) => MergeAmount::Count(count),
        None => return Err(unset(&format!("{path}.merge.amount"), "share, count")),
    };
    let similarity = match Similarity::try_from(message.similarity) {
        Ok(Similarity::Unspecified | Similarity::Keys) => MergeSimilarity::Keys,
        Ok(Similarity::Tokens) => MergeSimilarity::Tokens,
        Err(_) => {
            let valid = ["SIMILARITY_KEYS", "SIMILARITY_TOKENS"];
            let field = format!("{path}.merge.similarity");
            return Err(unknown(field, message.similarity, &valid));
        }
    };
    let value = match Value::try_from(message.value) {
        Ok(Value::Unspecified | Value::Mean) => PoolValue::Mean,
        Ok(Value::SeedPlusMean) => PoolValue::SeedPlusMean,
        Err(_) => {
            let valid = ["VALUE_MEAN", "VALUE_SEED_PLUS_MEAN"];
            let field = format!("{path}.merge.value");
            return Err(unknown(field, message.value, &valid));
        }
    };
    Ok(Merge {
        amount,
        similarity,
        value,
    })
}
