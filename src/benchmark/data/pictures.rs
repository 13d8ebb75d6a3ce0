//! Pictures of cells: bytes, base64 of every kind, the name of a file, the index of an earlier row,
//! an object of these as in Hugging Face's Image feature, or a list.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::literal;

/// Bytes of a file's name; longer texts are base64.
const MAX_NAME: usize = 1024;

/// Letters of the smallest picture.
const MIN_BASE64: usize = 32;

/// Pictures of one item.
const MAX_PICTURES: usize = 1024;

/// Base64 with or without padding, as Python and browsers write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        // Python's `b64decode` lets them pass.
        .with_decode_allow_trailing_bits(true),
);

/// The beginnings of base64 of a PNG, a JPEG, a WebP, a GIF and a TIFF.
const STARTS: [&str; 6] = ["iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD", "SUkqA", "TU0AK"];

const ENDINGS: [&str; 14] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "ppm", "jp2", "avif",
    "heic",
];

/// Reads the pictures that cells name.
pub trait PictureSource {
    /// Reads a file.
    fn file(&mut self, name: &str) -> Result<Vec<u8>, String>;
    /// Returns the picture of an earlier row.
    fn row(&mut self, index: &str) -> Result<Vec<u8>, String>;
}

/// Reads all pictures of one cell.
pub(super) fn read(value: &Value, source: &mut dyn PictureSource) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    collect(value, source, true, &mut found)?;
    Ok(found)
}

/// Adds the pictures of `value`; `outer` allows a list.
fn collect(
    value: &Value,
    source: &mut dyn PictureSource,
    outer: bool,
    found: &mut Vec<Vec<u8>>,
) -> Result<(), String> {
    let picture = match value {
        Value::Null => return Ok(()),
        Value::String(text) if text.trim().is_empty() => return Ok(()),
        Value::String(text) => match literal::parse(text).filter(|_| outer) {
            // Never a text again, so that this comes to an end.
            Some(value) => return collect(&value, source, true, found),
            None => of_text(text, source)?,
        },
        Value::Array(all) if outer && all.len() <= MAX_PICTURES => {
            return collect_list(all, source, found);
        }
        Value::Object(object) => match of_object(object, source)? {
            Some(picture) => picture,
            None => return Ok(()),
        },
        Value::Array(all) if all.len() > MAX_PICTURES => {
            return Err(format!("{} pictures, at most {MAX_PICTURES}", all.len()));
        }
        Value::Array(_) => return Err("a list within a list".into()),
        // As in a table, where all cells are texts.
        Value::Number(number) if number.is_u64() => source.row(&number.to_string())?,
        other => return Err(format!("{other} is no picture")),
    };
    found.push(picture);
    Ok(())
}

/// Adds the pictures of a list, none of which may be missing.
fn collect_list(
    all: &[Value],
    source: &mut dyn PictureSource,
    found: &mut Vec<Vec<u8>>,
) -> Result<(), String> {
    for (i, value) in all.iter().enumerate() {
        let before = found.len();
        collect(value, source, false, found).map_err(|e| format!("picture {}: {e}", i + 1))?;
        // A hole would move the pictures behind it to other places in the prompt.
        if found.len() == before {
            return Err(format!("picture {} of the list is empty", i + 1));
        }
    }
    Ok(())
}

/// Reads the picture of a cell of Hugging Face's datasets; `None` where both of its parts are null.
fn of_object(
    object: &Map<String, Value>,
    source: &mut dyn PictureSource,
) -> Result<Option<Vec<u8>>, String> {
    let part = |name: &str| object.get(name).filter(|v| !v.is_null());
    match (part("bytes"), part("path")) {
        // Bytes before the path: datasets keep the path of the machine that made them.
        (Some(Value::String(bytes)), _) => of_text(bytes, source).map(Some),
        (None, Some(Value::String(path))) => of_text(path, source).map(Some),
        (None, None) if object.contains_key("bytes") || object.contains_key("path") => Ok(None),
        _ => Err("an object of no \"bytes\" and \"path\"".into()),
    }
}

fn of_text(text: &str, source: &mut dyn PictureSource) -> Result<Vec<u8>, String> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("data:") {
        let (kind, data) = rest.split_once(',').ok_or("a data URI without data")?;
        if !kind.ends_with(";base64") {
            return Err(format!("a data URI of {kind:?}, not of base64"));
        }
        return decode(data);
    }
    if text.len() <= MAX_NAME {
        // VLMEvalKit's tables name the row whose picture is the same.
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return source.row(text);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err(format!(
                "{text}: pictures are not fetched; a file or the picture itself is needed"
            ));
        }
        if is_name(text) {
            return source.file(text);
        }
    }
    // A word such as nan is base64, too, and no picture is so small.
    if text.len() < MIN_BASE64 {
        return Err(format!(
            "neither base64 of a picture nor the name of a file: {text:?}"
        ));
    }
    decode(text)
}

