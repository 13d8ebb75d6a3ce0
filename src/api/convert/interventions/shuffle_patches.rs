//! Converts `ShufflePatches` messages.

use crate::api::convert::FromWire;
use crate::api::{Error, v1};
use crate::intervention::{Order, Seeds, ShufflePatches};

impl FromWire<v1::ShufflePatches> for ShufflePatches {
    fn from_wire(
        message: &mut v1::ShufflePatches,
        _path: &str,
        seeds: Seeds,
    ) -> Result<Self, Error> {
        use v1::shuffle_patches::Source;
        // A seed that is drawn stands in the message, and so in the record.
        let source = message
            .source
            .get_or_insert_with(|| Source::Seed(seeds.next()));
        let order = match source {
            Source::Seed(seed) => Order::Seed(*seed),
            Source::Order(order) => Order::Given(order.indices.clone()),
        };
        Ok(Self {
            grid: message.grid as usize,
            order,
        })
    }
}
