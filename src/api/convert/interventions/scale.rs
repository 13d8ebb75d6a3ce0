//! Converts `Scale` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::target;
use crate::api::{Error, v1};
use crate::intervention::{Scale, Seeds};

impl FromWire<v1::Scale> for Scale {
    fn from_wire(message: &mut v1::Scale, path: &str, seeds: Seeds) -> Result<Self, Error> {
        Ok(Self {
            target: target(&format!("{path}.target"), message.target.as_mut(), seeds)?,
            factor: message.factor,
        })
    }
}
