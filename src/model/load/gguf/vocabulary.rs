//! The vocabulary of a GGUF file as tokenizer.model or tokenizer.json.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::model::error::Error;
use crate::model::text::message::IMAGE_MARKER;
use crate::model::text::sentencepiece;
use crate::weights::Gguf;

/// Kinds of tokens, numbered as SentencePiece numbers them.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Splits words, numbers by threes at most, signs and spaces: Llama 3's.
const LLAMA_3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// The same with each digit by itself: Qwen 2's.
const QWEN_2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// `tokenizer.ggml.pre`s that are read, and how each cuts a text into words.
const CUTS: [(&str, Cut); 10] = [
    ("llama-bpe", Cut::Llama3),
    ("llama3", Cut::Llama3),
    ("llama-v3", Cut::Llama3),
    ("qwen2", Cut::Qwen2),
    ("gpt-2", Cut::Gpt2),
    ("gpt2", Cut::Gpt2),
    ("smollm", Cut::Digits),
    ("starcoder", Cut::Digits),
    ("refact", Cut::Digits),
    ("command-r", Cut::Digits),
];

/// `tokenizer.ggml.model` of a SentencePiece vocabulary.
const SENTENCEPIECE: &str = "llama";

/// Special tokens of a SentencePiece vocabulary where the file does not say, as in llama.cpp.
const USUAL: [(&str, u64); 3] = [("bos_token", 1), ("eos_token", 2), ("unk_token", 0)];

/// A way of cutting a text into words.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Llama3,
    Qwen2,
    Gpt2,
    /// GPT-2's, with each digit by itself.
    Digits,
}

/// Name the tokens that end a turn, or a message, where `eos_token` ends a document; no file of a
/// folder names them.
const ENDS: [&str; 2] = ["eot_token", "eom_token"];

/// Holds what a file says of its vocabulary.
pub(super) struct Vocabulary<'a> {
    file: &'a Gguf,
    tokens: Vec<&'a str>,
    kinds: Vec<i64>,
    /// Lists special tokens by their names in tokenizer_config.json.
    special: Vec<(&'static str, usize)>,
}

impl<'a> Vocabulary<'a> {
    /// Reads the keys that begin with `tokenizer.ggml`.
    pub(super) fn read(file: &'a Gguf) -> Result<Self, Error> {
        let missing = || file.wrong("tokenizer.ggml.tokens", "is not there");
        let tokens = file.texts("tokenizer.ggml.tokens")?.ok_or_else(missing)?;
        let kinds = file.integers("tokenizer.ggml.token_type")?;
        // 1 is an ordinary token.
        let kinds = kinds.unwrap_or_else(|| vec![1; tokens.len()]);
        if kinds.len() != tokens.len() {
            let reason = format!("has {} entries, tokens has {}", kinds.len(), tokens.len());
            return Err(file.wrong("tokenizer.ggml.token_type", &reason).into());
        }
        let is_sentencepiece = file.text("tokenizer.ggml.model")? == Some(SENTENCEPIECE);
        let mut special = Vec::new();
        for (name, key) in [
            ("bos_token", "tokenizer.ggml.bos_token_id"),
            ("eos_token", "tokenizer.ggml.eos_token_id"),
            ("unk_token", "tokenizer.ggml.unknown_token_id"),
            ("pad_token", "tokenizer.ggml.padding_token_id"),
            (ENDS[0], "tokenizer.ggml.eot_token_id"),
            (ENDS[1], "tokenizer.ggml.eom_token_id"),
        ] {
            let usual = USUAL.iter().find(|(usual, _)| *usual == name);
            let usual = usual.filter(|(_, id)| is_sentencepiece && *id < tokens.len() as u64);
            let Some(id) = file.number(key)?.or(usual.map(|(_, id)| *id)) else {
                continue;
            };
            if id >= tokens.len() as u64 {
                let reason = format!("{id}; there are {} tokens", tokens.len());
                return Err(file.wrong(key, &reason).into());
            }
            special.push((name, id as usize));
        }
        Ok(Self {
            file,
            tokens,
            kinds,
            special,
        })
    }

