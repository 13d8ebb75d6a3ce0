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
        Err(_) => {
            let valid = ["REDUCTION_NONE, _MEAN, _NORM, _LAST, _TOP_TOKENS, _RECEIVED, 1 to 6"];
            let field = format!("{path}.reduction");
            return Err(unknown(field, message.reduction, &valid));
        }
    })
}
