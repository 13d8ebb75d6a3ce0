//! Reads bodies field by field: what is not taken is an error that names it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::Error;
use crate::field_path::{self, FieldPath, InvalidField};

/// Fields that change nothing here, whatever they say: they identify the caller to a hosted service
/// or ask it for storage and speed.
const WITHOUT_EFFECT: [&str; 7] = [
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "parallel_tool_calls",
];

/// Holds the fields of an object that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Fields {
    /// Path of the object; empty: the body itself.
    at: FieldPath,
    left: Map<String, Value>,
}

impl Fields {
    /// Parses a body, which has to be an object.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        let value =
            serde_json::from_slice(body).map_err(|e| invalid("body", format!("no JSON: {e}")))?;
        Self::of(FieldPath::default(), value)
    }

    /// Returns the fields of the object at `at`.
    pub(super) fn of(at: FieldPath, value: Value) -> Result<Self, Error> {
        match value {
            Value::Object(left) => Ok(Self { at, left }),
            _ if at.is_empty() => Err(invalid("body", "not an object; one is needed")),
            _ => Err(invalid(at, "not an object; one is needed")),
        }
    }

    fn path(&self, name: &str) -> FieldPath {
        self.at.clone().join(name)
    }

    /// Takes a field; `None` where it is absent or null, which clients send for what they leave
    /// open.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Error> {
        match self.left.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => from_value(&self.path(name), value).map(Some),
        }
    }

    /// Takes a field that has to be there.
    pub(super) fn require<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Error> {
        self.take(name)?
            .ok_or_else(|| invalid(self.path(name), "missing; the request needs it"))
    }

    /// Takes a field that may say nothing but `neutral`, which is what leaving it out means.
    pub(super) fn allow(&mut self, name: &str, neutral: &[Value]) -> Result<(), Error> {
        let Some(value) = self.take::<Value>(name)? else {
            return Ok(());
        };
        // 1 and 1.0 are one number to those who write JSON.
        let same = |a: &Value, b: &Value| a == b || (a.is_number() && a.as_f64() == b.as_f64());
        if neutral.iter().any(|valid| same(valid, &value)) {
            return Ok(());
        }
        let mut ways = vec!["leave it out".to_owned()];
        ways.extend(neutral.iter().map(|value| format!("send {value}")));
        let message = format!("not supported; {}", ways.join(" or "));
        Err(invalid(self.path(name), message))
    }

    /// Fails where a field is left that has been taken by nobody.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        // At the top alone; in a message they are as unknown as any other name.
        if self.at.is_empty() {
            self.left
                .retain(|name, _| !WITHOUT_EFFECT.contains(&name.as_str()));
        }
        // Null is a field that was not sent.
        self.left.retain(|_, value| !value.is_null());
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(invalid(self.path(name), "not supported by this server")),
        }
    }
}

/// Deserializes the value of `field`; the error names the place inside it.
fn from_value<T: DeserializeOwned>(field: &FieldPath, value: Value) -> Result<T, Error> {
    field_path::deserialize(&field.to_string(), &value)
        .map_err(|(path, message)| invalid(path, message))
}

/// Says that the value of `field` is invalid because of `message`.
pub(super) fn invalid(field: impl Into<FieldPath>, message: impl Into<String>) -> Error {
    InvalidField::new(field, message).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(json: &Value) -> Fields {
        Fields::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_nobody_takes_is_named() {
        let mut left = fields(&json!({"a": 1, "user": "me", "b": null, "tools": []}));
        assert_eq!(left.take::<u32>("a").unwrap(), Some(1));
        let error = left.finish().unwrap_err().to_string();
        assert!(error.starts_with("tools"), "{error}");
    }

    #[test]
    fn neutral_values_pass() {
        let mut some = fields(&json!({"n": 1.0, "presence_penalty": 0.5}));
        some.allow("n", &[json!(1)]).unwrap();
        some.allow("absent", &[json!(1)]).unwrap();
        let error = some.allow("presence_penalty", &[json!(0)]).unwrap_err();
        assert!(
            error.to_string().contains("leave it out or send 0"),
            "{error}"
        );
    }

    #[test]
    fn errors_name_the_place() {
        let mut some = fields(&json!({"list": [[1], ["x"]], "n": "x"}));
        let error = some.take::<Vec<Vec<u32>>>("list").unwrap_err().to_string();
        assert!(error.starts_with("list[1][0]"), "{error}");
        let error = some.take::<u32>("n").unwrap_err().to_string();
        assert!(error.starts_with("n: "), "{error}");
        assert!(Fields::parse(b"[]").is_err() && Fields::parse(b"{").is_err());
    }
}
