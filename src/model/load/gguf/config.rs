//! config.json and preprocessor_config.json by the keys of GGUF files.

use serde_json::{Value, json};

use super::vocabulary::Vocabulary;
use crate::model::error::Error;
use crate::weights::{Changes, Gguf, ROPE_FACTORS};

/// `general.architecture`s with the `model_type`s that they are.
const ARCHITECTURES: [(&str, &str); 4] = [
    // Llama, Vicuna and Mistral.
    ("llama", "llama"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("gemma", "gemma"),
];

/// Pixels along a picture that a tower may take; other sizes are checked where they are used.
const MAX_PIXELS: u64 = 1 << 14;

fn config<T>(message: String) -> Result<T, Error> {
    Err(Error::Config(message))
}

/// A file, and how its keys begin.
struct Keys<'a> {
    file: &'a Gguf,
    prefix: &'a str,
}

impl<'a> Keys<'a> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        Ok(self.file.number(&self.name(key))?)
    }

    /// Returns a number that must be there.
    fn size(&self, key: &str) -> Result<u64, Error> {
        let missing = || self.file.wrong(&self.name(key), "is not there");
        Ok(self.number(key)?.ok_or_else(missing)?)
    }

    fn float(&self, key: &str) -> Result<Option<f64>, Error> {
        Ok(self.file.float(&self.name(key))?)
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, Error> {
        Ok(self.file.text(&self.name(key))?)
    }

    fn triple(&self, key: &str) -> Result<Value, Error> {
        match self.file.floats(&self.name(key))? {
            Some(values) if values.len() == 3 => Ok(json!(values)),
            _ => Err(self.wrong(key, "is not three numbers")),
        }
    }

    /// Returns the error of a key whose value is not read.
    fn wrong(&self, key: &str, reason: &str) -> Error {
        self.file.wrong(&self.name(key), reason).into()
    }
}

/// Returns the architecture with its `model_type`.
fn architecture(language: &Gguf) -> Result<(&'static str, &'static str), Error> {
    let name = language.text("general.architecture")?.unwrap_or_default();
    let known = ARCHITECTURES.into_iter().find(|(known, _)| *known == name);
    known.ok_or_else(|| {
        let all = ARCHITECTURES.map(|(name, _)| name).join(", ");
        let reason = format!("{name:?}; {all} are supported");
        language.wrong("general.architecture", &reason).into()
    })
}

/// Returns what the conversion has changed in a language model's tensors.
pub(super) fn changes(language: &Gguf) -> Result<Changes, Error> {
    let (architecture, _) = architecture(language)?;
    let keys = Keys {
        file: language,
        prefix: architecture,
    };
    let heads = keys.size("attention.head_count")? as usize;
    let key_heads = keys.number("attention.head_count_kv")?;
    let key_heads = key_heads.map_or(heads, |heads| heads as usize);
    Ok(Changes {
        // llama.cpp rotates neighbours for Llama alone, and halves for the others.
        interleaved: (architecture == "llama").then_some((heads, key_heads)),
        norms_plus_one: architecture == "gemma",
    })
}

/// Returns config.json of a language model by itself.
pub(super) fn language(language: &Gguf) -> Result<Value, Error> {
    Ok(json!({
        "text_config": text_config(language)?,
        "tie_word_embeddings": is_tied(language),
    }))
}

/// Tells whether the head is the embedding table.
fn is_tied(language: &Gguf) -> bool {
    language.shape("output.weight").is_none()
}

/// Returns config.json.
pub(super) fn model(
    language: &Gguf,
    tower: &Gguf,
    vocabulary: &Vocabulary<'_>,
) -> Result<Value, Error> {
    let text = text_config(language)?;
    let vision = Keys {
        file: tower,
        prefix: "clip.vision",
    };
    let kind = tower.text("clip.projector_type")?.unwrap_or("mlp");
    if kind != "mlp" {
        let reason = format!("{kind:?}; mlp, LLaVA's projector, is supported");
        return Err(tower.wrong("clip.projector_type", &reason).into());
    }
    check_widths(tower, language, &text)?;
    let rows = text["vocab_size"].as_u64().unwrap_or_default();
    let tiles = tower.integers("clip.vision.image_grid_pinpoints")?;
    let has = |name: &str| tower.shape(name).is_some();
    let layers = vision.size("block_count")?;
    // Which entries of `hidden_states` are read; by default the last, since the tower was cut off
    // behind it.
    let features = tower.integers("clip.vision.feature_layer")?;
    let mut model = json!({
        "model_type": if tiles.is_some() { "llava_next" } else { "llava" },
        "text_config": text,
        "vision_config": vision_config(&vision)?,
        "image_token_index": vocabulary.image_token(rows),
        "vision_feature_layer": features.map_or_else(|| json!(layers), |layers| json!(layers)),
        "vision_feature_select_strategy": if has("v.class_embd") { "default" } else { "full" },
        "projector_hidden_act": "gelu",
        "multimodal_projector_bias": has("mm.0.bias"),
        "tie_word_embeddings": is_tied(language),
    });
    // LLaVA before 1.5 projects by one layer.
    if !has("mm.2.weight") {
        model["projector_layers"] = json!(1);
    }
    if tiles.is_some() {
        // As the original's code reads its config.json, see `original::merge`.
        let merge = vision.text("mm_patch_merge_type")?.unwrap_or("flat");
        model["mm_patch_merge_type"] = json!(merge);
    }
    Ok(model)
}

