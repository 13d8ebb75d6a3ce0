//! Converts `BlankImage` messages.

use crate::api::convert::FromWire;
use crate::api::convert::values::unknown;
use crate::api::{Error, v1};
use crate::intervention::{BlankImage, Fill, Seeds};

impl FromWire<v1::BlankImage> for BlankImage {
    fn from_wire(message: &mut v1::BlankImage, path: &str, _seeds: Seeds) -> Result<Self, Error> {
        use v1::blank_image::{Colour, Fill as Arm};
        let fill = match &message.fill {
            None => Fill::BLACK,
            Some(Arm::Rgb(rgb)) => Fill::Colour([
                channel(path, "red", rgb.red)?,
                channel(path, "green", rgb.green)?,
                channel(path, "blue", rgb.blue)?,
            ]),
            Some(Arm::Colour(number)) => match Colour::try_from(*number) {
                Ok(Colour::Unspecified | Colour::Black) => Fill::BLACK,
                Ok(Colour::White) => Fill::Colour([255; 3]),
                Ok(Colour::Mean) => Fill::Mean,
                Err(_) => {
                    let valid = ["COLOUR_BLACK", "COLOUR_WHITE", "COLOUR_MEAN"];
                    return Err(unknown(format!("{path}.colour"), *number, &valid));
                }
            },
        };
        Ok(Self { fill })
    }
}

fn channel(path: &str, name: &str, value: u32) -> Result<u8, Error> {
    u8::try_from(value).map_err(|_| {
        Error::invalid(
            format!("{path}.rgb.{name}"),
            format!("{value} is not in 0 to 255"),
        )
    })
}