    /// Returns the id of `<image>`, or the first beyond `rows` where there is none.
    pub(super) fn image_token(&self, rows: u64) -> u64 {
        let known = self.tokens.iter().position(|token| *token == IMAGE_MARKER);
        known.map_or(rows, |id| id as u64)
    }

    /// Returns generation_config.json.
    pub(super) fn generation(&self) -> Value {
        let is_end = |name: &str| name == "eos_token" || ENDS.contains(&name);
        let ends = self.special.iter().filter(|(name, _)| is_end(name));
        let ends: Vec<usize> = ends.map(|(_, id)| *id).collect();
        json!({ "eos_token_id": ends })
    }

    /// Returns tokenizer_config.json.
    pub(super) fn config(&self) -> Result<Value, Error> {
        let mut config = json!({ "legacy": false });
        let named = self.special.iter().filter(|(name, _)| !ENDS.contains(name));
        for (name, id) in named {
            config[*name] = json!(self.tokens[*id]);
        }
        for (field, key) in [
            ("add_bos_token", "tokenizer.ggml.add_bos_token"),
            ("add_eos_token", "tokenizer.ggml.add_eos_token"),
            ("add_prefix_space", "tokenizer.ggml.add_space_prefix"),
        ] {
            if let Some(flag) = self.file.flag(key)? {
                config[field] = json!(flag);
            } else if field == "add_bos_token" && self.begins_by_itself()? {
                config[field] = json!(true);
            }
        }
        Ok(config)
    }

    /// Tells whether BOS stands in front where the file does not say: in llama.cpp it does for
    /// SentencePiece, and for Llama 3's kind of BPE.
    fn begins_by_itself(&self) -> Result<bool, Error> {
        let is_llama_3 = matches!(cut_of(self.pre()?), Some(Cut::Llama3));
        Ok(self.file.text("tokenizer.ggml.model")? == Some(SENTENCEPIECE) || is_llama_3)
    }

    /// Returns the tokenizer, under the name of the file that it is in a folder.
    pub(super) fn file(&self) -> Result<(&'static str, Vec<u8>), Error> {
        match self.file.text("tokenizer.ggml.model")? {
            Some(SENTENCEPIECE) => Ok(("tokenizer.model", self.sentencepiece()?)),
            Some("gpt2") => Ok(("tokenizer.json", self.bpe()?)),
            kind => {
                let kind = kind.unwrap_or_default();
                let reason = format!("{kind:?}; llama (SentencePiece) and gpt2 (BPE) are read");
                Err(self.file.wrong("tokenizer.ggml.model", &reason).into())
            }
        }
    }

    fn sentencepiece(&self) -> Result<Vec<u8>, Error> {
        let key = "tokenizer.ggml.scores";
        let scores = self.file.floats(key)?.unwrap_or_default();
        if scores.len() != self.tokens.len() {
            let reason = format!(
                "has {} entries, tokens has {}",
                scores.len(),
                self.tokens.len()
            );
            return Err(self.file.wrong(key, &reason).into());
        }
        let pieces = self.tokens.iter().zip(scores).zip(&self.kinds);
        let pieces = pieces.map(|((token, score), kind)| (*token, score as f32, *kind as i32));
        Ok(sentencepiece::bpe_model(pieces))
    }

