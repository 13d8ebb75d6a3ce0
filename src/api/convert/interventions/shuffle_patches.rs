//! Converts `ShufflePatches` messages.

use crate::api::convert::from_wire::{FromWire, Seeds};
use crate::api::{Error, v1};
use crate::intervention::{Order, ShufflePatches};

impl FromWire<v1::ShufflePatches> for ShufflePatches {
    fn from_wire(
        message: &mut v1::ShufflePatches,
        _path: &str,
        seeds: Seeds,
    ) -> Result<Self, Error> {
        use v1::shuffle_patches::Source;
        let source = message
            .source
            .get_or_insert_with(|| Source::Seed(seeds.draw()));
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
