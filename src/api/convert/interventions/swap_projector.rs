//! Converts `SwapProjector` messages.

use crate::api::convert::FromWire;
use crate::api::convert::values::unset;
use crate::api::{Error, v1};
use crate::intervention::{Seeds, SwapProjector};

impl FromWire<v1::SwapProjector> for SwapProjector {
    fn from_wire(
        message: &mut v1::SwapProjector,
        path: &str,
        _seeds: Seeds,
    ) -> Result<Self, Error> {
        use v1::swap_projector::Source;
        match &message.source {
            Some(Source::Name(name)) => Ok(Self::Named(name.clone())),
            Some(Source::RandomSeed(seed)) => Ok(Self::Random(*seed)),
            Some(Source::Identity(_)) => Ok(Self::Identity),
            None => Err(unset(
                &format!("{path}.source"),
                "name, random_seed, identity",
            )),
        }
    }
}
