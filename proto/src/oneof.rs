//! Errors of canonical JSON that are about oneofs; the readers that build.rs makes call them.

use serde::de::Error;

/// Returns the error that `second` comes where the oneof holds `first` already.
pub(crate) fn second_member<E: Error>(first: Option<&str>, second: &'static str, oneof: &str) -> E {
    match first {
        Some(first) if first != second => E::custom(format_args!(
            "`{first}` and `{second}` are both given; `{oneof}` takes one"
        )),
        // The same member twice, as any field would be.
        _ => E::duplicate_field(second),
    }
}
