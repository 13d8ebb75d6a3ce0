//! Targets of captures.

use super::super::{Error, v1};
use super::from_wire::Seeds;
use super::target::target;
use super::values::unknown;
use crate::intervention::{CaptureTarget, Reduce};

/// Most targets of one capture.
const MAX_TARGETS: usize = 64;

/// Returns the targets of a capture.
pub(crate) fn captures(
    list: &mut [v1::CaptureTarget],
    seeds: Seeds,
) -> Result<Vec<CaptureTarget>, Error> {
    if !(1..=MAX_TARGETS).contains(&list.len()) {
        return Err(Error::invalid(
            "targets",
            format!("{} given; 1 to {MAX_TARGETS} are taken", list.len()),
        ));
    }
    list.iter_mut()
        .enumerate()
        .map(|(i, message)| capture(&format!("targets[{i}]"), message, seeds))
        .collect()
}

fn capture(
    path: &str,
    message: &mut v1::CaptureTarget,
    seeds: Seeds,
) -> Result<CaptureTarget, Error> {
    let reduce = reduce(path, message)?;
    if message.reduction != v1::Reduction::TopFeatures as i32 {
        let given = [
            ("sae", !message.sae.is_empty()),
            ("prefix", message.prefix > 0),
        ];
        if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
            let message = "is for REDUCTION_TOP_FEATURES alone; leave it out";
            return Err(Error::invalid(format!("{path}.{name}"), message));
        }
    }
    let target = target(&format!("{path}.target"), message.target.as_mut(), seeds)?;
    if message.keep && (reduce != Reduce::None || target.steps.last > 0) {
        let message =
            "needs REDUCTION_NONE and steps {last: 0}: what is kept are rows of the prompt";
        return Err(Error::invalid(format!("{path}.keep"), message));
    }
    Ok(CaptureTarget { target, reduce })
}

fn reduce(path: &str, message: &v1::CaptureTarget) -> Result<Reduce, Error> {
    use v1::Reduction;
    Ok(match Reduction::try_from(message.reduction) {
        Ok(Reduction::Unspecified | Reduction::None) => Reduce::None,
        Ok(Reduction::Mean) => Reduce::Mean,
        Ok(Reduction::Norm) => Reduce::Norm,
        Ok(Reduction::Last) => Reduce::Last,
        Ok(Reduction::TopTokens) => Reduce::TopTokens(message.top as usize),
        Ok(Reduction::Received) => Reduce::Received,
        Ok(Reduction::TopFeatures) => Reduce::TopFeatures {
            sae: message.sae.clone(),
            top: message.top as usize,
            prefix: message.prefix as usize,
        },
        Err(_) => {
            let valid = [
                "REDUCTION_NONE, _MEAN, _NORM, _LAST, _TOP_TOKENS, _RECEIVED, _TOP_FEATURES, 1 to 7",
            ];
            let field = format!("{path}.reduction");
            return Err(unknown(field, message.reduction, &valid));
        }
    })
}
