//! Converts `KnockOutAttention` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::{selector, steps};
use crate::api::convert::values::stack;
use crate::api::{Error, v1};
use crate::intervention::{KnockOutAttention, Seeds};

impl FromWire<v1::KnockOutAttention> for KnockOutAttention {
    fn from_wire(
        message: &mut v1::KnockOutAttention,
        path: &str,
        seeds: Seeds,
    ) -> Result<Self, Error> {
        Ok(Self {
            stack: stack(path, message.stack)?,
            layers: message.layers.clone(),
            heads: message.heads.clone(),
            from: selector(&format!("{path}.from"), message.from.as_mut(), seeds)?,
            to: selector(&format!("{path}.to"), message.to.as_mut(), seeds)?,
            steps: steps(message.steps.as_ref()),
        })
    }
}
