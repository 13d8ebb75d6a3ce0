//! Folders of the original LLaVA repository: a flat config.json, the tower elsewhere, no image token in the vocabulary.

use serde_json::{Value, json};

use super::{Error, Origin, Source};

/// Whether config.json was written by the original repository.
pub(super) fn is_original(config: &Value) -> bool {
    config.get("mm_vision_tower").is_some()
}

/// Where the tower is: a folder, one within the model's, or an id of the hub.
pub(super) fn tower(config: &Value, source: &Source) -> Result<Source, Error> {
    let place = config["mm_vision_tower"].as_str().unwrap_or_default();
    if place.is_empty() {
        return Err(Error::Config("mm_vision_tower is empty; a folder or a hub id is needed".into()));
    }
    let within = source.within(place);
    if within.is_folder() {
        return Ok(within);
    }
    let origin: Origin = place.parse().map_err(|e| Error::Config(format!("mm_vision_tower: {e}")))?;
    origin.fetch(&mut |_, _, _| {})
}

/// config.json as Hugging Face would write it; `tower` is that of the tower, `image_token` the id that places a picture.
pub(super) fn translate(config: &Value, tower: &Value, image_token: u32) -> Result<Value, Error> {
    let unsupported =
        |field: &str, valid: &str| Err(Error::Config(format!("{field} {}; {valid} is supported", config[field])));
    let kind = config["model_type"].as_str().unwrap_or_default();
    let mut text = config.clone();
    text["model_type"] = match kind {
        "llava" | "llava_llama" => json!("llama"),
        "llava_mistral" => json!("mistral"),
        "llava_qwen" => json!("qwen2"),
        _ => return unsupported("model_type", "llava, llava_llama, llava_mistral or llava_qwen"),
    };
    if config["mm_projector_type"] != "mlp2x_gelu" {
        return unsupported("mm_projector_type", "mlp2x_gelu");
    }
    let strategy = match config["mm_vision_select_feature"].as_str() {
        None | Some("patch") => "default",
        Some("cls_patch") => "full",
        Some(_) => return unsupported("mm_vision_select_feature", "patch or cls_patch"),
    };
    let aspect = config["image_aspect_ratio"].as_str().unwrap_or_default();
    let family = match aspect {
        "anyres" => "llava_next",
        other if other.starts_with("anyres_max_") => "llava_onevision",
        _ => "llava",
    };
    let mut out = json!({
        "model_type": family,
        "text_config": text,
        "vision_config": tower.get("vision_config").unwrap_or(tower),
        "image_token_index": image_token,
        "vision_feature_layer": config.get("mm_vision_select_layer").unwrap_or(&json!(-2)),
        "vision_feature_select_strategy": strategy,
        "tie_word_embeddings": config["tie_word_embeddings"],
    });
    if family == "llava_onevision" {
        out["vision_aspect_ratio"] = json!(aspect);
        // SigLIP has no class token to drop.
        out["vision_feature_select_strategy"] = json!("full");
    }
    Ok(out)
}

/// The image processor: the tower's, told what the model does with the ratio.
pub(super) fn processor(config: &Value, mut tower: Value) -> Value {
    tower["do_pad"] = json!(config["image_aspect_ratio"] == "pad");
    if let Some(pinpoints) = config["image_grid_pinpoints"].as_array() {
        // The original repository puts the width first.
        tower["image_grid_pinpoints"] = pinpoints.iter().map(|p| json!([p[1], p[0]])).collect();
    }
    tower
}
