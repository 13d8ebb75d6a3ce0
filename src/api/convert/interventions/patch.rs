//! Converts `Patch` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::target;
use crate::api::convert::values::{tensor, unset};
use crate::api::{Error, v1};
use crate::intervention::{Patch, PatchSource, Seeds};

impl FromWire<v1::Patch> for Patch {
    fn from_wire(message: &mut v1::Patch, path: &str, seeds: Seeds) -> Result<Self, Error> {
        use v1::patch::Source;
        let source = match &message.source {
            Some(Source::Values(values)) => {
                PatchSource::Inline(tensor(&format!("{path}.values"), values)?)
            }
            Some(Source::Handle(handle)) => PatchSource::Handle(handle.clone()),
            None => return Err(unset(&format!("{path}.source"), "values, handle")),
        };
        Ok(Self {
            target: target(&format!("{path}.target"), message.target.as_mut(), seeds)?,
            source,
        })
    }
}
