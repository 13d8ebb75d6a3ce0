//! Converts `SetFeature` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::target;
use crate::api::convert::values::unset;
use crate::api::{Error, v1};
use crate::intervention::{FeatureChange, Seeds, SetFeature};

impl FromWire<v1::SetFeature> for SetFeature {
    fn from_wire(message: &mut v1::SetFeature, path: &str, seeds: Seeds) -> Result<Self, Error> {
        use v1::set_feature::Change;
        let change = match message.change {
            Some(Change::Clamp(value)) => FeatureChange::Clamp(value),
            Some(Change::Scale(factor)) => FeatureChange::Scale(factor),
            Some(Change::Add(more)) => FeatureChange::Add(more),
            Some(Change::Ablate(_)) => FeatureChange::Ablate,
            None => {
                return Err(unset(
                    &format!("{path}.change"),
                    "clamp, scale, add, ablate",
                ));
            }
        };
        Ok(Self {
            target: target(&format!("{path}.target"), message.target.as_mut(), seeds)?,
            sae: message.sae.clone(),
            features: message.features.clone(),
            change,
        })
    }
}