/// Fails where the projector makes tokens of another width than the language model reads: the files
/// are of two models.
fn check_widths(tower: &Gguf, language: &Gguf, text: &Value) -> Result<(), Error> {
    let width = text["hidden_size"].as_u64().unwrap_or_default();
    let last = ["mm.2.weight", "mm.0.weight"]
        .into_iter()
        .find_map(|name| Some((name, *tower.shape(name)?.first()?)));
    let Some((name, made)) = last.filter(|(_, made)| *made as u64 != width) else {
        return Ok(());
    };
    let reason = format!(
        "makes tokens of {made} numbers, and {} reads tokens of {width}: the files are no pair",
        language.path().display()
    );
    Err(tower.wrong(name, &reason).into())
}

fn text_config(language: &Gguf) -> Result<Value, Error> {
    let (architecture, model_type) = architecture(language)?;
    let keys = Keys {
        file: language,
        prefix: architecture,
    };
    let long = "rope_factors_long.weight";
    if language.shape(long).is_some() {
        let reason = "frequencies of long contexts are not read; load the safetensors checkpoint";
        return Err(language.wrong(long, reason).into());
    }
    let Some([rows, _]) = language.shape("token_embd.weight") else {
        return Err(language.wrong("token_embd.weight", "is no matrix").into());
    };
    let heads = keys.size("attention.head_count")?;
    let (hidden, context) = (keys.size("embedding_length")?, keys.size("context_length")?);
    let width = keys.number("attention.key_length")?;
    check_rest(&keys, context, width.unwrap_or(hidden / heads.max(1)))?;
    let mut text = json!({
        "model_type": model_type,
        "vocab_size": rows,
        "hidden_size": hidden,
        "intermediate_size": keys.size("feed_forward_length")?,
        "num_hidden_layers": keys.size("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": keys.number("attention.head_count_kv")?.unwrap_or(heads),
        "max_position_embeddings": context,
        "rms_norm_eps": keys.float("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
        "rope_theta": keys.float("rope.freq_base")?.unwrap_or(10_000.0),
    });
    if let Some(width) = width {
        text["head_dim"] = json!(width);
    }
    if language.shape("blk.0.attn_q.bias").is_some() {
        text["attention_bias"] = json!(true);
    }
    if let Some(scaling) = rope_scaling(&keys)? {
        text["rope_scaling"] = scaling;
    }
    Ok(text)
}

/// Returns how the rotary embedding is stretched, as Hugging Face writes it.
fn rope_scaling(keys: &Keys<'_>) -> Result<Option<Value>, Error> {
    let kind = keys
        .text("rope.scaling.type")?
        .filter(|kind| *kind != "none");
    match (kind, keys.file.row(ROPE_FACTORS)?) {
        (None, None) => Ok(None),
        // Llama 3.1's, as the conversion has computed them. LongRoPE is the kind that has a factor
        // for each frequency; that for long contexts is the same.
        (None, Some(factors)) => Ok(Some(json!({
            "rope_type": "longrope",
            "factor": 1.0,
            "attention_factor": 1.0,
            "short_factor": factors,
            "long_factor": factors,
        }))),
        (Some(kind @ ("linear" | "yarn")), None) => Ok(Some(json!({
            "rope_type": kind,
            "factor": keys.float("rope.scaling.factor")?,
            "original_max_position_embeddings":
                keys.number("rope.scaling.original_context_length")?,
        }))),
        (Some(kind), None) => {
            let reason = format!("{kind:?}; none, linear and yarn are supported");
            Err(keys.wrong("rope.scaling.type", &reason))
        }
        (Some(kind), Some(_)) => {
            let reason = format!("{kind:?} beside {ROPE_FACTORS}; one of them is supported");
            Err(keys.wrong("rope.scaling.type", &reason))
        }
    }
}

/// Fails on keys that would change the numbers and are not read: `context` is the longest prompt,
/// `width` that of a head.
fn check_rest(keys: &Keys<'_>, context: u64, width: u64) -> Result<(), Error> {
    let window = keys.number("attention.sliding_window")?;
    if let Some(window) = window.filter(|window| (1..context).contains(window)) {
        let reason = format!("{window}; attention to all of the context is supported");
        return Err(keys.wrong("attention.sliding_window", &reason));
    }
    let turned = keys.number("rope.dimension_count")?;
    if let Some(turned) = turned.filter(|turned| *turned != width) {
        let reason = format!("{turned}; all {width} numbers of a head are turned");
        return Err(keys.wrong("rope.dimension_count", &reason));
    }
    let factor = keys.float("rope.scaling.attn_factor")?;
    if let Some(factor) = factor.filter(|factor| *factor != 1.0) {
        let reason = format!("{factor}; 1 is supported");
        return Err(keys.wrong("rope.scaling.attn_factor", &reason));
    }
    Ok(())
}

fn vision_config(keys: &Keys<'_>) -> Result<Value, Error> {
    let flag = |key: &str| -> Result<bool, Error> { Ok(keys.file.flag(key)? == Some(true)) };
    let activation = match (flag("clip.use_gelu")?, flag("clip.use_silu")?) {
        (true, false) => "gelu",
        (false, true) => "silu",
        // llama.cpp's tower has CLIP's activation unless a key says otherwise.
        (false, false) => "quick_gelu",
        (true, true) => return config("clip.use_gelu and clip.use_silu are both true".into()),
    };
    let is_siglip = is_siglip(keys.file);
    Ok(json!({
        "model_type": if is_siglip { "siglip_vision_model" } else { "clip_vision_model" },
        "hidden_size": keys.size("embedding_length")?,
        "intermediate_size": keys.size("feed_forward_length")?,
        "num_hidden_layers": keys.size("block_count")?,
        "num_attention_heads": keys.size("attention.head_count")?,
        "image_size": keys.size("image_size")?,
        "patch_size": keys.size("patch_size")?,
        // llama.cpp has one function for both kinds of GELU, the tanh that SigLIP was trained with.
        "hidden_act": match activation {
            "gelu" if is_siglip => "gelu_pytorch_tanh",
            other => other,
        },
        "layer_norm_eps": keys.float("attention.layer_norm_epsilon")?.unwrap_or(1e-5),
    }))
}

/// Tells whether the tower is SigLIP, which has no class token and no norm before its layers.
fn is_siglip(tower: &Gguf) -> bool {
    tower.shape("v.class_embd").is_none() && tower.shape("v.pre_ln.weight").is_none()
}

/// Returns preprocessor_config.json.
pub(super) fn processor(tower: &Gguf) -> Result<Value, Error> {
    let keys = Keys {
        file: tower,
        prefix: "clip.vision",
    };
    let side = keys.size("image_size")?;
    if !(1..=MAX_PIXELS).contains(&side) {
        return config(format!(
            "clip.vision.image_size {side}; 1 to {MAX_PIXELS} is valid"
        ));
    }
    let (mean, deviation) = (keys.triple("image_mean")?, keys.triple("image_std")?);
    let ratio = keys.text("image_aspect_ratio")?;
    let mut processor = json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": true,
        "size": { "shortest_edge": side },
        "do_center_crop": true,
        "crop_size": { "height": side, "width": side },
        "resample": 3,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": mean,
        "image_std": deviation,
        "do_convert_rgb": true,
        // As LLaVA-1.5 was trained; its files do not say it.
        "do_pad": ratio.unwrap_or("pad") == "pad",
    });
    if is_siglip(tower) {
        processor["image_processor_type"] = json!("SiglipImageProcessor");
        processor["size"] = json!({ "height": side, "width": side });
    }
    if let Some(pinpoints) = tower.integers("clip.vision.image_grid_pinpoints")? {
        if pinpoints.len() % 2 == 1 {
            let reason = "is not pairs of a width and a height";
            return Err(tower
                .wrong("clip.vision.image_grid_pinpoints", reason)
                .into());
        }
        // The original LLaVA, whose list this is, puts the width first.
        let pairs = pinpoints
            .chunks_exact(2)
            .map(|pair| json!([pair[1], pair[0]]));
        processor["image_grid_pinpoints"] = pairs.collect();
        processor["do_pad"] = json!(false);
    }
    Ok(processor)
}
