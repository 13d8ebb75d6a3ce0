//! tokenizer.model, a SentencePiece model (Kudo and Richardson 2018), as the tokenizer.json that
//! transformers makes of it.
//!
//! Agrees with `LlamaTokenizer` and `GemmaTokenizer` of transformers 5.17, and with
//! `TokenizersBackend` for what names neither. Knows nothing of models; the result is read by the
//! tokenizers library as any tokenizer.json.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::{Value, json};

/// The part of `sentencepiece_model.proto` that conversion reads.
// The format is proto2: a field that is left out has the default of its .proto, which need not be
// 0.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    pub(super) trainer: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    pub(super) normalizer: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Piece {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3", default = "1")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TrainerSpec {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    pub(super) treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(int32, optional, tag = "40")]
    unk_id: Option<i32>,
    #[prost(int32, optional, tag = "41", default = "1")]
    bos_id: Option<i32>,
    #[prost(int32, optional, tag = "42", default = "2")]
    eos_id: Option<i32>,
    #[prost(string, optional, tag = "45", default = "<unk>")]
    unk_piece: Option<String>,
    #[prost(string, optional, tag = "46", default = "<s>")]
    bos_piece: Option<String>,
    #[prost(string, optional, tag = "47", default = "</s>")]
    eos_piece: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "4", default = "true")]
    pub(super) remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    pub(super) escape_whitespaces: Option<bool>,
}

/// Kinds of pieces.
pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// Kinds of models.
pub(super) const UNIGRAM: i32 = 1;
const BPE: i32 = 2;

/// Bytes of one piece: merges are looked for at each of its characters. The longest of Gemma's has
/// 93.
const MAX_PIECE_BYTES: usize = 512;

/// Says how the words of a text are cut, which is not in the file: transformers has a class for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Llama,
    Gemma,
    Backend,
}

/// Files beside tokenizer.model; null where it is not there.
pub(super) struct Beside {
    /// tokenizer_config.json.
    pub(super) config: Value,
    /// special_tokens_map.json.
    pub(super) special: Value,
    /// added_tokens.json.
    pub(super) added: Value,
}

impl ModelProto {
    /// Reads a model; `None` where there is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let proto = Self::decode(bytes).ok();
        proto.filter(|proto| !proto.pieces.is_empty())
    }
}

/// Returns tokenizer.model of a BPE whose pieces are texts with scores and kinds.
pub(in crate::model) fn bpe_model<'a>(
    pieces: impl Iterator<Item = (&'a str, f32, i32)>,
) -> Vec<u8> {
    let pieces = pieces.map(|(text, score, kind)| Piece {
        text: Some(text.to_owned()),
        score: Some(score),
        kind: Some(kind),
    });
    let trainer = TrainerSpec {
        model_type: Some(BPE),
        byte_fallback: Some(true),
        ..TrainerSpec::default()
    };
    let model = ModelProto {
        pieces: pieces.collect(),
        trainer: Some(trainer),
        normalizer: None,
    };
    model.encode_to_vec()
}

/// Returns tokenizer.json for the SentencePiece model in `model`. Errors name the file.
pub(super) fn tokenizer_json(model: &[u8], beside: &Beside) -> Result<Vec<u8>, String> {
    let proto = ModelProto::read(model)
        .ok_or("tokenizer.model: not a SentencePiece model; tokenizer.json is needed")?;
    let trainer = proto.trainer.clone().unwrap_or_default();
    let class = class(&beside.config, trainer.model_type())?;
    if let Some(piece) = proto
        .pieces
        .iter()
        .find(|p| p.text().len() > MAX_PIECE_BYTES)
    {
        let bytes = piece.text().len();
        return Err(format!(
            "tokenizer.model: a piece of {bytes} bytes; at most {MAX_PIECE_BYTES} are read"
        ));
    }
    let names = Names::new(class, beside, &trainer);
    let model = if class == Class::Backend && trainer.model_type() == UNIGRAM {
        unigram(&proto, &trainer)
    } else {
        bpe(&proto, class, &names, &trainer)
    };
    let added = added_tokens(&proto, &names, beside)?;
    let prefix = class == Class::Llama && beside.config["add_prefix_space"] != false;
    // `legacy` asks for what was before transformers mended the space after special tokens.
    let scheme = match (prefix, &beside.config["legacy"]) {
        (false, _) => "never",
        (true, Value::Bool(true)) => "always",
        (true, _) => "first",
    };
    let (normalizer, pre_tokenizer) = cut(&proto, class, scheme);
    // U+2581 is SentencePiece's space.
    let mut decoders =
        vec![json!({ "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " })];
    // Tokens such as `<0x0A>` are single bytes, joined before they are read as UTF-8.
    if class != Class::Backend || trainer.byte_fallback() {
        decoders.extend([json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })]);
    }
    if prefix {
        // The space that Metaspace has put in front of the text is none of it.
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "post_processor": post_processor(&names, &added, &beside.config)?,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "decoder": { "type": "Sequence", "decoders": decoders },
        "model": model,
    });
    serde_json::to_vec(&tokenizer).map_err(|e| e.to_string())
}

