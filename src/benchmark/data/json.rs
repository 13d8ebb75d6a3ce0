//! Manifests: one JSON object a line.

use std::io::BufRead;

use super::raw::{Cells, MAX_ROW, RawRow};
use super::unique::UniqueObject;
use crate::benchmark::Error;

/// Reads the object of a manifest's line.
pub fn cells(json: &str) -> Result<Cells, String> {
    object(json.as_bytes())
}

/// Reads the next object of `source` with its line; blank lines are skipped.
pub(super) fn next<R: BufRead>(
    source: &mut R,
    line: &mut usize,
) -> Result<Option<(usize, RawRow)>, Error> {
    loop {
        *line += 1;
        let (mut text, mut too_large) = (Vec::new(), false);
        loop {
            let input = source.fill_buf().map_err(|e| Error {
                line: *line,
                message: e.to_string(),
            })?;
            let end = input.iter().position(|&b| b == b'\n');
            let part = &input[..end.unwrap_or(input.len())];
            // Read on without keeping, so that the next line is found and `--skip-bad` can go on
            // there.
            too_large |= text.len() + part.len() > MAX_ROW;
            if !too_large {
                text.extend_from_slice(part);
            }
            let (read, ended) = (part.len() + usize::from(end.is_some()), input.is_empty());
            source.consume(read);
            if ended && text.is_empty() && !too_large {
                return Ok(None);
            }
            if ended || end.is_some() {
                break;
            }
        }
        if too_large {
            return Ok(Some((
                *line,
                RawRow::Bad(format!("more than {MAX_ROW} bytes")),
            )));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        // As the parser of tables does.
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
        return Ok(Some((
            *line,
            object(text).map_or_else(RawRow::Bad, RawRow::Object),
        )));
    }
}

/// Parses an object. `NaN`, which Python's json.dumps writes for a missing value, is null; a name
/// that stands there twice is an error.
pub(super) fn object(text: &[u8]) -> Result<Cells, String> {
    let first = match serde_json::from_slice::<UniqueObject>(text) {
        Ok(object) => return Ok(object.0),
        Err(error) => error,
    };
    // Only after a failure, since a manifest from anywhere else is JSON and needs no second pass.
    let Some(text) = without_nan(text) else {
        return Err(first.to_string());
    };
    serde_json::from_slice::<UniqueObject>(&text)
        .map(|o| o.0)
        .map_err(|e| e.to_string())
}

/// Replaces every NaN outside of strings by null; `None` if there is none.
fn without_nan(text: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut quoted, mut found, mut at) = (Vec::new(), false, false, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            // The byte behind a backslash may be a quotation mark.
            b'\\' if quoted => {
                out.extend_from_slice(&text[at..text.len().min(at + 2)]);
                at += 2;
                continue;
            }
            b'"' => quoted = !quoted,
            b'N' if !quoted && text[at..].starts_with(b"NaN") => {
                (found, at) = (true, at + 3);
                out.extend_from_slice(b"null");
                continue;
            }
            _ => {}
        }
        out.push(byte);
        at += 1;
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_python_writes_for_nothing_is_null() {
        let read = |text: &str| object(text.as_bytes()).map(Value::Object);
        assert_eq!(
            read(r#"{"a": NaN, "b": "NaN \" NaN", "c": [NaN]}"#),
            Ok(json!({"a": null, "b": "NaN \" NaN", "c": [null]}))
        );
        for text in [
            r#"{"a": Infinity}"#,
            r#"{"a": NaNa}"#,
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": [{"b": 1, "b": 2}]}"#,
            "[1]",
            "NaN",
            r#"{"a\"#,
            r#"{"a": NaN, "\"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
