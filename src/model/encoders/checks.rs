//! Fields of configurations that would change arithmetic which is fixed here.

use serde_json::Value;

use crate::model::error::Error;

/// Fields with the only value that is read; absent and null are that value.
const FIXED: [(&str, &str); 4] = [
    ("num_channels", "3"),
    ("attention_bias", "true"),
    ("use_qk_norm", "false"),
    ("use_absolute_position_embeddings", "true"),
];

/// Fields of other architectures, which must not be there.
const FOREIGN: [&str; 8] = [
    "num_key_value_heads",
    "head_dim",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "sliding_window",
    "attn_logit_softcapping",
    "norm_type",
];

/// Fails on fields of `part` of config.json, or of all of it where that is empty, that ask for
/// what is not computed.
pub(super) fn check_fields(part: &str, fields: &Value) -> Result<(), Error> {
    let at = if part.is_empty() {
        String::new()
    } else {
        format!("{part}: ")
    };
    for (name, valid) in FIXED {
        let value = &fields[name];
        let spelled = value.to_string();
        if !value.is_null() && spelled != valid {
            let message = format!("{at}{name} {spelled}; {valid} is supported");
            return Err(Error::Config(message));
        }
    }
    match FOREIGN.iter().find(|name| !fields[**name].is_null()) {
        Some(name) => Err(Error::Config(format!(
            "{at}{name} {}; a model without it is supported",
            fields[*name]
        ))),
        None => Ok(()),
    }
}

/// Puts `defaults` where `fields` has nothing.
pub(super) fn fill(fields: &mut Value, defaults: &[(&str, &str)]) {
    let Some(fields) = fields.as_object_mut() else {
        return;
    };
    for (name, value) in defaults {
        if let Ok(value) = serde_json::from_str(value) {
            fields.entry(*name).or_insert(value);
        }
    }
}