/// Returns the normalizer and the pre-tokenizer.
fn cut(proto: &ModelProto, class: Class, scheme: &str) -> (Value, Value) {
    let spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" });
    match class {
        Class::Llama => {
            let cut = json!({
                "type": "Metaspace",
                "replacement": "\u{2581}",
                "prepend_scheme": scheme,
                // SentencePiece BPE merges across words; the split is Metaspace's default for other
                // models.
                "split": false,
            });
            (Value::Null, cut)
        }
        Class::Gemma => {
            let cut = json!({
                "type": "Split",
                "pattern": { "String": " " },
                "behavior": "MergedWithPrevious",
                "invert": false,
            });
            (spaces, cut)
        }
        Class::Backend => {
            let map = proto
                .normalizer
                .as_ref()
                .and_then(|n| n.precompiled_charsmap.as_ref())
                .filter(|m| !m.is_empty());
            let map = map.map(
                |m| json!({ "type": "Precompiled", "precompiled_charsmap": STANDARD.encode(m) }),
            );
            let all: Vec<Value> = map.into_iter().chain([spaces]).collect();
            (
                json!({ "type": "Sequence", "normalizers": all }),
                Value::Null,
            )
        }
    }
}

/// Returns the class that `tokenizer_class` names; where it names none a BPE model is Llama's.
fn class(config: &Value, model_type: i32) -> Result<Class, String> {
    if ![UNIGRAM, BPE].contains(&model_type) {
        return Err(
            "tokenizer.model: neither a BPE nor a unigram model; tokenizer.json is needed".into(),
        );
    }
    let name = config["tokenizer_class"].as_str().unwrap_or_default();
    // Both spellings of a class occur in files; transformers 5 has one class for them.
    match name.strip_suffix("Fast").unwrap_or(name) {
        "LlamaTokenizer" => Ok(Class::Llama),
        "GemmaTokenizer" => Ok(Class::Gemma),
        "" if model_type == BPE => Ok(Class::Llama),
        "" | "PreTrainedTokenizer" | "TokenizersBackend" => Ok(Class::Backend),
        _ => Err(format!(
            "tokenizer_config.json: tokenizer_class {name:?}; \
             of tokenizer.model LlamaTokenizer and GemmaTokenizer are \
             read, for others tokenizer.json is needed"
        )),
    }
}

