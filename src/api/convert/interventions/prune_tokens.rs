//! Converts `PruneTokens` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::selector;
use crate::api::convert::values::unset;
use crate::api::{Error, v1};
use crate::intervention::{Keep, Named, PruneRanking, PruneTokens, Seeds, TokenSelector, Tokens};

impl FromWire<v1::PruneTokens> for PruneTokens {
    fn from_wire(message: &mut v1::PruneTokens, path: &str, seeds: Seeds) -> Result<Self, Error> {
        use v1::prune_tokens::{Amount, Ranking};
        let keep = match message.amount {
            Some(Amount::KeepShare(share)) => Keep::Share(share),
            Some(Amount::KeepCount(count)) => Keep::Count(count),
            None => return Err(unset(&format!("{path}.amount"), "keep_share, keep_count")),
        };
        let ranking = match &mut message.ranking {
            None => by_last_token(),
            // An empty selector would hold all tokens; here it is one that was not filled in.
            Some(Ranking::ReceivedFrom(from)) if *from == v1::TokenSelector::default() => {
                by_last_token()
            }
            Some(Ranking::ReceivedFrom(from)) => {
                let path = format!("{path}.received_from");
                PruneRanking::Received(selector(&path, Some(from), seeds)?)
            }
            Some(Ranking::RandomSeed(seed)) => PruneRanking::Random(*seed),
            Some(Ranking::ClassAttention(true)) => PruneRanking::ClassAttention,
            Some(Ranking::ClassAttention(false)) => {
                return Err(Error::invalid(
                    format!("{path}.class_attention"),
                    "false; leave it out, or say true",
                ));
            }
        };
        Ok(Self {
            layer: message.layer,
            keep,
            ranking,
        })
    }
}

/// Returns the ranking of FastV: the attention that the last token of the prompt pays.
fn by_last_token() -> PruneRanking {
    PruneRanking::Received(TokenSelector {
        any_of: vec![Tokens::Named(Named::Last)],
        complement: false,
    })
}
