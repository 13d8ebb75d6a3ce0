//! Folders of the original LLaVA repository: a flat config.json, the tower elsewhere, no image
//! token in the vocabulary.
//!
//! The references are `llava/model/llava_arch.py`, `llava/model/builder.py` and
//! `llava/model/multimodal_encoder/` of LLaVA and LLaVA-NeXT.

use serde_json::{Value, json};

use super::config::{MOST_PROJECTOR_LAYERS, most_tiles_of};
use crate::model::error::Error;
use crate::model::text::tokenizer::Text;
use crate::weights::Checkpoint;

/// Fails where config.json alone says that the model is not read.
pub(super) fn check(config: &Value) -> Result<(), Error> {
    decoder(config)?;
    layers(config)?;
    merge(config)?;
    family(config)?;
    if !matches!(
        config["mm_vision_select_feature"].as_str(),
        None | Some("patch" | "cls_patch")
    ) {
        return Err(unsupported(
            config,
            "mm_vision_select_feature",
            "patch or cls_patch",
        ));
    }
    // A tile is laid out as a grid of its patches; the original asserts that there is no other row.
    if family(config)? != "llava" && config["mm_vision_select_feature"] == "cls_patch" {
        return Err(unsupported(
            config,
            "mm_vision_select_feature",
            "patch, where image_aspect_ratio is anyres,",
        ));
    }
    if !config["mm_vision_select_layer"].is_null()
        && config["mm_vision_select_layer"].as_i64().is_none()
    {
        return Err(unsupported(
            config,
            "mm_vision_select_layer",
            "one layer number",
        ));
    }
    if config["mm_vision_tower"].as_str().is_none_or(str::is_empty) {
        return Err(Error::Config(
            "mm_vision_tower is empty; a folder or a hub id is needed".into(),
        ));
    }
    // Not mm_spatial_pool_mode: LLaVA-NeXT pools the frames of videos alone.
    for field in ["s2", "mm_resampler_type"] {
        // It resamples nothing where it says null.
        if !matches!(&config[field], Value::Null | Value::Bool(false)) {
            return Err(unsupported(config, field, "a model without it"));
        }
    }
    Ok(())
}

fn unsupported(config: &Value, field: &str, valid: &str) -> Error {
    Error::Config(format!("{field} {}; {valid} is supported", config[field]))
}

/// Returns Hugging Face's `model_type` of the decoder, by the class in `architectures`, or else by
/// `model_type`.
fn decoder(config: &Value) -> Result<&'static str, Error> {
    let class = config["architectures"][0].as_str();
    let kind = config["model_type"].as_str().unwrap_or_default();
    // The class goes first: lmms-lab's OneVision says `model_type` "llava" and is a Qwen2.
    match (class, kind) {
        (Some("LlavaLlamaForCausalLM"), _) | (None, "llava" | "llava_llama") => Ok("llama"),
        (Some("LlavaMistralForCausalLM"), _) | (None, "llava_mistral") => Ok("mistral"),
        (Some("LlavaQwenForCausalLM"), _) | (None, "llava_qwen") => Ok("qwen2"),
        _ => {
            let valid = "LlavaLlamaForCausalLM, LlavaMistralForCausalLM and LlavaQwenForCausalLM";
            let class = class.map_or_else(String::new, |class| format!(" ({class})"));
            Err(Error::Config(format!(
                "model_type {kind:?}{class}; of the original LLaVA's layout {valid} are supported"
            )))
        }
    }
}

/// Counts the linear layers of the projector: none (identity), one (linear, as models before 1.5
/// have it) or those of mlpNx_gelu.
fn layers(config: &Value) -> Result<usize, Error> {
    match &config["mm_projector_type"] {
        // The original's builder takes an absent field for "linear".
        Value::Null => Ok(1),
        Value::String(kind) if kind == "linear" => Ok(1),
        Value::String(kind) if kind == "identity" => Ok(0),
        Value::String(kind) => {
            let number = kind
                .strip_prefix("mlp")
                .and_then(|k| k.strip_suffix("x_gelu"));
            let layers = number.and_then(|n| n.parse().ok());
            let layers = layers.filter(|n| (1..=MOST_PROJECTOR_LAYERS).contains(n));
            layers.ok_or_else(|| {
                unsupported(
                    config,
                    "mm_projector_type",
                    "linear, mlpNx_gelu with N of 1 to 16, or identity",
                )
            })
        }
        _ => Err(unsupported(
            config,
            "mm_projector_type",
            "linear, mlpNx_gelu or identity",
        )),
    }
}

