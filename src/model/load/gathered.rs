//! A model's files before anything of them is used, whoever wrote them: Hugging Face's form, or the
//! original LLaVA's, which is translated.

use serde_json::Value;

use super::config::Config;
use super::origin::Origin;
use super::original;
use super::source::{Source, is_original};
use super::unsupported::{self, Purpose};
use crate::model::error::Error;
use crate::model::text::chat_files;
use crate::model::text::tokenizer::Text;
use crate::weights::Checkpoint;

/// Content of a model's files, whoever wrote them.
pub(super) struct Gathered {
    /// config.json as Hugging Face writes it.
    pub(super) config: Value,
    pub(super) processor: Value,
    pub(super) text: Text,
    pub(super) checkpoint: Checkpoint,
}

impl Gathered {
    pub(super) fn from(source: &Source) -> Result<Self, Error> {
        let config = unsupported::config(source)?;
        let (mut text, mut checkpoint) = (Text::load(source)?, source.checkpoint()?);
        if !is_original(&config) {
            return Self::of_transformers(source, config, text, checkpoint);
        }
        // Drawn weights have every tensor that is asked for.
        let within = checkpoint.has_any("vision_tower.") || checkpoint.is_random();
        let tower = original_tower(&config, source, !within)?;
        let tower_config: Value = tower
            .json("config.json")?
            .ok_or_else(|| tower.missing("config.json"))?;
        if !within {
            let theirs = tower.checkpoint()?;
            // A tower that transformers saved by itself may lack the prefix.
            let from = if theirs.has_any("vision_model.") {
                "vision_model."
            } else {
                ""
            };
            checkpoint.graft(theirs, from, "vision_tower.");
        }
        original::add_tokens(&config, &mut text)?;
        // The original has no such token (it splices at -200), so the first id beyond the table
        // stands for it.
        let image_token = text.image_token(config["vocab_size"].as_u64().unwrap_or(32_000) as u32);
        let config = original::translate(&config, &tower_config, image_token, &checkpoint)?;
        let side = config["vision_config"]["image_size"]
            .as_u64()
            // `CLIPVisionConfig`'s default.
            .unwrap_or(224);
        let processor = original::processor(
            &config["text_config"],
            chat_files::image_processor(&tower)?,
            side,
        )?;
        Ok(Self {
            config,
            processor,
            text,
            checkpoint,
        })
    }

    /// Gathers a model in the form that transformers writes.
    fn of_transformers(
        source: &Source,
        config: Value,
        mut text: Text,
        checkpoint: Checkpoint,
    ) -> Result<Self, Error> {
        if matches!(source, Source::Gguf(_)) {
            // Vocabularies of the original LLaVA have no such token.
            let rows = config["text_config"]["vocab_size"].as_u64();
            text.image_token(rows.unwrap_or_default() as u32);
        }
        let processor = chat_files::image_processor(source)?;
        // transformers cuts by the processor's and packs by config.json's.
        let (cut, packed) = (
            &processor["image_grid_pinpoints"],
            &config["image_grid_pinpoints"],
        );
        if cut.is_array() && packed.is_array() && cut != packed {
            let message = "image_grid_pinpoints differ from those of \
                           preprocessor_config.json; they must be the same";
            return Err(Error::Config(message.into()));
        }
        Ok(Self {
            config,
            processor,
            text,
            checkpoint,
        })
    }
}

/// Finds the tower: a folder, one within the model's, or an id of the hub. Its weights are
/// fetched where `weights` says.
fn original_tower(config: &Value, source: &Source, weights: bool) -> Result<Source, Error> {
    // Empty was refused by `unsupported::config`.
    let place = config["mm_vision_tower"].as_str().unwrap_or_default();
    let within = source.within(place);
    if within.is_folder() {
        return Ok(within);
    }
    let origin: Origin = place
        .parse()
        .map_err(|e| Error::Config(format!("mm_vision_tower: {e}")))?;
    // Where the model's own checkpoint has the tower (LLaVA-1.6), CLIP's 1.7 GB are not fetched for
    // its two small files.
    if weights {
        origin.fetch(Purpose::Part, &mut |_, _, _| {})
    } else {
        origin.fetch_text(&mut |_, _, _| {})
    }
}

/// Reads the words that stand around every picture: by the fields of the tokenizer's configuration,
/// else as the family has them.
pub(super) fn around_images(
    source: &Source,
    words: [(&str, &str); 2],
    text: &Text,
) -> Result<[String; 2], Error> {
    let tokenizer: Value = source.json("tokenizer_config.json")?.unwrap_or_default();
    let around = words.map(|(field, default)| {
        // Newer versions of transformers write such tokens into an object of their own.
        let named = [&tokenizer["extra_special_tokens"][field], &tokenizer[field]];
        let named = named.into_iter().find_map(Value::as_str);
        named.unwrap_or(default).to_owned()
    });
    match around.iter().find(|word| text.token_id(word).is_none()) {
        Some(word) => Err(Error::Text(format!("tokenizer: no {word}"))),
        None => Ok(around),
    }
}

/// Fails where config.json names another token for a picture than the tokenizer has.
pub(super) fn check_image_token(config: &Config, text: &Text) -> Result<(), Error> {
    let known = text.token_id(text.image_marker());
    // A tokenizer without the token is well where the id is beyond the vocabulary, as in folders of
    // the original LLaVA, and markers are translated to it.
    if text.places_images() && known.is_none_or(|id| id == config.image_token_index) {
        return Ok(());
    }
    let known = known.map_or_else(|| "not there".into(), |id| format!("token {id}"));
    let index = config.image_token_index;
    Err(Error::Config(format!(
        "image_token_index {index}; the tokenizer's {} is {known}",
        text.image_marker()
    )))
}
