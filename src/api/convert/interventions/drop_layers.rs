//! Converts `DropLayers` messages.

use crate::api::convert::FromWire;
use crate::api::convert::values::stack;
use crate::api::{Error, v1};
use crate::intervention::{DropLayers, Seeds};

impl FromWire<v1::DropLayers> for DropLayers {
    fn from_wire(message: &mut v1::DropLayers, path: &str, _seeds: Seeds) -> Result<Self, Error> {
        Ok(Self {
            stack: stack(path, message.stack)?,
            layers: message.layers.clone(),
        })
    }
}
