//! Converts `RepeatLayers` messages.

use crate::api::convert::FromWire;
use crate::api::convert::values::stack;
use crate::api::{Error, v1};
use crate::intervention::{RepeatLayers, Seeds};

impl FromWire<v1::RepeatLayers> for RepeatLayers {
    fn from_wire(message: &mut v1::RepeatLayers, path: &str, _seeds: Seeds) -> Result<Self, Error> {
        Ok(Self {
            stack: stack(path, message.stack)?,
            first: message.first,
            last: message.last,
            times: message.times,
        })
    }
}