    /// Returns tokenizer.json of a byte-level BPE (Sennrich et al. 2016; GPT-2).
    fn bpe(&self) -> Result<Vec<u8>, Error> {
        let missing = || self.file.wrong("tokenizer.ggml.merges", "is not there");
        let merges = self
            .file
            .texts("tokenizer.ggml.merges")?
            .ok_or_else(missing)?;
        let ids = |(id, token): (usize, &&'a str)| (*token, id);
        let vocab: HashMap<&str, usize> = self.tokens.iter().enumerate().map(ids).collect();
        let (normalizer, cut) = self.cut()?;
        let added: Vec<Value> = self.added().collect();
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": normalizer,
            "pre_tokenizer": cut,
            "post_processor": self.ends()?,
            "decoder": byte_level(false),
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                // Llama 3 takes a word that is a token whole, whichever merges lead to it.
                "ignore_merges": self.pre()?.contains("llama"),
                "vocab": vocab,
                "merges": merges,
            },
        });
        Ok(tokenizer.to_string().into_bytes())
    }

    fn pre(&self) -> Result<&'a str, Error> {
        Ok(self.file.text("tokenizer.ggml.pre")?.unwrap_or_default())
    }

    /// Returns the normalizer and the pre-tokenizer.
    fn cut(&self) -> Result<(Value, Value), Error> {
        let pre = self.pre()?;
        let Some(cut) = cut_of(pre) else {
            let reason = format!(
                "{pre:?}; {} are read",
                CUTS.map(|(name, _)| name).join(", ")
            );
            return Err(self.file.wrong("tokenizer.ggml.pre", &reason).into());
        };
        let digits = json!({ "type": "Digits", "individual_digits": true });
        Ok(match cut {
            Cut::Llama3 => (Value::Null, split(LLAMA_3)),
            Cut::Qwen2 => (json!({ "type": "NFC" }), split(QWEN_2)),
            Cut::Gpt2 => (Value::Null, byte_level(true)),
            Cut::Digits => (Value::Null, sequence(&[digits, byte_level(true)])),
        })
    }

    /// Returns the tokens that stand for themselves wherever their text stands.
    fn added(&self) -> impl Iterator<Item = Value> {
        let kinds = self.tokens.iter().zip(&self.kinds).enumerate();
        let own = kinds.filter(|(_, (_, kind))| [CONTROL, USER_DEFINED].contains(kind));
        own.map(|(id, (token, kind))| {
            json!({
                "id": id,
                "content": token,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": *kind == CONTROL,
            })
        })
    }

    /// Returns the post-processor: BOS in front and EOS behind, where the file asks for them.
    fn ends(&self) -> Result<Value, Error> {
        let config = self.config()?;
        let (mut special, mut single) = (json!({}), Vec::new());
        for (flag, name) in [
            ("add_bos_token", "bos_token"),
            ("add_eos_token", "eos_token"),
        ] {
            if flag == "add_eos_token" {
                // The text, between what stands before it and what stands behind.
                single.push(json!({ "Sequence": { "id": "A", "type_id": 0 } }));
            }
            let known = self.special.iter().find(|(known, _)| *known == name);
            let Some((_, id)) = known.filter(|_| config[flag] == true) else {
                continue;
            };
            let token = self.tokens[*id];
            special[token] = json!({ "id": token, "ids": [id], "tokens": [token] });
            single.push(json!({ "SpecialToken": { "id": token, "type_id": 0 } }));
        }
        let second = json!({ "Sequence": { "id": "B", "type_id": 1 } });
        let pair = [single.clone(), vec![second]].concat();
        Ok(json!({
            "type": "TemplateProcessing",
            "single": single,
            "pair": pair,
            "special_tokens": special,
        }))
    }
}

fn cut_of(pre: &str) -> Option<Cut> {
    let known = CUTS.iter().find(|(name, _)| *name == pre);
    known.map(|(_, cut)| *cut)
}

/// Returns a pre-tokenizer that cuts by a regular expression.
fn split(pattern: &str) -> Value {
    let split = json!({
        "type": "Split",
        "pattern": { "Regex": pattern },
        "behavior": "Isolated",
        "invert": false,
    });
    // ByteLevel only spells bytes here; the pattern has cut before it.
    sequence(&[split, byte_level(false)])
}

fn byte_level(cuts: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": true,
        "use_regex": cuts,
    })
}

fn sequence(parts: &[Value]) -> Value {
    json!({ "type": "Sequence", "pretokenizers": parts })
}
