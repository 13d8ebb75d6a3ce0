//! Tokenizer and incremental detokenization.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::{AddedToken, Encoding, Tokenizer};

use super::message::{IMAGE_MARKER, Rendered};
use super::sentencepiece::{self, Beside};
use crate::model::error::Error;
use crate::model::load::source::Source;

/// Turns words into token ids and back.
#[derive(Debug)]
pub struct Text {
    tokenizer: Tokenizer,
    /// The token that the model has for a picture.
    marker: &'static str,
    /// The id of a picture's marker where the vocabulary has none.
    image: Option<u32>,
    /// Tokens that the original LLaVA may put around a picture.
    around_image: Option<(u32, u32)>,
    /// Stand before and behind that token in every prompt.
    around_marker: [String; 2],
    /// Rows of the model's embedding table.
    rows: usize,
}

impl Text {
    /// Reads tokenizer.json, or else tokenizer.model.
    pub fn load(source: &Source) -> Result<Self, Error> {
        Ok(Self {
            tokenizer: tokenizer(source)?,
            marker: IMAGE_MARKER,
            image: None,
            around_image: None,
            around_marker: Default::default(),
            // Until config.json has been read; see `set_rows`.
            rows: usize::MAX,
        })
    }

    /// Returns the id that places a picture: the vocabulary's, or else `beyond`, which is then what
    /// markers become.
    pub fn image_token(&mut self, beyond: u32) -> u32 {
        let known = self.tokenizer.token_to_id(IMAGE_MARKER);
        self.image = known.is_none().then_some(beyond);
        known.unwrap_or(beyond)
    }

