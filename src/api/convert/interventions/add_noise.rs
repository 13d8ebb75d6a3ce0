//! Converts `AddNoise` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::target;
use crate::api::convert::values::unknown;
use crate::api::{Error, v1};
use crate::intervention::{AddNoise, Geometry, Seeds};

impl FromWire<v1::AddNoise> for AddNoise {
    fn from_wire(message: &mut v1::AddNoise, path: &str, seeds: Seeds) -> Result<Self, Error> {
        use v1::add_noise::Geometry as Number;
        let geometry = match Number::try_from(message.geometry) {
            Ok(Number::Literal) => Geometry::Literal,
            Ok(Number::AbsScaled) => Geometry::AbsScaled,
            Ok(Number::Keskar) => Geometry::Keskar,
            Ok(Number::Additive) => Geometry::Additive,
            Ok(Number::Unspecified | Number::Gaussian) => Geometry::Gaussian,
            Err(_) => {
                let valid =
                    ["GEOMETRY_LITERAL, _ABS_SCALED, _KESKAR, _ADDITIVE, _GAUSSIAN, 1 to 5"];
                let field = format!("{path}.geometry");
                return Err(unknown(field, message.geometry, &valid));
            }
        };
        Ok(Self {
            target: target(&format!("{path}.target"), message.target.as_mut(), seeds)?,
            geometry,
            scale: message.scale,
            random_scale: message.random_scale,
            seed: seeds.fill(&mut message.seed),
        })
    }
}
