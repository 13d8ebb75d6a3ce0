//! Targets of captures.

use super::super::{Error, v1};
use super::target::target;
use super::values::unknown;
use crate::intervention::{CaptureTarget, Reduce, Seeds};

/// Most targets of one capture.
const MAX_TARGETS: usize = 64;

/// Returns the targets of a capture.
pub(crate) fn captures(
    list: &mut [v1::CaptureTarget],
    seeds: Seeds,
) -> Result<Vec<CaptureTarget>, Error> {
    // Every target is resolved and captured by itself, so that their number is bounded.
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
    check_used(path, message)?;
    let target = target(&format!("{path}.target"), message.target.as_mut(), seeds)?;
    if message.keep && (reduce != Reduce::None || target.steps.last > 0) {
        let message =
            "needs REDUCTION_NONE and steps {last: 0}: what is kept are rows of the prompt";
        return Err(Error::invalid(format!("{path}.keep"), message));
    }
    Ok(CaptureTarget { target, reduce })
}

/// Fails on a field that the reduction does not read.
fn check_used(path: &str, message: &v1::CaptureTarget) -> Result<(), Error> {
    let (tokens, features) = (v1::Reduction::TopTokens, v1::Reduction::TopFeatures);
    let is = |of: &[v1::Reduction]| of.iter().any(|of| message.reduction == *of as i32);
    let given: [(&str, bool, &[v1::Reduction]); 4] = [
        ("top", message.top > 0, &[tokens, features]),
        ("sae", !message.sae.is_empty(), &[features]),
        ("prefix", message.prefix > 0, &[features]),
        ("lens", !message.lens.is_empty(), &[tokens]),
    ];
    match given.iter().find(|(_, given, by)| *given && !is(by)) {
        None => Ok(()),
        Some((name, _, by)) => {
            let by: Vec<&str> = by.iter().map(v1::Reduction::as_str_name).collect();
            let message = format!("is for {} alone; leave it out", by.join(" and "));
            Err(Error::invalid(format!("{path}.{name}"), message))
        }
    }
}

fn reduce(path: &str, message: &v1::CaptureTarget) -> Result<Reduce, Error> {
    use v1::Reduction;
    Ok(match Reduction::try_from(message.reduction) {
        Ok(Reduction::Unspecified | Reduction::None) => Reduce::None,
        Ok(Reduction::Mean) => Reduce::Mean,
        Ok(Reduction::Norm) => Reduce::Norm,
        Ok(Reduction::Last) => Reduce::Last,
        Ok(Reduction::TopTokens) => Reduce::TopTokens {
            top: message.top as usize,
            lens: message.lens.clone(),
        },
        Ok(Reduction::Received) => Reduce::Received,
        Ok(Reduction::TopFeatures) => Reduce::TopFeatures {
            sae: message.sae.clone(),
            top: message.top as usize,
            prefix: message.prefix as usize,
        },
        Err(_) => {
            let valid = ["REDUCTION_NONE to REDUCTION_TOP_FEATURES, 1 to 7"];
            let field = format!("{path}.reduction");
            return Err(unknown(field, message.reduction, &valid));
        }
    })
}