    /// Returns token ids, with the special tokens that the tokenizer adds (BOS, usually).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        Ok(self
            .encode_with_places(text, true)?
            .into_iter()
            .map(|(id, _)| id)
            .collect())
    }

    /// Returns the token ids of a prompt, with special tokens unless the chat template has written
    /// them.
    pub fn encode_prompt(&self, prompt: &Rendered) -> Result<Vec<u32>, Error> {
        Ok(self
            .encode_with_places(&prompt.text, !prompt.begun)?
            .into_iter()
            .map(|(id, _)| id)
            .collect())
    }

    /// Returns token ids, each with the bytes of `text` that it stands for; none for a special
    /// token that was added, where `special` asks for them.
    pub fn encode_with_places(
        &self,
        text: &str,
        special: bool,
    ) -> Result<Vec<(u32, Range<usize>)>, Error> {
        if self.marker != IMAGE_MARKER {
            return self.encode_translated(text, special);
        }
        let has_surrounded = self.around_image.is_some();
        // A marker of the vocabulary is cut out only where tokens are put around it; else the
        // tokenizer finds it by itself.
        let known = || self.token_id(IMAGE_MARKER).filter(|_| has_surrounded);
        let Some(image) = self.image.or_else(known) else {
            return self.encode_part(text, 0, special);
        };
        let mut ids = Vec::new();
        let mut at = 0;
        for (i, part) in text.split(IMAGE_MARKER).enumerate() {
            if i > 0 {
                let end = at + IMAGE_MARKER.len();
                // A prompt may have put them there itself.
                match self
                    .around_image
                    .filter(|_| !text[..at].ends_with(IMAGE_START))
                {
                    Some((first, last)) => {
                        ids.extend([(first, at..at), (image, at..end), (last, end..end)]);
                    }
                    None => ids.push((image, at..end)),
                }
                at = end;
            }
            // The parts are one prompt: BOS stands before the first alone.
            ids.extend(self.encode_part(part, at, special && i == 0)?);
            at += part.len();
        }
        Ok(ids)
    }

    /// Tokenizes `text` with the model's own marker in place of [`IMAGE_MARKER`]; the places are
    /// those of `text`.
    fn encode_translated(
        &self,
        text: &str,
        special: bool,
    ) -> Result<Vec<(u32, Range<usize>)>, Error> {
        let [before, behind] = &self.around_marker;
        let spelled = format!("{before}{}{behind}", self.marker);
        let marked: Vec<usize> = text.match_indices(IMAGE_MARKER).map(|(at, _)| at).collect();
        let ids = self.encode_part(&text.replace(IMAGE_MARKER, &spelled), 0, special)?;
        let original = |at| unspelled(at, &marked, spelled.len(), before.len());
        let place = |(id, at): (u32, Range<usize>)| (id, original(at.start)..original(at.end));
        Ok(ids.into_iter().map(place).collect())
    }

    /// Tokenizes a part of a prompt, which begins at byte `at` of the whole.
    fn encode_part(
        &self,
        text: &str,
        at: usize,
        special: bool,
    ) -> Result<Vec<(u32, Range<usize>)>, Error> {
        let encoding = encode(&self.tokenizer, text, special)?;
        let places = encoding
            .get_offsets()
            .iter()
            .map(|&(start, end)| at + start..at + end);
        Ok(self
            .checked(encoding.get_ids())?
            .iter()
            .copied()
            .zip(places)
            .collect())
    }

    /// Fails on a token that the model has no embedding of.
    fn checked<'a>(&self, ids: &'a [u32]) -> Result<&'a [u32], Error> {
        // A picture's marker may be beyond the table: nobody reads its embedding.
        let image = |id: u32| self.tokenizer.token_to_id(self.marker) == Some(id);
        match ids
            .iter()
            .find(|id| **id as usize >= self.rows && !image(**id))
        {
            None => Ok(ids),
            Some(&id) => {
                let token = self.tokenizer.id_to_token(id).unwrap_or_default();
                Err(Error::Token {
                    id,
                    token,
                    rows: self.rows,
                })
            }
        }
    }

    /// Returns the ids of `continuation` where it follows `prompt`: what tokenizing both together
    /// adds. Where the two melt into other tokens at the seam, the continuation is tokenized alone.
    pub fn encode_continuation(
        &self,
        prompt: &Rendered,
        continuation: &str,
    ) -> Result<Vec<u32>, Error> {
        self.encode_after(prompt, &self.encode_prompt(prompt)?, continuation)
    }

    /// Does the same where `before` are the ids of the prompt, for many continuations of one.
    pub fn encode_after(
        &self,
        prompt: &Rendered,
        before: &[u32],
        continuation: &str,
    ) -> Result<Vec<u32>, Error> {
        let whole = Rendered {
            text: format!("{}{continuation}", prompt.text),
            begun: prompt.begun,
            ..Rendered::default()
        };
        let both = self.encode_prompt(&whole)?;
        if both.len() > before.len() && both.starts_with(before) {
            return Ok(both[before.len()..].to_vec());
        }
        // Otherwise tokens of the prompt would be scored as if they were the continuation's.
        let alone = encode(&self.tokenizer, continuation, false)?;
        Ok(self.checked(alone.get_ids())?.to_vec())
    }

    /// Returns the text of `ids`, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        decode(&self.tokenizer, ids)
    }

    /// Says how many rows the model's embedding table has: a token beyond them is an error of the
    /// prompt that holds it.
    pub(in crate::model) fn set_rows(&mut self, rows: usize) {
        self.rows = rows;
    }

    /// Sets the token that the model has for a picture, which [`IMAGE_MARKER`] in a prompt becomes.
    pub(in crate::model) fn set_image_marker(&mut self, marker: &'static str) {
        self.marker = marker;
    }

    /// Sets the words that stand before and behind that token in every prompt.
    pub(in crate::model) fn set_around_images(&mut self, words: [String; 2]) {
        self.around_marker = words;
    }

    /// Returns the token that the model has for a picture, which the family says.
    pub fn image_marker(&self) -> &'static str {
        self.marker
    }

    /// Tells whether a marker in a prompt places a picture.
    pub(in crate::model) fn places_images(&self) -> bool {
        self.image.is_some() || self.token_id(self.marker).is_some()
    }

    /// Puts the original LLaVA's tokens around every picture; with `patch` its `<im_patch>` is
    /// added to the vocabulary before them. Returns the larger of their ids.
    pub(in crate::model) fn surround_images(&mut self, patch: bool) -> Result<u32, Error> {
        let added = [IMAGE_PATCH, IMAGE_START, IMAGE_END]
            .into_iter()
            // `<im_patch>` is first in the list, and the order of adding is the order of ids.
            .skip(usize::from(!patch));
        let added: Vec<AddedToken> = added.map(|token| AddedToken::from(token, true)).collect();
        self.tokenizer
            .add_special_tokens(added)
            .map_err(|e| Error::Text(format!("tokenizer: {e}")))?;
        let (first, last) = (self.needed_id(IMAGE_START)?, self.needed_id(IMAGE_END)?);
        self.around_image = Some((first, last));
        Ok(first.max(last))
    }

    fn needed_id(&self, token: &str) -> Result<u32, Error> {
        self.token_id(token)
            .ok_or_else(|| Error::Text(format!("tokenizer: no {token}")))
    }

    /// Returns the id of a token, if the vocabulary has it.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }
}

/// Returns where byte `at` of a text stood before the markers at `marked` were spelled in `length`
/// bytes, of which the first `before` stand before the picture.
fn unspelled(mut at: usize, marked: &[usize], length: usize, before: usize) -> usize {
    for &marker in marked {
        if at >= marker + length {
            at = at - length + IMAGE_MARKER.len();
        } else if at > marker + before {
            at = marker + IMAGE_MARKER.len();
        } else if at > marker {
            // What stands before the picture was no part of the text.
            at = marker;
        }
    }
    at
}

