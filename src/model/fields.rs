//! Fields of JSON files as what they should be, with errors that name them.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;
use crate::field_path;

/// Deserializes the value of `field`, which is empty for a whole file.
pub(super) fn parse<T: DeserializeOwned>(field: &str, value: &Value) -> Result<T, String> {
    field_path::deserialize(field, value).map_err(|(path, reason)| {
        let colon = if path.is_empty() { "" } else { ": " };
        format!("{path}{colon}{reason}")
    })
}

/// Deserializes the value of `field` of config.json.
pub(super) fn of_config<T: DeserializeOwned>(field: &str, value: &Value) -> Result<T, Error> {
    parse(field, value).map_err(Error::Config)
}
