//! Conversations in files, as transformers and OpenAI write them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma_client::image;
use scotoma_client::v1::{ChatMessage, ChatPart, Role};
use serde_json::Value;

/// Reads the messages of a file; relative paths of pictures are relative to it. Errors name the
/// field.
pub(super) fn read(file: &Path) -> Result<Vec<ChatMessage>, String> {
    let fail = |reason: String| format!("--messages {}: {reason}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| fail(e.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    let Value::Array(list) = json else {
        return Err(fail("a list of messages is needed".into()));
    };
    // Empty for a bare name, whose pictures lie beside it in the current folder.
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut messages = Vec::new();
    for (i, value) in list.iter().enumerate() {
        messages.push(message(value, folder).map_err(|e| fail(format!("[{i}]{e}")))?);
    }
    Ok(messages)
}

/// Refuses fields that are not known, which would be ignored.
fn check_fields(value: &Value, known: &[&str]) -> Result<(), String> {
    let Value::Object(fields) = value else {
        return Err(": an object is needed".into());
    };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(other) => Err(format!(".{other}: not known; {} are", known.join(", "))),
    }
}

fn message(value: &Value, folder: &Path) -> Result<ChatMessage, String> {
    check_fields(value, &["role", "content"])?;
    let role = match value["role"].as_str() {
        Some("system") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => {
            return Err(format!(
                ".role: {}; system, user and assistant are known",
                value["role"]
            ));
        }
    };
    let parts = match &value["content"] {
        Value::String(text) => vec![ChatPart::from(text.as_str())],
        Value::Array(parts) => content(parts, folder)?,
        _ => return Err(".content: a text or a list of parts is needed".into()),
    };
    Ok(ChatMessage {
        role: role.into(),
        parts,
    })
}

fn content(parts: &[Value], folder: &Path) -> Result<Vec<ChatPart>, String> {
    parts
        .iter()
        .enumerate()
        .map(|(i, value)| part(value, folder).map_err(|e| format!(".content[{i}]{e}")))
        .collect()
}

fn part(value: &Value, folder: &Path) -> Result<ChatPart, String> {
    match value["type"].as_str() {
        Some("text") => {
            check_fields(value, &["type", "text"])?;
            Ok(value["text"]
                .as_str()
                .ok_or(".text: a text is needed")?
                .into())
        }
        Some("image") => {
            check_fields(value, &["type", "path", "image", "url", "base64"])?;
            let given = ["path", "image", "url", "base64"]
                .into_iter()
                // transformers takes any of these names; two at once would leave one of them
                // unread.
                .filter_map(|f| Some((f, value[f].as_str()?)));
            match given.collect::<Vec<_>>()[..] {
                [("base64", text)] => Ok(image(decoded(text)?).into()),
                [(_, place)] => Ok(image(picture(place, folder)?).into()),
                _ => Err(": one of path, image, url and base64 is needed".into()),
            }
        }
        Some("image_url") => {
            check_fields(value, &["type", "image_url"])?;
            if value["image_url"].is_object() {
                // `detail` has no effect, as in the server's OpenAI API.
                check_fields(&value["image_url"], &["url", "detail"])
                    .map_err(|e| format!(".image_url{e}"))?;
            }
            let url = value["image_url"]["url"]
                .as_str()
                // OpenAI's form is an object, that of transformers a text.
                .or_else(|| value["image_url"].as_str());
            Ok(image(picture(
                url.ok_or(".image_url.url: a text is needed")?,
                folder,
            )?)
            .into())
        }
        _ => Err(format!(
            ".type: {}; text, image and image_url are known",
            value["type"]
        )),
    }
}

/// Reads a picture: a file, or a data URI.
fn picture(place: &str, folder: &Path) -> Result<Vec<u8>, String> {
    if let Some(data) = place.strip_prefix("data:") {
        let (_, text) = data
            .split_once(";base64,")
            .ok_or(": a data URI in base64 is needed")?;
        return decoded(text);
    }
    if place.contains("://") {
        return Err(format!(
            ": {place}: pictures are files or data URIs; fetch it first"
        ));
    }
    let path = folder.join(place);
    std::fs::read(&path).map_err(|e| format!(": {}: {e}", path.display()))
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    // Tools break base64 into lines, which the decoder does not take.
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(text).map_err(|e| format!(": base64: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_picture_are_known_or_refused() {
        let of = |url: Value| {
            let part_of = serde_json::json!({"type": "image_url", "image_url": url});
            part(&part_of, Path::new(""))
        };
        let data = "data:image/png;base64,AAAA";
        of(Value::from(data)).unwrap();
        of(serde_json::json!({"url": data, "detail": "high"})).unwrap();
        let error = of(serde_json::json!({"url": data, "size": 3})).unwrap_err();
        assert_eq!(error, ".image_url.size: not known; url, detail are");
    }
}