/// The original LLaVA's tokens around a picture, and the one that it once put in place of every
/// patch.
const IMAGE_START: &str = "<im_start>";
const IMAGE_END: &str = "<im_end>";
const IMAGE_PATCH: &str = "<im_patch>";

/// Reads tokenizer.json, or else tokenizer.model and what stands beside it.
fn tokenizer(source: &Source) -> Result<Tokenizer, Error> {
    let (file, json) = match (
        source.read("tokenizer.json")?,
        source.read("tokenizer.model")?,
    ) {
        (Some(json), _) => ("tokenizer.json", json),
        (None, Some(model)) => {
            let json = |name| source.json::<serde_json::Value>(name);
            let file = |name| json(name).map(Option::unwrap_or_default);
            let (config, special, added) = (
                file("tokenizer_config.json")?,
                file("special_tokens_map.json")?,
                file("added_tokens.json")?,
            );
            let json = sentencepiece::tokenizer_json(
                &model,
                &Beside {
                    config,
                    special,
                    added,
                },
            );
            ("tokenizer.model", json.map_err(Error::Text)?)
        }
        (None, None) => return Err(source.missing("tokenizer.json")),
    };
    let tokenizer = guard(|| Tokenizer::from_bytes(json)).and_then(ready);
    tokenizer.map_err(|reason| Error::Text(format!("{file}: {reason}")))
}

/// Makes a tokenizer as requests need it: nothing is cut off or filled up, whatever the file
/// says, and a file that the library panics on is an error before anybody asks.
fn ready(mut tokenizer: Tokenizer) -> Result<Tokenizer, String> {
    tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
    tokenizer.with_padding(None);
    // Nothing, one character, words, and what a vocabulary may have no token for.
    for text in [
        "",
        "a",
        "USER: What is it?\n",
        " \u{e9}\u{4e2d}\u{1f600}\u{0} 12,5\t<s></s>",
    ] {
        for special in [true, false] {
            let encoding = guard(|| tokenizer.encode(text, special))?;
            guard(|| tokenizer.decode(encoding.get_ids(), true))?;
        }
    }
    Ok(tokenizer)
}

/// Runs the library, which panics on some files that it reads without complaint.
pub(in crate::model) fn guard<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    // Without this a wrong tokenizer.json ended requests without a status. Nothing is kept of a
    // call that panicked.
    let done = catch_unwind(AssertUnwindSafe(run))
        .map_err(|_| "the tokenizer panicked; its file is wrong".to_owned())?;
    done.map_err(|e| e.to_string())
}

fn failed(reason: String) -> Error {
    Error::Text(format!("tokenizer: {reason}"))
}

fn encode(tokenizer: &Tokenizer, text: &str, special: bool) -> Result<Encoding, Error> {
    guard(|| tokenizer.encode(text, special)).map_err(failed)
}

fn decode(tokenizer: &Tokenizer, ids: &[u32]) -> Result<String, Error> {
    guard(|| tokenizer.decode(ids, true)).map_err(failed)
}

/// Turns tokens into text as they come, never cutting a UTF-8 character.
#[derive(Debug, Default)]
pub struct Detokenizer {
    ids: Vec<u32>,
    /// Start of the window that is decoded again: tokenizers write a token differently at the very
    /// start of a text.
    window: usize,
    /// Tokens whose text has been handed out.
    read: usize,
}

impl Detokenizer {
    /// Returns the text that became certain with `id`; empty while a character is incomplete.
    pub fn push(&mut self, id: u32, text: &Text) -> Result<String, Error> {
        self.ids.push(id);
        let (before, now) = self.decode(text)?;
        if now.len() <= before.len()
            // A character whose bytes are spread over tokens decodes to this until the last one is
            // there.
            || now.ends_with('\u{FFFD}')
            || !now.is_char_boundary(before.len())
        {
            return Ok(String::new());
        }
        self.window = self.read;
        self.read = self.ids.len();
        Ok(now[before.len()..].to_owned())
    }

    /// Returns what is left at the end, incomplete characters as U+FFFD.
    pub fn finish(&mut self, text: &Text) -> Result<String, Error> {
        let (before, now) = self.decode(text)?;
        self.read = self.ids.len();
        Ok(now.get(before.len()..).unwrap_or_default().to_owned())
    }

    fn decode(&self, text: &Text) -> Result<(String, String), Error> {
        Ok((
            text.decode(&self.ids[self.window..self.read])?,
            text.decode(&self.ids[self.window..])?,
        ))
    }
}
