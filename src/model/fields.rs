//! Fields of JSON files as what they should be, with errors that name them.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;
use crate::field_path;

/// Fails where the value of `field`, which is empty for a whole file, has no fields.
// Fields that are looked up in anything else are none, and structs of which all fields have
// defaults are read from lists, too.
pub(super) fn check_object(field: &str, value: &Value) -> Result<(), String> {
    let kind = match value {
        Value::Object(_) => return Ok(()),
        Value::Array(_) => "a list",
        Value::Null => "null",
        _ => "one value",
    };
    let colon = if field.is_empty() { "" } else { ": " };
    Err(format!(
        "{field}{colon}{kind}; an object of fields is needed"
    ))
}

/// Deserializes the value of `field`, which is empty for a whole file.
pub(super) fn parse<T: DeserializeOwned>(field: &str, value: &Value) -> Result<T, String> {
    check_object(field, value)?;
    field_path::deserialize(field, value).map_err(|(path, reason)| {
        let colon = if path.is_empty() { "" } else { ": " };
        format!("{path}{colon}{reason}")
    })
}

/// Deserializes the value of `field` of config.json.
pub(super) fn of_config<T: DeserializeOwned>(field: &str, value: &Value) -> Result<T, Error> {
    parse(field, value).map_err(Error::Config)
}
