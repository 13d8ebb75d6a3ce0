//! Converts `OccludePatches` messages.

use crate::api::convert::FromWire;
use crate::api::convert::target::salient;
use crate::api::convert::values::{unknown, unread, unset};
use crate::api::{Error, v1};
use crate::intervention::{Choice, Fill, OccludePatches, Seeds};

impl FromWire<v1::OccludePatches> for OccludePatches {
    fn from_wire(
        message: &mut v1::OccludePatches,
        path: &str,
        seeds: Seeds,
    ) -> Result<Self, Error> {
        use v1::occlude_patches::{Choice as Arm, Fill as Number};
        let fill = match Number::try_from(message.fill) {
            Ok(Number::Unspecified | Number::Black) => Fill::BLACK,
            Ok(Number::Mean) => Fill::Mean,
            Ok(Number::Noise) => Fill::Noise,
            Ok(Number::Blur) => Fill::Blur(message.blur_sigma),
            Err(_) => {
                let valid = ["FILL_BLACK", "FILL_MEAN", "FILL_NOISE", "FILL_BLUR"];
                return Err(unknown(format!("{path}.fill"), message.fill, &valid));
            }
        };
        if message.blur_sigma != 0.0 && !matches!(fill, Fill::Blur(_)) {
            return Err(unread(path, "blur_sigma", "FILL_BLUR"));
        }
        if message.fill_seed.is_some() && fill != Fill::Noise {
            return Err(unread(path, "fill_seed", "FILL_NOISE"));
        }
        let choice = match &mut message.choice {
            Some(Arm::Random(random)) => Choice::Random {
                ratio: random.ratio,
                seed: seeds.fill(&mut random.seed),
            },
            Some(Arm::Salient(s)) => Choice::Salient(salient(&format!("{path}.salient"), s)?),
            Some(Arm::NonSalient(s)) => {
                Choice::NonSalient(salient(&format!("{path}.non_salient"), s)?)
            }
            Some(Arm::Indices(cells)) => Choice::Indices(cells.indices.clone()),
            None => {
                let valid = "random, salient, non_salient, indices";
                return Err(unset(&format!("{path}.choice"), valid));
            }
        };
        // A seed that nothing is drawn from stays out of the record.
        let fill_seed = if fill == Fill::Noise {
            seeds.fill(&mut message.fill_seed)
        } else {
            0
        };
        Ok(Self {
            choice,
            grid: message.grid as usize,
            fill,
            fill_seed,
        })
    }
}
