//! Values of cells: a text in a table, any JSON in a manifest or a Parquet file.

use serde_json::Value;

/// Returns the words of a value: a text as it is, nothing for null, all else as JSON.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the same as [`text_of`], without a copy of a text.
pub(super) fn into_text(value: Value) -> String {
    if let Value::String(text) = value {
        text
    } else {
        text_of(&value)
    }
}

/// Tells whether a value is empty: null, an empty text or list, or an object of empty values. Words
/// such as `nan`, `None` and `N/A` are words.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(object) => object.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
