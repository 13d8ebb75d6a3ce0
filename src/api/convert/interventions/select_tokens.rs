//! Converts `SelectTokens` messages.

use crate::api::convert::from_wire::{FromWire, Seeds};
use crate::api::convert::target::selector;
use crate::api::convert::values::unknown;
use crate::api::{Error, v1};
use crate::intervention::{Mode, SelectTokens};

impl FromWire<v1::SelectTokens> for SelectTokens {
    fn from_wire(message: &mut v1::SelectTokens, path: &str, seeds: Seeds) -> Result<Self, Error> {
        use v1::select_tokens::{Mode as Number, Positions};
        let mode = match Number::try_from(message.mode) {
            Ok(Number::Unspecified | Number::Keep) => Mode::Keep,
            Ok(Number::Remove) => Mode::Remove,
            Ok(Number::Pool) => Mode::Pool,
            Err(_) => {
                let valid = ["MODE_KEEP", "MODE_REMOVE", "MODE_POOL"];
                return Err(unknown(format!("{path}.mode"), message.mode, &valid));
            }
        };
        let compact = match Positions::try_from(message.positions) {
            Ok(Positions::Unspecified | Positions::Original) => false,
            Ok(Positions::Compact) => true,
            Err(_) => {
                let valid = ["POSITIONS_ORIGINAL", "POSITIONS_COMPACT"];
                let field = format!("{path}.positions");
                return Err(unknown(field, message.positions, &valid));
            }
        };
        Ok(Self {
            tokens: selector(&format!("{path}.tokens"), message.tokens.as_mut(), seeds)?,
            mode,
            compact,
        })
    }
}
