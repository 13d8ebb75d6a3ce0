//! Converts `Steer` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::target;
use crate::api::{Error, v1};
use crate::intervention::{Seeds, Steer};

impl FromWire<v1::Steer> for Steer {
    fn from_wire(message: &mut v1::Steer, path: &str, seeds: Seeds) -> Result<Self, Error> {
        Ok(Self {
            target: target(&format!("{path}.target"), message.target.as_mut(), seeds)?,
            vector: message.vector.clone(),
            scale: message.scale,
        })
    }
}
