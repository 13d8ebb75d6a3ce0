//! Converts `ClampNorm` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::target;
use crate::api::{Error, v1};
use crate::intervention::{ClampNorm, Seeds};

impl FromWire<v1::ClampNorm> for ClampNorm {
    fn from_wire(message: &mut v1::ClampNorm, path: &str, seeds: Seeds) -> Result<Self, Error> {
        Ok(Self {
            target: target(&format!("{path}.target"), message.target.as_mut(), seeds)?,
            max_norm: message.max_norm,
        })
    }
}
