//! Finding a model's chat template and special tokens, in the order of transformers 5.17: the
//! processor's files first, then the tokenizer's (`ProcessorMixin.get_processor_dict`,
//! `PreTrainedTokenizerBase._from_pretrained`).

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::error::Error;
use crate::model::load::source::Source;

const FOLDER: &str = "additional_chat_templates";

/// A template's text and the file that it stands in.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) file: PathBuf,
    /// The field of a JSON file.
    pub(super) field: Option<&'static str>,
}

/// Finds the model's own template: `chat_template` of processor_config.json, chat_template.json,
/// chat_template.jinja, additional_chat_templates/default.jinja, `chat_template` of
/// tokenizer_config.json (a text, or the one called "default").
pub(super) fn template(source: &Source) -> Result<Option<Found>, Error> {
    let processor: Value = source.json("processor_config.json")?.unwrap_or_default();
    if let Some(found) = of_json(
        source,
        "processor_config.json",
        &processor["chat_template"],
        false,
    )? {
        return Ok(Some(found));
    }
    let more = source
        .within(FOLDER)
        .names()
        .into_iter()
        .any(|name| name.strip_suffix(".jinja").is_some());
    if let Some(legacy) = source.json::<Value>("chat_template.json")? {
        if more {
            let reason = format!(
                "stands beside {FOLDER}, which transformers refuses; \
                 rename it to chat_template.jinja"
            );
            return Err(source.wrong("chat_template.json", reason));
        }
        // Without the field, or with null, transformers looks no further for its processor.
        if let Some(found) = of_json(
            source,
            "chat_template.json",
            &legacy["chat_template"],
            false,
        )? {
            return Ok(Some(found));
        }
    } else {
        for name in [
            "chat_template.jinja".to_owned(),
            format!("{FOLDER}/default.jinja"),
        ] {
            if let Some(bytes) = source.read(&name)? {
                let text =
                    String::from_utf8(bytes).map_err(|e| source.wrong(&name, e.to_string()))?;
                return Ok(Some(Found {
                    text,
                    file: source.file(&name),
                    field: None,
                }));
            }
        }
        if more {
            // Neither the processor nor the tokenizer has one called "default" then.
            return Ok(None);
        }
    }
    let tokenizer: Value = source.json("tokenizer_config.json")?.unwrap_or_default();
    of_json(
        source,
        "tokenizer_config.json",
        &tokenizer["chat_template"],
        true,
    )
}

/// A text, or the one called "default" of a map or (`lists`) of a list of names and templates.
fn of_json(
    source: &Source,
    name: &str,
    value: &Value,
    lists: bool,
) -> Result<Option<Found>, Error> {
    let found = match value {
        Value::Null => None,
        Value::String(_) => Some(value),
        Value::Object(named) => named.get("default"),
        Value::Array(named) if lists => {
            // transformers makes a dict of the list: of two with one name the last stays.
            let default = named.iter().rfind(|entry| entry["name"] == "default");
            default.map(|entry| &entry["template"])
        }
        _ => return Err(no_template(source, name, lists)),
    };
    match found {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(Found {
            text: text.clone(),
            file: source.file(name),
            field: Some("chat_template"),
        })),
        Some(_) => Err(no_template(source, name, lists)),
    }
}

fn no_template(source: &Source, name: &str, lists: bool) -> Error {
    let valid = if lists {
        "a text, or a list of {name, template}"
    } else {
        "a text, or a map of names to templates"
    };
    source.wrong(name, format!("chat_template: {valid} is needed"))
}

/// A token that is a text, or an object with its `content`.
fn token(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// Returns the special tokens that templates can name: `bos_token` and all others that end in
/// `_token`, and those of `extra_special_tokens` with names. special_tokens_map.json overrides
/// tokenizer_config.json unless that lists `added_tokens_decoder`. What is null is not there.
pub(in crate::model) fn special_tokens(source: &Source) -> Result<Vec<(Arc<str>, String)>, Error> {
    let config: Map<String, Value> = source.json("tokenizer_config.json")?.unwrap_or_default();
    let map: Map<String, Value> = source.json("special_tokens_map.json")?.unwrap_or_default();
    let mut tokens: Vec<(Arc<str>, String)> = Vec::new();
    let overrides = !config.contains_key("added_tokens_decoder");
    for fields in [Some(&config), overrides.then_some(&map)]
        .into_iter()
        .flatten()
    {
        let extra = fields
            .get("extra_special_tokens")
            .and_then(Value::as_object);
        let named = fields.iter().filter(|(name, _)| name.ends_with("_token"));
        for (name, value) in named.chain(extra.into_iter().flatten()) {
            if let Some(text) = token(value) {
                // Of one name the file that is read later wins.
                tokens.retain(|(known, _)| **known != **name);
                tokens.push((name.as_str().into(), text.to_owned()));
            } else if value.is_null() {
                tokens.retain(|(known, _)| **known != **name);
            }
        }
    }
    Ok(tokens)
}

/// Finds the image processor's configuration: `image_processor` of processor_config.json, or
/// preprocessor_config.json, or all of processor_config.json, as `AutoImageProcessor` looks for it.
pub(in crate::model) fn image_processor(source: &Source) -> Result<Value, Error> {
    let processor: Option<Value> = source.json("processor_config.json")?;
    if let Some(nested) = processor
        .as_ref()
        .and_then(|p| p.get("image_processor"))
        .filter(|p| p.is_object())
    {
        return Ok(nested.clone());
    }
    let own = source.json("preprocessor_config.json")?;
    own.or(processor)
        .ok_or_else(|| source.missing("preprocessor_config.json"))
}
