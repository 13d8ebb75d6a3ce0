//! Converts `Ablate` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::target;
use crate::api::convert::values::is_mean;
use crate::api::{Error, v1};
use crate::intervention::{Ablate, Seeds};

impl FromWire<v1::Ablate> for Ablate {
    fn from_wire(message: &mut v1::Ablate, path: &str, seeds: Seeds) -> Result<Self, Error> {
        Ok(Self {
            target: target(&format!("{path}.target"), message.target.as_mut(), seeds)?,
            mean: is_mean(&format!("{path}.value"), message.value)?,
        })
    }
}