/// Says how the views of a tiled picture are put together.
fn merge(config: &Value) -> Result<&str, Error> {
    match &config["mm_patch_merge_type"] {
        // `getattr(self.config, "mm_patch_merge_type", "flat")` in llava_arch.py.
        Value::Null => Ok("flat"),
        Value::String(kind) if ["flat", "spatial", "spatial_unpad"].contains(&kind.as_str()) => {
            Ok(kind)
        }
        _ => Err(unsupported(
            config,
            "mm_patch_merge_type",
            "flat, spatial or spatial_unpad",
        )),
    }
}

/// Returns the family that does with pictures what image_aspect_ratio says.
fn family(config: &Value) -> Result<&'static str, Error> {
    match &config["image_aspect_ratio"] {
        // Absent where the tower's own processor does all, as "square" has it.
        Value::Null => Ok("llava"),
        Value::String(ratio) if ["square", "pad"].contains(&ratio.as_str()) => Ok("llava"),
        Value::String(ratio) if ratio == "anyres" => Ok("llava_next"),
        Value::String(ratio) if most_tiles_of(ratio).is_some() => Ok("llava_onevision"),
        _ => Err(unsupported(
            config,
            "image_aspect_ratio",
            "square, pad, anyres or anyres_max_N with N of 1 to 1024",
        )),
    }
}

/// Adds the tokens that the original puts around a picture to the tokenizer, as its builder does.
pub(super) fn add_tokens(config: &Value, text: &mut Text) -> Result<(), Error> {
    if config["mm_use_im_start_end"] != true {
        return Ok(());
    }
    // Absent means true in the original, which adds `<im_patch>` first, and so shifts the ids of
    // the other two.
    let last = text.surround_images(config["mm_use_im_patch_token"] != false)?;
    let rows = config["vocab_size"].as_u64().unwrap_or(32_000);
    if u64::from(last) < rows {
        return Ok(());
    }
    // The original grows the table by random rows there.
    let message = format!(
        "mm_use_im_start_end: <im_start> and <im_end> go up to token {last}, vocab_size is {rows}"
    );
    Err(Error::Config(message))
}

/// Tells whether the tower's config.json is SigLIP's.
fn is_siglip(vision: &Value) -> bool {
    vision["model_type"]
        .as_str()
        .is_some_and(|kind| kind.starts_with("siglip"))
}

/// Returns config.json as Hugging Face would write it; `tower` is that of the tower, `image_token`
/// the id that places a picture. The tensors of `checkpoint` say whether the tower's last layer is
/// there.
pub(super) fn translate(
    config: &Value,
    tower: &Value,
    image_token: u32,
    checkpoint: &Checkpoint,
) -> Result<Value, Error> {
    check(config)?;
    let mut text = config.clone();
    text["model_type"] = json!(decoder(config)?);
    // CLIP's repositories hold the configuration of both towers, others that of the vision tower
    // alone.
    let mut vision = tower.get("vision_config").unwrap_or(tower).clone();
    let siglip = is_siglip(&vision) || (vision["model_type"].is_null() && is_siglip(tower));
    if siglip {
        vision["model_type"] = json!("siglip_vision_model");
    }
    let family = family(config)?;
    if family == "llava_onevision" && !siglip {
        return Err(unsupported(
            config,
            "image_aspect_ratio",
            "square, pad or anyres with a tower that is not SigLIP",
        ));
    }
    // The original deletes SigLIP's last layer, reads the last of the others, and has no class
    // token to drop.
    let layer = if siglip {
        json!(-2)
    } else {
        config
            .get("mm_vision_select_layer")
            .cloned()
            // All scripts of LLaVA train with -2; a file without the field would fail there.
            .unwrap_or(json!(-2))
    };
    // "default" would cost SigLIP a patch, since there is no class token to drop.
    let full =
        siglip || family == "llava_onevision" || config["mm_vision_select_feature"] == "cls_patch";
    let layer = without_last_layer(&mut vision, &layer, checkpoint).unwrap_or(layer);
    let mut out = json!({
        "model_type": family,
        "text_config": text,
        "vision_config": vision,
        "image_token_index": image_token,
        "vision_feature_layer": layer,
        "vision_feature_select_strategy": if full { "full" } else { "default" },
        "tie_word_embeddings": config["tie_word_embeddings"],
    });
    if family == "llava_onevision" {
        out["vision_aspect_ratio"] = config["image_aspect_ratio"].clone();
    }
    if family != "llava" && merge(config)? != "spatial_unpad" {
        out["mm_patch_merge_type"] = json!(merge(config)?);
    }
    if layers(config)? != 2 {
        out["projector_layers"] = json!(layers(config)?);
    }
    Ok(out)
}