/// The special tokens that have names, with their attributes, in transformers' order.
struct Names(Vec<(&'static str, Value)>);

impl Names {
    fn new(class: Class, beside: &Beside, trainer: &TrainerSpec) -> Self {
        // SentencePiece writes -1 for a token that the model was trained without.
        let own = |id: i32, piece: &str| if id >= 0 { json!(piece) } else { Value::Null };
        let (bos, eos, unk) = match class {
            Class::Llama => (json!("<s>"), json!("</s>"), json!("<unk>")),
            Class::Gemma => (json!("<bos>"), json!("<eos>"), json!("<unk>")),
            Class::Backend => (
                own(trainer.bos_id(), trainer.bos_piece()),
                own(trainer.eos_id(), trainer.eos_piece()),
                own(trainer.unk_id(), trainer.unk_piece()),
            ),
        };
        let is_gemma = class == Class::Gemma;
        let gemma = |token: &str| Value::from(is_gemma.then_some(token));
        let usual = [
            ("bos_token", bos),
            ("eos_token", eos),
            ("unk_token", unk),
            ("sep_token", Value::Null),
            ("pad_token", gemma("<pad>")),
            ("cls_token", Value::Null),
            ("mask_token", gemma("<mask>")),
        ];
        // special_tokens_map.json counts in folders from before tokenizer_config.json named all
        // added tokens.
        let old = beside.config["added_tokens_decoder"].is_null();
        let mut names = Vec::with_capacity(usual.len());
        for (name, usual) in usual {
            let mapped = old.then(|| &beside.special[name]).filter(|v| !v.is_null());
            let said = mapped.or(beside.config.get(name));
            names.push((name, said.cloned().unwrap_or(usual)));
        }
        Self(names)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| *n == name)
            .and_then(|(_, value)| content(value))
    }
}

/// Returns the text of a token that is written as a string, or as an object with its attributes.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

fn piece(token: &str, special: bool, normalized: bool) -> Value {
    json!({
        "content": token,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": normalized,
        "special": special,
    })
}

/// Returns a token with the attributes that a file gives it.
fn token(said: &Value, usual: Value) -> Value {
    let mut token = usual;
    for field in ["single_word", "lstrip", "rstrip", "normalized", "special"] {
        if let Some(value) = said.get(field).filter(|v| v.is_boolean()) {
            token[field] = value.clone();
        }
    }
    token
}

/// A token that is added: its id, where a file says one, and whether it stands in place of one that
/// is known. A name that is a text alone leaves that one's attributes.
type Added = (Option<usize>, Value, bool);

/// Returns `added_tokens` of tokenizer.json: control and user-defined pieces, what files beside
/// add, and the special tokens; those that the vocabulary has not get the next ids.
fn added_tokens(proto: &ModelProto, names: &Names, beside: &Beside) -> Result<Vec<Value>, String> {
    let pieces = proto.pieces.iter().enumerate();
    let mut ids: HashMap<&str, usize> = pieces.map(|(id, p)| (p.text(), id)).collect();
    let mut next = proto.pieces.len();
    let mut all: Vec<Value> = Vec::new();
    // In transformers' order, which decides the ids of those that have none.
    let mut everything = control_pieces(proto);
    everything.extend(declared(names, beside)?);
    everything.extend(named(names));
    everything.extend(listed(beside));
    for (id, token, replaces) in &everything {
        let text = content(token).unwrap_or_default();
        if text.is_empty() {
            continue;
        }
        // What the vocabulary has keeps its id.
        let own = *ids.entry(text).or_insert_with(|| {
            next += 1;
            next - 1
        });
        // Embeddings were trained for the id that the file says; another one would be wrong without
        // a word.
        if let Some(id) = id.filter(|id| *id != own) {
            return Err(format!(
                "an added token {text:?} is said to be {id}, behind tokenizer.model it is {own}"
            ));
        }
        let mut token = token.clone();
        token["id"] = json!(own);
        match all.iter_mut().find(|known| known["id"] == own) {
            Some(known) if *replaces => *known = token,
            Some(known) => known["special"] = json!(true),
            None => all.push(token),
        }
    }
    all.sort_by_key(|token| token["id"].as_u64());
    Ok(all)
}

/// Returns the pieces of the vocabulary that are tokens wherever their text stands.
fn control_pieces(proto: &ModelProto) -> Vec<Added> {
    let pieces = proto.pieces.iter();
    let pieces = pieces.filter(|p| [CONTROL, USER_DEFINED].contains(&p.kind()));
    pieces
        .map(|p| (None, piece(p.text(), p.kind() == CONTROL, false), true))
        .collect()
}

/// Returns the tokens with ids: those of tokenizer_config.json, or of added_tokens.json, its
/// forerunner, which transformers does not read beside it.
fn declared(names: &Names, beside: &Beside) -> Result<Vec<Added>, String> {
    let mut declared: Vec<(usize, Value)> = Vec::new();
    if let Some(decoder) = beside.config["added_tokens_decoder"].as_object() {
        for (id, said) in decoder {
            let (Ok(id), Some(text)) = (id.parse(), content(said)) else {
                return Err(format!(
                    "tokenizer_config.json: added_tokens_decoder: {id:?} is no token"
                ));
            };
            declared.push((id, token(said, piece(text, false, true))));
        }
    } else {
        for (text, id) in beside.added.as_object().into_iter().flatten() {
            let none = || format!("added_tokens.json: {text:?} has no id");
            let id = id.as_u64().ok_or_else(none)? as usize;
            let mut names = names.0.iter();
            let special = names.any(|(_, value)| content(value) == Some(text));
            declared.push((id, piece(text, special, !special)));
        }
    }
    // By number: keys of JSON are sorted as texts, "10" before "9".
    declared.sort_by_key(|(id, _)| *id);
    let declared = declared.into_iter();
    Ok(declared
        .map(|(id, token)| (Some(id), token, true))
        .collect())
}

/// Returns the special tokens that have names, such as BOS and EOS.
fn named(names: &Names) -> Vec<Added> {
    let named = names.0.iter().filter_map(|(_, said)| {
        let mut token = token(said, piece(content(said)?, true, false));
        token["special"] = json!(true);
        Some((None, token, said.is_object()))
    });
    named.collect()
}

/// Returns the special tokens that have none; transformers 5 renamed the field.
fn listed(beside: &Beside) -> Vec<Added> {
    let fields = ["additional_special_tokens", "extra_special_tokens"].into_iter();
    let items = fields.flat_map(|field| beside.config[field].as_array().into_iter().flatten());
    let listed = items.filter_map(|said| {
        let token = token(said, piece(content(said)?, true, false));
        Some((None, token, said.is_object()))
    });
    listed.collect()
}

/// BOS in front and EOS behind, where tokenizer_config.json asks for them.
fn post_processor(names: &Names, added: &[Value], config: &Value) -> Result<Value, String> {
    let mut special = serde_json::Map::new();
    let mut ends = [Vec::new(), Vec::new()];
    let asked = [
        ("add_bos_token", "bos_token"),
        ("add_eos_token", "eos_token"),
    ];
    for (end, (flag, name)) in ends.iter_mut().zip(asked) {
        let Some(token) = names.get(name).filter(|_| config[flag] == true) else {
            continue;
        };
        let known = added.iter().find(|known| known["content"] == token);
        let known =
            known.ok_or_else(|| format!("tokenizer_config.json: {flag}: no {name} {token:?}"))?;
        special.insert(
            token.to_owned(),
            json!({ "id": token, "ids": [known["id"]], "tokens": [token] }),
        );
        end.push(json!({ "SpecialToken": { "id": token, "type_id": 0 } }));
    }
    let [bos, eos] = ends;
    let text = |id: &str| vec![json!({ "Sequence": { "id": id, "type_id": 0 } })];
    let single = [bos.clone(), text("A"), eos.clone()].concat();
    let pair = [bos, text("A"), text("B"), eos].concat();
    Ok(json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": special,
    }))
}

