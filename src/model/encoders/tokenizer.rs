//! Texts to the ids that a text tower reads, cut off and padded as its model was trained.
//!
//! Agrees with what `AutoTokenizer` of transformers 5.17 makes of the same files, with
//! `padding="max_length"` for SigLIP; which class that is depends on `tokenizer_class`.

use std::ops::Range;

use serde_json::{Value, json};
use tokenizers::{
    PaddingDirection, PaddingParams, PaddingStrategy, Tokenizer, TruncationDirection,
    TruncationParams,
};

use crate::model::error::Error;
use crate::model::load::source::Source;
use crate::model::text::chat_files::special_tokens;
use crate::model::text::siglip::{self, Canonical};
use crate::model::text::tokenizer::guard;

/// A tokenizer of an encoder.
#[derive(Debug)]
pub(super) struct EncoderTokenizer {
    tokenizer: Tokenizer,
    spelling: Spelling,
}

/// What becomes of a text before the tokenizer reads it.
#[derive(Debug)]
enum Spelling {
    /// Nothing.
    AsItIs,
    /// SigLIP's canonical form.
    Canonical {
        form: Canonical,
        /// Tokens that transformers would cut out of a text before, which is not done here.
        special: Vec<String>,
    },
}

/// The file and how it is read.
struct SiglipFiles {
    /// tokenizer.json.
    json: Vec<u8>,
    spelling: Spelling,
    /// The side of padding, and the token, where no file says them.
    side: &'static str,
    pad: Option<&'static str>,
}

impl EncoderTokenizer {
    /// Reads CLIP's tokenizer.json.
    pub(super) fn of_clip(source: &Source, positions: usize) -> Result<Self, Error> {
        let mut tokenizer = parse(&source.require("tokenizer.json")?)?;
        tokenizer.with_padding(None);
        let cut = truncation(positions, TruncationDirection::Right);
        tokenizer.with_truncation(Some(cut)).map_err(wrong)?;
        Ok(Self {
            tokenizer,
            spelling: Spelling::AsItIs,
        })
    }

    /// Reads SigLIP's spiece.model, or SigLIP 2's tokenizer.json, which is Gemma's.
    pub(super) fn of_siglip(source: &Source, positions: usize) -> Result<Self, Error> {
        let config: Value = source.json("tokenizer_config.json")?.unwrap_or_default();
        let files = siglip_files(source, &config)?;
        let mut tokenizer = parse(&files.json)?;
        let json: Value = serde_json::from_slice(&files.json).unwrap_or_default();
        let said = |name: &str, own: &Value| {
            let value = [&config[name], own].into_iter().find_map(Value::as_str);
            value.map(str::to_owned)
        };
        // The lengths that it was trained with; tokenizers of other models have none.
        let longest = config["model_max_length"].as_f64().unwrap_or(f64::MAX);
        let length = (longest as usize).clamp(1, positions);
        let side = said("padding_side", &json["padding"]["direction"]);
        let left = direction("padding_side", side.as_deref().unwrap_or(files.side))?;
        let mut named = special_tokens(source)?.into_iter();
        let pad = named.find_map(|(name, token)| (&*name == "pad_token").then_some(token));
        let pad = pad.or_else(|| json["padding"]["pad_token"].as_str().map(str::to_owned));
        let pad = pad.or_else(|| files.pad.map(str::to_owned));
        let pad_token = pad.ok_or_else(|| none("tokenizer_config.json: no pad_token"))?;
        let id = tokenizer.token_to_id(&pad_token);
        let pad_id = id.ok_or_else(|| none(&format!("tokenizer: no {pad_token}, which pads")))?;
        tokenizer.with_padding(Some(PaddingParams {
            strategy: PaddingStrategy::Fixed(length),
            direction: if left {
                PaddingDirection::Left
            } else {
                PaddingDirection::Right
            },
            pad_to_multiple_of: None,
            pad_id,
            pad_type_id: 0,
            pad_token,
        }));
        let side = said("truncation_side", &json["truncation"]["direction"]);
        let cut = if direction("truncation_side", side.as_deref().unwrap_or("right"))? {
            TruncationDirection::Left
        } else {
            TruncationDirection::Right
        };
        tokenizer
            .with_truncation(Some(truncation(length, cut)))
            .map_err(wrong)?;
        Ok(Self {
            tokenizer,
            spelling: files.spelling,
        })
    }

    /// Returns the ids of a text, and the places of its own tokens among those that pad it.
    pub(super) fn encode(&self, text: &str) -> Result<(Vec<u32>, Range<usize>), Error> {
        let spelled = self.spelling.of(text)?;
        let encoding = guard(|| self.tokenizer.encode(spelled, true)).map_err(|e| none(&e))?;
        let own = encoding.get_attention_mask();
        let first = own.iter().position(|own| *own == 1).unwrap_or(0);
        let count = own.iter().filter(|own| **own == 1).count();
        let ids = encoding.get_ids().to_vec();
        if count == 0 {
            return Err(none(&format!("{text:?} has no tokens")));
        }
        Ok((ids, first..first + count))
    }
}

impl Spelling {
    fn of(&self, text: &str) -> Result<String, Error> {
        let Self::Canonical { form, special } = self else {
            return Ok(text.to_owned());
        };
        match special.iter().find(|token| text.contains(token.as_str())) {
            Some(token) => Err(none(&format!(
                "{text:?} spells the token {token}, which texts of SigLIP may not"
            ))),
            None => Ok(form.of(text)),
        }
    }
}

