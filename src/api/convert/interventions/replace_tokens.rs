//! Converts `ReplaceTokens` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::selector;
use crate::api::convert::values::{is_mean, unset};
use crate::api::{Error, v1};
use crate::intervention::{ReplaceTokens, Replacement, Seeds};

impl FromWire<v1::ReplaceTokens> for ReplaceTokens {
    fn from_wire(message: &mut v1::ReplaceTokens, path: &str, seeds: Seeds) -> Result<Self, Error> {
        use v1::replace_tokens::Source;
        let tokens = selector(&format!("{path}.tokens"), message.tokens.as_mut(), seeds)?;
        let source = match &mut message.source {
            Some(Source::Constant(number)) => {
                if is_mean(&format!("{path}.constant"), *number)? {
                    Replacement::Mean
                } else {
                    Replacement::Zero
                }
            }
            Some(Source::Noise(noise)) => Replacement::Noise(seeds.fill(&mut noise.seed)),
            Some(Source::Donor(donor)) => Replacement::Donor(donor.data.clone()),
            None => return Err(unset(&format!("{path}.source"), "constant, noise, donor")),
        };
        Ok(Self { tokens, source })
    }
}