/// Takes the last layer, which is not run and which the checkpoint's tower may lack, from `vision`
/// and returns the layer that is read as counted without it.
fn without_last_layer(vision: &mut Value, layer: &Value, checkpoint: &Checkpoint) -> Option<Value> {
    let layers = vision["num_hidden_layers"]
        .as_u64()
        .filter(|n| (2..=1 << 20).contains(n))? as i64;
    let has = |n: i64| checkpoint.has_any(&format!("vision_tower.encoder.layers.{n}."));
    let entry = layer
        .as_i64()
        .map(|l| if l < 0 { l + layers + 1 } else { l })?;
    // Only a checkpoint that lacks exactly the last layer, which moreover is not read. Any other
    // gap stays an error that names the tensor.
    if has(layers - 1) || !has(layers - 2) || entry >= layers {
        return None;
    }
    vision["num_hidden_layers"] = json!(layers - 1);
    Some(json!(entry - layers))
}

/// Returns the image processor: the tower's, told what the model does with the ratio. `side` is
/// that of a tile, in pixels.
pub(super) fn processor(config: &Value, mut tower: Value, side: u64) -> Result<Value, Error> {
    // `expand2square` of the original pads with the mean colour, as `do_pad` does in transformers.
    tower["do_pad"] = json!(config["image_aspect_ratio"] == "pad");
    if family(config)? == "llava" {
        return Ok(tower);
    }
    // The original repository puts the width first.
    let swap = |pinpoints: &[Value]| pinpoints.iter().map(|p| json!([p[1], p[0]])).collect();
    tower["image_grid_pinpoints"] = match &config["image_grid_pinpoints"] {
        Value::Array(pinpoints) => swap(pinpoints),
        Value::String(text) => match (serde_json::from_str(text), grids(text)) {
            // Training writes its argument as it came, a string, which the original reads by
            // `ast.literal_eval`.
            (Ok(Value::Array(pinpoints)), _) => swap(&pinpoints),
            (_, Some(grids)) => grids
                .map(|(width, height)| json!([height * side, width * side]))
                .collect(),
            _ => {
                return Err(unsupported(
                    config,
                    "image_grid_pinpoints",
                    "a list of sizes, or \"(1x1),...,(6x6)\",",
                ));
            }
        },
        _ => {
            return Err(unsupported(
                config,
                "image_grid_pinpoints",
                "a list of sizes",
            ));
        }
    };
    Ok(tower)
}

/// Reads the tiles of a grid such as `2x3`.
fn grid(part: &str) -> Option<(u64, u64)> {
    let (width, height) = part.split_once('x')?;
    // `range` of the original has no bound; a list of 32 x 32 sizes is searched for each picture.
    let number = |n: &str| n.parse().ok().filter(|n| (1..=32).contains(n));
    Some((number(width)?, number(height)?))
}

/// Tiles along and down of all grids between the first and the last of `(1x1),...,(6x6)`.
fn grids(text: &str) -> Option<impl Iterator<Item = (u64, u64)>> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let first = grid(inner.split(')').next()?)?;
    let last = grid(inner.rsplit('(').next()?)?;
    Some(
        (first.0..=last.0)
            .flat_map(move |width| (first.1..=last.1).map(move |height| (width, height))),
    )
}
