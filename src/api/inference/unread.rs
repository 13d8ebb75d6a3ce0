//! Fields of interventions that earlier servers took and did not read. A request that has one is
//! refused now; a record that has one means the same run without it.

use serde_json::{Map, Value};

use crate::pipeline::Recorded;

/// Leaves such fields out of a record. Its digest has been taken before.
pub(super) fn leave_out(record: &mut Recorded) {
    for entry in &mut record.plan {
        leave_out_of(entry);
    }
    // What is no JSON is refused where it is read.
    let mut request: Value = serde_json::from_str(&record.request).unwrap_or_default();
    // Written anew only where one was there: it is compared as a text.
    if leave_out_of(&mut request) {
        record.request = request.to_string();
    }
}

/// Leaves such fields out of all interventions in `value`; tells whether there was one.
fn leave_out_of(value: &mut Value) -> bool {
    let mut found = false;
    match value {
        Value::Array(all) => {
            for inner in all {
                found |= leave_out_of(inner);
            }
        }
        Value::Object(fields) => {
            for (name, inner) in fields {
                if let Value::Object(own) = inner {
                    found |= remove(name, own);
                }
                found |= leave_out_of(inner);
            }
        }
        _ => {}
    }
    found
}

/// Removes what nobody reads from the fields of the message `name`.
fn remove(name: &str, fields: &mut Map<String, Value>) -> bool {
    let is = |field: &str, choice: &str| fields.get(field).is_some_and(|own| own == choice);
    let unread = match name {
        "occludePatches" => vec![
            ("blurSigma", !is("fill", "FILL_BLUR")),
            ("fillSeed", !is("fill", "FILL_NOISE")),
        ],
        "permuteTokens" => vec![("blocks", !is("scope", "SCOPE_WITHIN_BLOCKS"))],
        "salient" | "nonSalient" => vec![("head", fields.contains_key("weights"))],
        _ => Vec::new(),
    };
    let mut found = false;
    for (field, is_unread) in unread {
        found |= is_unread && fields.remove(field).is_some();
    }
    found
}
