//! Texts as SigLIP reads them: its spiece.model as a tokenizer.json, and what a text becomes before.
//!
//! Agrees with `SiglipTokenizer` of transformers 5.17, which has no tokenizer.json of its own.

use serde_json::json;

use super::charsmap::Charsmap;
use super::sentencepiece::{
    CONTROL, ModelProto, NORMAL, NormalizerSpec, UNIGRAM, UNKNOWN, unigram,
};

/// A space as SentencePiece writes it.
const SPACE: char = '\u{2581}';

/// What a text becomes before it is cut into pieces.
#[derive(Debug)]
pub(in crate::model) struct Canonical {
    /// Tells whether texts are read in lower case.
    lower: bool,
    map: Charsmap,
    /// Tells whether SentencePiece takes several spaces for one.
    joins_spaces: bool,
}

/// Reads the SentencePiece model in `model`, as a tokenizer.json that ends every text with `eos`,
/// and what texts become before; in lower case where `lower` says so.
pub(in crate::model) fn read(
    model: &[u8],
    eos: &str,
    lower: bool,
) -> Result<(Vec<u8>, Canonical), String> {
    let proto = ModelProto::read(model).ok_or("not a SentencePiece model")?;
    let spec = proto.normalizer.clone().unwrap_or_default();
    let json = tokenizer_json(&proto, eos)?;
    let canonical = Canonical {
        lower,
        map: Charsmap::parse(spec.precompiled_charsmap())?,
        joins_spaces: spec.remove_extra_whitespaces(),
    };
    Ok((json, canonical))
}

fn tokenizer_json(proto: &ModelProto, eos: &str) -> Result<Vec<u8>, String> {
    let trainer = proto.trainer.clone().unwrap_or_default();
    if trainer.model_type() != UNIGRAM {
        return Err("not a unigram model, which SigLIP's is".into());
    }
    // The library that reads the result looks for every piece in a text; SentencePiece for normal
    // ones. Of control pieces no text is left that spells one.
    let kinds = [NORMAL, UNKNOWN, CONTROL];
    if let Some(piece) = proto.pieces.iter().find(|p| !kinds.contains(&p.kind())) {
        let piece = piece.text();
        return Err(format!(
            "piece {piece:?} is of a kind that is not read; normal and control pieces are"
        ));
    }
    let escapes = proto.normalizer.as_ref();
    let escapes = escapes.is_none_or(NormalizerSpec::escape_whitespaces);
    if !escapes || trainer.treat_whitespace_as_suffix() {
        return Err("spaces are not written as \u{2581} in front of words".into());
    }
    let place = |text: &str| proto.pieces.iter().position(|p| p.text() == text);
    let space = SPACE.to_string();
    let (Some(id), Some(_)) = (place(eos), place(&space)) else {
        return Err(format!("{eos:?} and {space:?} must be pieces"));
    };
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let end = json!({ "SpecialToken": { "id": eos, "type_id": 0 } });
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        // Texts come canonical.
        "normalizer": null,
        "pre_tokenizer": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [text, end],
            "pair": [text, { "Sequence": { "id": "B", "type_id": 0 } }],
            "special_tokens": { eos: { "id": eos, "ids": [id], "tokens": [eos] } },
        },
        "decoder": null,
        "model": unigram(proto, &trainer),
    });
    serde_json::to_vec(&tokenizer).map_err(|e| e.to_string())
}

impl Canonical {
    /// Returns a text as it is cut into pieces.
    pub(in crate::model) fn of(&self, text: &str) -> String {
        self.normalized(&plain(text, self.lower))
    }

    /// Normalises as SentencePiece does: by its table, one space for several, none at the end. Of
    /// those in front the tokenizer keeps one, as it hides it from SentencePiece.
    fn normalized(&self, text: &str) -> String {
        let mut normalized = String::with_capacity(text.len() + 2);
        let mut rest = text;
        let mut after_space = false;
        while let Some(first) = rest.chars().next() {
            let kept = &rest[..first.len_utf8()];
            let (mut piece, bytes) = self.map.prefix(rest).unwrap_or((kept, kept.len()));
            rest = &rest[bytes..];
            if after_space {
                piece = piece.trim_start_matches(' ');
            }
            if !piece.is_empty() {
                after_space = self.joins_spaces && piece.ends_with(' ');
                normalized.extend(piece.chars().map(|c| if c == ' ' { SPACE } else { c }));
            }
        }
        if self.joins_spaces {
            normalized.truncate(normalized.trim_end_matches(SPACE).len());
        }
        normalized
    }
}

/// Returns a text without ASCII punctuation, each run of white space one space, and a space in
/// front that SentencePiece does not see as one: `canonicalize_text`.
fn plain(text: &str, lower: bool) -> String {
    let text = text.replace(SPACE, " ");
    // By words, as Python does it: a sigma that ends one is another letter.
    let text = if lower { text.to_lowercase() } else { text };
    let mut plain = String::from(SPACE);
    for c in text.chars().filter(|c| !c.is_ascii_punctuation()) {
        if !is_space(c) {
            plain.push(c);
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain.truncate(plain.trim_end_matches(' ').len());
    plain
}

/// Tells whether Python takes a character for white space: Unicode's, and four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::{Canonical, plain, read};

    /// The results are those of `SiglipTokenizer.canonicalize_text` of transformers 5.17.
    #[test]
    fn texts_are_without_punctuation() {
        for (text, expected) in [
            ("A photo of a CAT.", "\u{2581}a photo of a cat"),
            ("  two\t\nlines !", "\u{2581} two lines"),
            ("it's x\u{1c}y", "\u{2581}its x y"),
            ("\u{3a3}\u{3a3} \u{130}", "\u{2581}\u{3c3}\u{3c2} i\u{307}"),
            ("\u{2581}a\u{2581}b", "\u{2581} a b"),
            ("!?", "\u{2581}"),
            ("a - b", "\u{2581}a b"),
        ] {
            assert_eq!(plain(text, true), expected, "{text:?}");
        }
        assert_eq!(plain("A.B", false), "\u{2581}AB");
    }

    /// By the table of tests/goldens/tiny-siglip, which replaces the half, the diaeresis and two
    /// letters; the results are those of `sentencepiece` 0.2.
    #[test]
    fn texts_are_normalised_by_the_table() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/goldens/tiny-siglip/spiece.model"
        );
        let (_, canonical) = read(&std::fs::read(file).unwrap(), "</s>", true).unwrap();
        for (text, expected) in [
            ("x\u{bd}", "\u{2581}x1/2"),
            // A combining mark behind what is replaced stays.
            ("\u{bd}\u{301} a", "\u{2581}1/2\u{301}\u{2581}a"),
            // Of the space that stands for a diaeresis and the one before it one is left.
            ("a \u{a8}", "\u{2581}a\u{2581}\u{308}"),
            (" a", "\u{2581}\u{2581}a"),
            ("\u{e9}", "\u{2581}e\u{301}"),
            ("!", ""),
        ] {
            assert_eq!(canonical.of(text), expected, "{text:?}");
        }
        let plain = Canonical {
            lower: false,
            map: super::Charsmap::default(),
            joins_spaces: false,
        };
        assert_eq!(plain.of("A  \u{bd}"), "\u{2581}A\u{2581}\u{bd}");
    }

    #[test]
    fn other_models_are_refused() {
        assert!(read(b"nothing", "</s>", true).is_err());
        let bpe = super::super::sentencepiece::bpe_model([("a", 0.0, 1)].into_iter());
        assert!(read(&bpe, "</s>", true).unwrap_err().contains("unigram"));
    }
}
