//! Converts `ProjectOut` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::target;
use crate::api::{Error, v1};
use crate::intervention::{ProjectOut, Seeds};

impl FromWire<v1::ProjectOut> for ProjectOut {
    fn from_wire(message: &mut v1::ProjectOut, path: &str, seeds: Seeds) -> Result<Self, Error> {
        Ok(Self {
            target: target(&format!("{path}.target"), message.target.as_mut(), seeds)?,
            directions: message
                .directions
                .iter()
                .map(|d| d.values.clone())
                .collect(),
        })
    }
}
