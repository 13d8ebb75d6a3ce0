//! Interventions, one file a kind, by the table of the contract: a kind that has no file here does
//! not build.

use super::super::{Error, v1};
use super::FromWire;
use super::values::unset;
use crate::field_path::FieldPath;
use crate::intervention::{self, Intervention, Seeds};
use crate::pipeline::{Interventions, MAX_INTERVENTIONS};

/// Converts the interventions of a request. Seeds that it leaves open are drawn here, and written
/// into the messages, whose canonical JSON is the record.
pub(in crate::api) fn request_interventions(
    list: &mut [v1::Intervention],
) -> Result<Interventions, Error> {
    let mut found = Interventions::default();
    let converted = interventions(list, Seeds::Drawn)?;
    // One for each message, in their order.
    for (intervention, message) in converted.into_iter().zip(list) {
        let canonical = serde_json::to_value(message).map_err(Error::fault)?;
        found.push(intervention, canonical);
    }
    Ok(found)
}

/// Converts interventions in canonical JSON, one an element, as those of a request.
pub fn drawn_interventions(list: Vec<serde_json::Value>) -> Result<Interventions, Error> {
    let mut messages = Vec::with_capacity(list.len());
    for (i, json) in list.into_iter().enumerate() {
        let at = FieldPath::from("interventions").index(i);
        let message: v1::Intervention =
            serde_json::from_value(json).map_err(|e| Error::invalid(at, e.to_string()))?;
        messages.push(message);
    }
    request_interventions(&mut messages)
}

/// Returns the interventions of a list in canonical JSON; seeds that it leaves open are 0.
pub fn interventions_from_json(json: &serde_json::Value) -> Result<Vec<Intervention>, String> {
    let mut list: Vec<v1::Intervention> =
        serde_json::from_value(json.clone()).map_err(|e| e.to_string())?;
    interventions(&mut list, Seeds::Zero).map_err(|e| e.to_string())
}

/// Converts a list, and fills in the seeds that it leaves open.
fn interventions(list: &mut [v1::Intervention], seeds: Seeds) -> Result<Vec<Intervention>, Error> {
    if list.len() > MAX_INTERVENTIONS {
        let message = format!(
            "{} interventions; at most {MAX_INTERVENTIONS} are taken",
            list.len()
        );
        return Err(Error::invalid("interventions", message));
    }
    list.iter_mut()
        .enumerate()
        .map(|(i, message)| Intervention::from_wire(message, &format!("interventions[{i}]"), seeds))
        .collect()
}

/// Makes the modules and the dispatch from the table.
macro_rules! conversions {
    ($($kind:ident $name:ident,)*) => {
        $(mod $name;)*

        impl FromWire<v1::Intervention> for Intervention {
            fn from_wire(
                message: &mut v1::Intervention,
                path: &str,
                seeds: Seeds,
            ) -> Result<Self, Error> {
                use v1::intervention::Kind;
                match &mut message.kind {
                    None => {
                        let valid = intervention::NAMES.join(", ");
                        Err(unset(&format!("{path}.kind"), &valid))
                    }
                    // The path has the kind's name, as the field of the oneof is spelled.
                    $(Some(Kind::$kind(message)) => {
                        let path = format!(concat!("{}.", stringify!($name)), path);
                        Ok(Self::$kind(FromWire::from_wire(message, &path, seeds)?))
                    })*
                }
            }
        }
    };
}

scotoma_proto::for_each_intervention!(conversions);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::interventions_from_json;

    #[test]
    fn what_nobody_reads_is_refused_by_name() {
        let weights = json!({"share": 0.5, "head": 1, "weights": {"weights": [1.0]}});
        let random = json!({"ratio": 0.5});
        for (one, field) in [
            (
                json!({"occludePatches": {"random": random, "blurSigma": 2}}),
                "occlude_patches.blur_sigma",
            ),
            (
                json!({"occludePatches": {"random": random, "fill": "FILL_BLUR", "fillSeed": "1"}}),
                "occlude_patches.fill_seed",
            ),
            (
                json!({"permuteTokens": {"blocks": 2}}),
                "permute_tokens.blocks",
            ),
            (
                json!({"occludePatches": {"nonSalient": weights}}),
                "occlude_patches.non_salient.head",
            ),
            (
                json!({"selectTokens": {"tokens": {"anyOf": [{"salient": weights}]}}}),
                "select_tokens.tokens.any_of[0].salient.head",
            ),
            (
                json!({"selectTokens": {"merge": {"count": 2}}}),
                "select_tokens.merge",
            ),
        ] {
            let error = interventions_from_json(&json!([one])).unwrap_err();
            let said = format!("interventions[0].{field}: ");
            assert!(error.starts_with(&said), "{error}");
        }
    }

    #[test]
    fn two_members_of_a_oneof_are_both_named() {
        for (both, said) in [
            (
                json!([{"blankImage": {}, "permuteTokens": {"seed": "1"}}]),
                "`blankImage` and `permuteTokens` are both given; `kind` takes one",
            ),
            (
                json!([{"pruneTokens": {"layer": 1, "keepShare": 0.5, "keepCount": 3}}]),
                // JSON values are sorted by name.
                "`keepCount` and `keepShare` are both given; `amount` takes one",
            ),
        ] {
            let error = interventions_from_json(&both).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let twice = r#"{"permuteTokens": {}, "permuteTokens": {}}"#;
        let error = serde_json::from_str::<super::v1::Intervention>(twice).unwrap_err();
        let said = "duplicate field `permuteTokens`";
        assert!(error.to_string().contains(said), "{error}");
    }
}