/// Reads the files of SigLIP's tokenizer as the class does that `tokenizer_class` names.
fn siglip_files(source: &Source, config: &Value) -> Result<SiglipFiles, Error> {
    let class = config["tokenizer_class"]
        .as_str()
        .unwrap_or("SiglipTokenizer");
    match class.strip_suffix("Fast").unwrap_or(class) {
        "SiglipTokenizer" => siglip_tokenizer(source, config),
        "GemmaTokenizer" => gemma(source, false),
        "Siglip2Tokenizer" => gemma(source, true),
        "PreTrainedTokenizer" | "TokenizersBackend" => Ok(SiglipFiles {
            json: source.require("tokenizer.json")?,
            spelling: Spelling::AsItIs,
            side: "right",
            pad: None,
        }),
        _ => Err(none(&format!(
            "tokenizer_config.json: tokenizer_class {class:?}; of a SigLIP SiglipTokenizer, \
             GemmaTokenizer, Siglip2Tokenizer and PreTrainedTokenizerFast are read"
        ))),
    }
}

/// Reads spiece.model. Where it is not there transformers reads nothing; a tokenizer.json that
/// makes texts small itself serves.
fn siglip_tokenizer(source: &Source, config: &Value) -> Result<SiglipFiles, Error> {
    let files = |json, spelling| SiglipFiles {
        json,
        spelling,
        side: "right",
        pad: Some("</s>"),
    };
    if let Some(model) = source.read("spiece.model")? {
        let named = special_tokens(source)?;
        let of = |name: &str, usual: &str| {
            let mut named = named.iter();
            let found = named.find(|(known, _)| &**known == name);
            found.map_or_else(|| usual.to_owned(), |(_, token)| token.clone())
        };
        let (eos, unk, pad) = (
            of("eos_token", "</s>"),
            of("unk_token", "<unk>"),
            of("pad_token", "</s>"),
        );
        let lower = config["do_lower_case"] != false;
        let read = siglip::read(&model, &eos, lower);
        let (json, form) = read.map_err(|reason| source.wrong("spiece.model", reason))?;
        let mut special = vec![eos, unk, pad];
        special.extend(named.into_iter().map(|(_, token)| token));
        special.extend(added(config));
        special.retain(|token| !token.is_empty());
        return Ok(files(json, Spelling::Canonical { form, special }));
    }
    let Some(json) = source.read("tokenizer.json")? else {
        return Err(source.missing("spiece.model"));
    };
    let value: Value =
        serde_json::from_slice(&json).map_err(|e| source.wrong("tokenizer.json", e.to_string()))?;
    if !lowers(&value["normalizer"]) {
        let reason = "its normalizer does not make texts lower case, as SigLIP's tokenizer does; \
                      spiece.model is needed";
        return Err(source.wrong("tokenizer.json", reason.into()));
    }
    Ok(files(json, Spelling::AsItIs))
}

/// The texts of tokens that tokenizer_config.json lists without names.
fn added(config: &Value) -> Vec<String> {
    let decoder = config["added_tokens_decoder"].as_object();
    let lists = ["additional_special_tokens", "extra_special_tokens"];
    let listed = lists.iter().filter_map(|name| config[*name].as_array());
    let tokens = decoder.into_iter().flat_map(|map| map.values());
    let tokens = tokens.chain(listed.flatten());
    let texts = tokens.filter_map(|token| token.as_str().or_else(|| token["content"].as_str()));
    texts.map(str::to_owned).collect()
}

/// Tells whether a normalizer, or one of a sequence of them, makes texts lower case.
fn lowers(normalizer: &Value) -> bool {
    let listed = normalizer["normalizers"].as_array();
    normalizer["type"] == "Lowercase" || listed.is_some_and(|all| all.iter().any(lowers))
}

/// Reads Gemma's tokenizer.json: the class has its own normalizer and cuts, and takes the
/// vocabulary and what stands around a text from the file.
fn gemma(source: &Source, lower: bool) -> Result<SiglipFiles, Error> {
    let json: Option<Value> = source.json("tokenizer.json")?;
    let mut json = json.ok_or_else(|| source.missing("tokenizer.json"))?;
    if json["model"]["type"] != "BPE" {
        let reason = format!("model {}; Gemma's is a BPE", json["model"]["type"]);
        return Err(source.wrong("tokenizer.json", reason));
    }
    let space = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" });
    json["normalizer"] = if lower {
        json!({ "type": "Sequence", "normalizers": [{ "type": "Lowercase" }, space] })
    } else {
        space
    };
    json["pre_tokenizer"] = json!({
        "type": "Split",
        "pattern": { "String": " " },
        "behavior": "MergedWithPrevious",
        "invert": false,
    });
    for (field, value) in [("fuse_unk", true), ("byte_fallback", true)] {
        json["model"][field] = value.into();
    }
    json["model"]["dropout"] = Value::Null;
    Ok(SiglipFiles {
        json: serde_json::to_vec(&json).map_err(|e| none(&e.to_string()))?,
        spelling: Spelling::AsItIs,
        side: "left",
        pad: Some("<pad>"),
    })
}

fn parse(json: &[u8]) -> Result<Tokenizer, Error> {
    let tokenizer = guard(|| Tokenizer::from_bytes(json));
    tokenizer.map_err(|e| none(&format!("tokenizer.json: {e}")))
}

fn truncation(max_length: usize, direction: TruncationDirection) -> TruncationParams {
    TruncationParams {
        max_length,
        direction,
        ..TruncationParams::default()
    }
}

/// Reads a side; true is the left one.
fn direction(field: &str, side: &str) -> Result<bool, Error> {
    match side.to_lowercase().as_str() {
        "left" => Ok(true),
        "right" => Ok(false),
        _ => Err(none(&format!("{field} {side:?}; left and right are valid"))),
    }
}

fn wrong(error: tokenizers::Error) -> Error {
    none(&format!("tokenizer: {error}"))
}

fn none(reason: &str) -> Error {
    Error::Text(reason.to_owned())
}
