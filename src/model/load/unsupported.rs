//! Names the true reason why a checkpoint is not read, from file names and config.json alone:
//! before its tower is looked for, and before gigabytes are fetched.

use serde_json::Value;

use super::config::Config;
use super::original;
use super::source::{Source, is_original, quantization};
use crate::model::error::Error;
use crate::model::families::FAMILIES;

/// Use of a folder or repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A vision-language model.
    Model,
    /// The base of an adapter: a vision-language model, or a language model where the
    /// adapter brings the rest.
    Base,
    /// A tower, a saliency model, CLIP, an adapter.
    Part,
}

/// Returns config.json of the model in `source`, which is one that can be read as far as names and
/// config.json tell.
pub(super) fn config(source: &Source) -> Result<Value, Error> {
    let names = source.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check_names(
        &names,
        &source.json("adapter_config.json")?.unwrap_or_default(),
        &source.place(),
    )?;
    let config = source
        .json("config.json")?
        .ok_or_else(|| source.missing("config.json"))?;
    check_config(&config, Purpose::Model)?;
    Ok(config)
}

/// Fails on a folder or repository `place` whose files are those of an adapter (of which `adapter`
/// is adapter_config.json) or of a format that is not read.
pub(super) fn check_names(names: &[&str], adapter: &Value, place: &str) -> Result<(), Error> {
    let has = |name: &str| names.contains(&name);
    let ends = |ending: &str| names.iter().any(|n| n.ends_with(ending));
    // A repository may hold GGUF or an adapter beside weights that are read.
    if names.iter().any(|name| is_weights(name)) {
        return Ok(());
    }
    let refuse = |reason| Err(Error::unsupported(place, reason));
    if has("adapter_config.json") {
        let base = adapter["base_model_name_or_path"]
            .as_str()
            .filter(|b| !b.is_empty())
            .unwrap_or("BASE");
        let kind = adapter["peft_type"].as_str().unwrap_or("LORA");
        let kind = if kind == "LORA" {
            "a LoRA adapter"
        } else {
            kind
        };
        return refuse(format!(
            "{kind} of {base}, not a model; \
             --model {base} --adapter {place} merges it onto its base"
        ));
    }
    if ends(".gguf") {
        return refuse(
            "GGUF files are read from this machine: a folder with the language model and its \
             mmproj file, or MODEL.gguf+MMPROJ.gguf"
                .into(),
        );
    }
    if has("mm_projector.bin") {
        let reason = "a projector alone (mm_projector.bin), not a model; \
                      --projector NAME=FILE makes it resident beside a model's own";
        return refuse(reason.into());
    }
    if ends(".pth") || names.iter().any(|n| n.starts_with("consolidated")) {
        let reason = "weights as their authors' own code keeps them (.pth or consolidated.*) \
                      are not read; load the transformers layout";
        return refuse(reason.into());
    }
    Ok(())
}

/// Tells whether a file is of a model's weights, or an index of such.
fn is_weights(name: &str) -> bool {
    (name.starts_with("model") && name.contains(".safetensors"))
        || (name.starts_with("pytorch_model") && name.contains(".bin"))
}

/// Fails where config.json alone says that the model is not read.
pub(super) fn check_config(config: &Value, purpose: Purpose) -> Result<(), Error> {
    quantization(Some(config))?;
    let kind = config["model_type"].as_str().unwrap_or_default();
    if is_original(config) {
        return original::check(config);
    }
    if kind == "internvl_chat" {
        let message = "model_type \"internvl_chat\" is the layout of InternVL's own code, which is \
                       not read; load the same model in transformers' layout, whose repository \
                       ends in -hf";
        return Err(Error::Config(message.into()));
    }
    // The base of an original adapter is a language model, whose config.json is no LLaVA's.
    if purpose == Purpose::Model || FAMILIES.iter().any(|f| f.model_type() == kind) {
        Config::parse(config.clone())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Purpose, check_config, check_names};

    #[test]
    fn quantised_weights_are_named() {
        let fp8 = json!({"model_type": "llava", "quantization_config": {"quant_method": "fp8"}});
        let error = check_config(&fp8, Purpose::Part).unwrap_err().to_string();
        let says = "config.json: quantization_config: fp8 weights are not read";
        assert!(error.starts_with(says), "{error}");
        let none = json!({"model_type": "clip", "quantization_config": null});
        assert!(check_config(&none, Purpose::Part).is_ok());
    }

    #[test]
    fn formats_are_told_by_their_files() {
        let adapter =
            json!({"peft_type": "LORA", "base_model_name_or_path": "llava-hf/llava-1.5-7b-hf"});
        for (names, adapter, says) in [
            (
                &["adapter_config.json", "adapter_model.safetensors"][..],
                adapter,
                "--model llava-hf/llava-1.5-7b-hf --adapter here",
            ),
            (&["README.md", "mmproj-f16.gguf"], Value::Null, "GGUF"),
            (
                &["config.json", "mm_projector.bin"],
                Value::Null,
                "a projector alone",
            ),
            (
                &["params.json", "consolidated.00.pth"],
                Value::Null,
                "consolidated",
            ),
        ] {
            let error = check_names(names, &adapter, "here")
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(
            check_names(
                &["config.json", "model.safetensors", "x.gguf"],
                &Value::Null,
                "here"
            )
            .is_ok()
        );
    }
}
