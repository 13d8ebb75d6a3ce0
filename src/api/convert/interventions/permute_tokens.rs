//! Converts `PermuteTokens` messages.

use crate::api::convert::FromWire;
use crate::api::convert::values::{unknown, unread};
use crate::api::{Error, v1};
use crate::intervention::{Order, PermuteTokens, Scope, Seeds};

impl FromWire<v1::PermuteTokens> for PermuteTokens {
    fn from_wire(message: &mut v1::PermuteTokens, path: &str, seeds: Seeds) -> Result<Self, Error> {
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
                return Err(unknown(format!("{path}.scope"), message.scope, &valid));
            }
        };
        if message.blocks > 0 && !matches!(scope, Scope::WithinBlocks(_)) {
            return Err(unread(path, "blocks", "SCOPE_WITHIN_BLOCKS"));
        }
        // A seed that is drawn stands in the message, and so in the record.
        let source = message
            .source
            .get_or_insert_with(|| Source::Seed(seeds.next()));
        let order = match source {
            Source::Seed(seed) => Order::Seed(*seed),
            Source::Order(order) => Order::Given(order.indices.clone()),
        };
        Ok(Self { order, scope })
    }
}