pub(super) fn unigram(proto: &ModelProto, trainer: &TrainerSpec) -> Value {
    let vocab: Vec<Value> = proto
        .pieces
        .iter()
        .map(|p| json!([p.text(), p.score()]))
        .collect();
    json!({
        "type": "Unigram",
        "unk_id": trainer.unk_id(),
        "vocab": vocab,
        "byte_fallback": trainer.byte_fallback(),
    })
}

/// Every way to put a piece together of two others is a merge, in the order of ids and then of the
/// left one's length.
fn bpe(proto: &ModelProto, class: Class, names: &Names, trainer: &TrainerSpec) -> Value {
    let vocab: HashMap<&str, usize> = proto
        .pieces
        .iter()
        .enumerate()
        .map(|(id, p)| (p.text(), id))
        .collect();
    let mut merges: Vec<[&str; 2]> = Vec::new();
    for (id, piece) in proto.pieces.iter().enumerate() {
        let text = piece.text();
        // A piece that stands twice has its merges once, at the id that a Python dict keeps.
        if vocab.get(text) != Some(&id) {
            continue;
        }
        // Between characters alone, and never with an empty half.
        let splits = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        merges.extend(
            splits
                .filter(|(l, r)| vocab.contains_key(l) && vocab.contains_key(r))
                .map(|(l, r)| [l, r]),
        );
    }
    let (unk, byte_fallback) = match class {
        // `LlamaTokenizer` names no unknown token: every byte has a piece.
        Class::Llama => (None, true),
        Class::Gemma => (names.get("unk_token"), true),
        Class::Backend => (Some(trainer.unk_piece()), trainer.byte_fallback()),
    };
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unk,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": true,
        "byte_fallback": byte_fallback,
        "ignore_merges": false,
        "vocab": vocab,
        "merges": merges,
    })
}
