//! `--json`: what programs read of a command.
//!
//! What an rpc returned is printed in the contract's canonical JSON: one object for a response, one
//! line for each message of a stream. What no rpc returned has names of its own, in the style of
//! the contract, which docs/command-line.md lists.

use serde::Serialize;
use serde_json::Value;

use super::error::Failure;

/// Prints one object on one line, at once.
pub(super) fn print_line(value: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Returns a message of the contract with one more field, which is the command's own.
pub(super) fn with_field(
    message: &impl Serialize,
    name: &str,
    value: impl Into<Value>,
) -> Result<Value, Failure> {
    let mut object = serde_json::to_value(message)?;
    object[name] = value.into();
    Ok(object)
}