/// Tells whether a text is a file's name: base64 has no points.
fn is_name(text: &str) -> bool {
    std::path::Path::new(text).extension().is_some() && !text.ends_with('=')
}

/// Decodes base64: of the usual or the URL's alphabet, in lines or in one, padded or not.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let plain: Vec<u8> = text
        .bytes()
        // MIME's base64 has a line break after 76 letters.
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    BASE64
        .decode(plain)
        .map_err(|e| format!("neither base64 nor the name of a file: {e}"))
}

/// Tells whether a value holds a picture itself, whatever its column is called.
pub(super) fn holds_picture(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let start = text.trim_start_matches(['[', '\'', '"', ' ']);
            start.starts_with("data:image")
                || start.starts_with(literal::BYTES)
                // A length as well, since "/9j/" could begin a path.
                || (text.len() > 64 && STARTS.iter().any(|s| start.starts_with(s)))
        }
        Value::Array(all) => all.iter().any(holds_picture),
        Value::Object(object) => {
            // The two fields of an image in Hugging Face's datasets.
            object.contains_key("bytes") && object.contains_key("path")
                || object.values().any(holds_picture)
        }
        _ => false,
    }
}

/// Tells whether a value is the name of a picture, or a list of such.
pub(super) fn names_picture(value: &Value) -> bool {
    match value {
        Value::String(text) if text.len() > MAX_NAME => false,
        Value::String(text) => {
            let ending =
                std::path::Path::new(text.trim_end_matches(['\'', '"', ']', ' '])).extension();
            let ending = ending.map(|e| e.to_string_lossy().to_ascii_lowercase());
            ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
        }
        Value::Array(all) => !all.is_empty() && all.iter().all(names_picture),
        _ => false,
    }
}

/// Tells whether `other` holds a picture besides that of `value`, or names another one: beside a
/// picture its path may stand, and beside its path the same with folders in front.
pub(super) fn is_another(value: &Value, other: &Value) -> bool {
    if !names_picture(other) {
        return holds_picture(other);
    }
    names_picture(value) && file_name(value) != file_name(other)
}

fn file_name(value: &Value) -> Option<&str> {
    value.as_str()?.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    struct Named;

    impl PictureSource for Named {
        fn file(&mut self, name: &str) -> Result<Vec<u8>, String> {
            Ok(format!("file {name}").into_bytes())
        }

        fn row(&mut self, index: &str) -> Result<Vec<u8>, String> {
            Ok(format!("row {index}").into_bytes())
        }
    }

    #[test]
    fn pictures_are_read_from_every_form() {
        let bytes: Vec<u8> = (0..=255).chain(b"and more of it".iter().copied()).collect();
        let plain = STANDARD.encode(&bytes);
        let lines = plain
            .as_bytes()
            .chunks(76)
            .map(|l| String::from_utf8_lossy(l))
            .collect::<Vec<_>>()
            .join("\r\n");
        let url = plain
            .replace('+', "-")
            .replace('/', "_")
            .trim_end_matches('=')
            .to_owned();
        let uri = format!("data:image/png;base64,{plain}");
        let one = [
            json!(plain),
            json!(lines),
            json!(url),
            json!(uri),
            json!(format!("['{plain}']")),
            json!([plain]),
            json!({"bytes": plain, "path": null}),
            json!({"bytes": uri, "path": "no.png"}),
            json!([{"bytes": plain, "path": null}]),
        ];
        for value in one {
            assert_eq!(read(&value, &mut Named), Ok(vec![bytes.clone()]), "{value}");
        }
        let named = [
            (json!("a/b.png"), vec!["file a/b.png"]),
            (json!({"bytes": null, "path": "c.jpg"}), vec!["file c.jpg"]),
            (
                json!("['a.png', 'b.png']"),
                vec!["file a.png", "file b.png"],
            ),
            (json!("7"), vec!["row 7"]),
            (json!(7), vec!["row 7"]),
            (json!(""), vec![]),
            (json!({"bytes": null, "path": null}), vec![]),
        ];
        for (value, expected) in named {
            let expected: Vec<Vec<u8>> = expected
                .into_iter()
                .map(|e| e.as_bytes().to_vec())
                .collect();
            assert_eq!(read(&value, &mut Named), Ok(expected), "{value}");
        }
        for value in [
            json!("!!"),
            json!("nan"),
            json!("data:image/png,abc"),
            json!("https://example.org/a.png"),
            json!(["a.png", null]),
            json!([["a.png"]]),
            json!({"src": "a.png"}),
            json!([137, 80.5]),
            json!(true),
        ] {
            assert!(read(&value, &mut Named).is_err(), "{value}");
        }
    }
}
