//! Converts `ExitEarly` messages.

use crate::api::convert::FromWire;
use crate::api::convert::values::stack;
use crate::api::{Error, v1};
use crate::intervention::{ExitEarly, Seeds};

impl FromWire<v1::ExitEarly> for ExitEarly {
    fn from_wire(message: &mut v1::ExitEarly, path: &str, _seeds: Seeds) -> Result<Self, Error> {
        Ok(Self {
            stack: stack(path, message.stack)?,
            layer: message.layer,
        })
    }
}
