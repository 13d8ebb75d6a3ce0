//! Loading a model, step by step: files, configuration, digests, weights.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::config::{self, Config, Merge};
use super::origin::Origin;
use super::original;
use super::source::{Source, is_original};
use super::unsupported::{self, Purpose};
use crate::model::decoder::Decoder;
use crate::model::error::Error;
use crate::model::families::Family;
use crate::model::families::family::RowEnd;
use crate::model::generation::GenerationConfig;
use crate::model::lifetime::Lifetime;
use crate::model::llava::{Model, PartDigests};
use crate::model::packing::Packing;
use crate::model::projector::Projector;
use crate::model::projectors::Projectors;
use crate::model::text::chat::{Chat, ChatTemplate};
use crate::model::text::chat_files;
use crate::model::text::tokenizer::Text;
use crate::model::vision_tower::{TowerConfig, VisionTower, feature_entries};
use crate::vision::{Processor, ProcessorBackend};
use crate::weights::{Checkpoint, Tensors};

/// Says how a model is loaded.
#[expect(missing_debug_implementations, reason = "holds a closure")]
pub struct Load<'a> {
    /// Type of the tensors.
    pub dtype: DType,
    /// Device of the tensors.
    pub device: &'a Device,
    /// Bytes that they may take.
    pub budget: u64,
    /// Replaces the model's own chat template.
    pub chat_template: Option<&'a ChatTemplate>,
    /// Arithmetic that makes pixels of pictures; `None`: that of the class which the checkpoint
    /// names.
    pub image_processor: Option<ProcessorBackend>,
    /// Models whose parts may be shared.
    pub resident: &'a [Arc<Model>],
    /// Hears of bytes loaded and bytes in all.
    pub progress: &'a dyn Fn(u64, u64),
}

const TOWER: [&str; 1] = ["vision_tower."];
const DECODER: [&str; 2] = ["language_model.", "lm_head."];
const BETWEEN: [&str; 2] = ["multi_modal_projector.", "image_newline"];

impl Model {
    /// Loads the model in `source` to `device` as `dtype`. A missing, misshapen or unused tensor is
    /// an error.
    pub fn load(name: &str, source: &Source, dtype: DType, device: &Device) -> Result<Self, Error> {
        let options = Load {
            dtype,
            device,
            budget: u64::MAX,
            image_processor: None,
            chat_template: None,
            resident: &[],
            progress: &|_, _| {},
        };
        Self::load_with(name, source, &options)
    }

    /// Loads it, sharing the tower or the decoder with a resident model whose own is equal, within
    /// a budget of bytes.
    pub fn load_with(name: &str, source: &Source, options: &Load<'_>) -> Result<Self, Error> {
        Loader::open(source, options)?.load(name)
    }
}

/// A model whose files have been read and checked, but for its weights.
struct Loader<'a> {
    source: &'a Source,
    options: &'a Load<'a>,
    /// config.json as Hugging Face writes it.
    json: Value,
    config: Config,
    family: &'static dyn Family,
    tower: Box<dyn TowerConfig>,
    text: Text,
    chat: Option<Chat>,
    processor: Processor,
    checkpoint: Checkpoint,
}

/// Parts of a resident model that serve this one, too.
struct Shared {
    tower: Option<Arc<dyn VisionTower>>,
    decoder: Option<Arc<Decoder>>,
}

/// Parts read from the weights.
struct Parts {
    tower: Arc<dyn VisionTower>,
    projector: Projector,
    row_ends: Option<Tensor>,
    decoder: Arc<Decoder>,
    /// Numbers that were drawn at random for want of files.
    drawn: u64,
}

impl<'a> Loader<'a> {
    /// Reads and checks what is said of the model.
    fn open(source: &'a Source, options: &'a Load<'a>) -> Result<Self, Error> {
        let Gathered {
            config: json,
            processor,
            mut text,
            checkpoint,
        } = Gathered::from(source)?;
        let parsed = Config::parse(json.clone())?;
        let (config, family, tower) = (parsed.config, parsed.family, parsed.tower);
        text.set_image_marker(family.image_marker());
        if let Some(words) = family.around_images() {
            text.set_around_images(around_images(source, words, &text)?);
        }
        check_image_token(&config, &text)?;
        text.set_rows(config.text_config.vocab_size);
        let image_token = config.image_token_index;
        let chat = Chat::load(source, options.chat_template, &text, image_token)?;
        let processor = Processor::from_json(
            &processor,
            tower.image_size(),
            family.tiling(&*tower),
            options.image_processor,
        )?;
        Ok(Self {
            source,
            options,
            json,
            config,
            family,
            tower,
            text,
            chat,
            processor,
            checkpoint,
        })
    }

    /// Loads the weights and puts the model together.
    fn load(self, name: &str) -> Result<Model, Error> {
        let digests = PartDigests {
            tower: self.digest_part("vision_config", &TOWER),
            decoder: self.digest_part("text_config", &DECODER),
        };
        let shared = self.shared(digests);
        let mut parameters = self.checkpoint.parameters(&[""]);
        let mut resident_bytes = self.bytes(self.own_parameters(parameters, &shared));
        self.check_budget(resident_bytes)?;
        let parts = self.read(shared)?;
        if parts.drawn > 0 {
            // Without files there was nothing to count before.
            (parameters, resident_bytes) = (parts.drawn, self.bytes(parts.drawn));
            self.check_budget(resident_bytes)?;
        }
        let answers: Value = self
            .source
            .json("generation_config.json")?
            .unwrap_or_default();
        let generation = GenerationConfig::parse(&answers, self.config.text_config.vocab_size)?;
        Ok(Model {
            name: name.to_owned(),
            source: self.source.clone(),
            family: self.family,
            digest: self.digest(digests, &generation),
            eos: self.eos(&answers),
            text: self.text,
            chat: self.chat,
            processor: self.processor,
            tower: parts.tower,
            projectors: Projectors::new(Arc::new(parts.projector)),
            packing: Packing {
                row_ends: parts.row_ends,
                most_tiles: self.config.most_tiles()?,
                merge: self.config.mm_patch_merge_type,
            },
            decoder: parts.decoder,
            parts: digests,
            image_token: self.config.image_token_index,
            generation,
            parameters,
            resident_bytes,
            dtype: self.options.dtype,
            device: self.options.device.clone(),
            lifetime: Lifetime::default(),
        })
    }

    /// Digests the tensors under `prefixes` with all of config.json that shapes them.
    fn digest_part(&self, field: &str, prefixes: &[&str]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.checkpoint.digest(prefixes).as_bytes());
        for field in [
            field,
            "vision_feature_layer",
            "vision_feature_select_strategy",
            "tie_word_embeddings",
        ] {
            hasher.update(self.json[field].to_string().as_bytes());
        }
        // Older digests know nothing of these, so that each counts only where it is.
        for field in ["vision_feature_layers", "downsample_ratio"] {
            if let Some(value) = self.json.get(field) {
                hasher.update(value.to_string().as_bytes());
            }
        }
        hasher.finalize()
    }

    /// Finds resident parts with these digests, dtype and device.
    fn shared(&self, digests: PartDigests) -> Shared {
        let (dtype, device) = (self.options.dtype, self.options.device);
        let alike = |m: &&Arc<Model>| m.dtype == dtype && m.device.same_device(device);
        let alike: Vec<&Arc<Model>> = self.options.resident.iter().filter(alike).collect();
        let tower = alike.iter().find(|m| m.parts.tower == digests.tower);
        let decoder = alike.iter().find(|m| m.parts.decoder == digests.decoder);
        Shared {
            tower: tower.map(|m| m.tower.clone()),
            decoder: decoder.map(|m| m.decoder.clone()),
        }
    }

    /// Returns how many of `all` parameters are shared with nobody.
    fn own_parameters(&self, all: u64, shared: &Shared) -> u64 {
        let mut own = all;
        if shared.tower.is_some() {
            own -= self.checkpoint.parameters(&TOWER);
        }
        if shared.decoder.is_some() {
            own -= self.checkpoint.parameters(&DECODER);
        }
        own
    }

    fn bytes(&self, parameters: u64) -> u64 {
        parameters * self.options.dtype.size_in_bytes() as u64
    }

    fn check_budget(&self, needed: u64) -> Result<(), Error> {
        let left = self.options.budget;
        if needed > left {
            return Err(Error::Budget { needed, left });
        }
        Ok(())
    }

    /// Reads the weights of all parts that are not shared; a tensor that nobody reads is an error.
    fn read(&self, shared: Shared) -> Result<Parts, Error> {
        let Load { dtype, device, .. } = *self.options;
        let weights = self
            .checkpoint
            .tensors(dtype, device, self.options.progress);
        let (config, family) = (&self.config, self.family);
        let tower = if let Some(tower) = shared.tower {
            ignore(&weights, &TOWER);
            tower
        } else {
            let features = feature_entries(&config.feature_layers()?, self.tower.layers())?;
            let strategy = config.vision_feature_select_strategy;
            self.tower.load(features, strategy, &weights)?
        };
        let norm = family.projector_norm().zip(config.projector_layernorm_eps);
        let projector = Projector::load(
            (tower.info().feature_width, config.text_config.hidden_size),
            config.projector_layers.unwrap_or(2),
            config.projector_hidden_act,
            config.multimodal_projector_bias,
            norm,
            &weights,
        )?;
        let newline = self.newline(&*tower, &weights)?;
        let decoder = if let Some(decoder) = shared.decoder {
            ignore(&weights, &DECODER);
            decoder
        } else {
            let text = config.text_config.clone();
            Arc::new(Decoder::load(text, config.tied(), &weights)?)
        };
        let row_ends = match self.family.row_end() {
            RowEnd::Tokens(tokens) => Some(decoder.embed(&self.row_ends(tokens)?)?), // (2, D)
            RowEnd::Newline | RowEnd::None => newline,
        };
        self.check_adapted_head()?;
        let drawn = weights.drawn();
        weights.finish()?;
        Ok(Parts {
            tower,
            projector,
            row_ends,
            decoder,
            drawn,
        })
    }

    /// Returns the ids of the tokens that end rows.
    fn row_ends(&self, tokens: &[(&str, &str)]) -> Result<Vec<u32>, Error> {
        let json: Option<Value> = self.source.json("processor_config.json")?;
        let json = json.unwrap_or_default();
        let id = |(field, name): &(&str, &str)| {
            let name = json[*field].as_str().unwrap_or(name);
            let missing = || Error::Config(format!("{field}: the tokenizer has no {name}"));
            self.text.token_id(name).ok_or_else(missing)
        };
        tokens.iter().map(id).collect()
    }

    /// Reads the vector that ends a row of a canvas, `(1, D)`, where the checkpoint has one.
    fn newline(
        &self,
        tower: &dyn VisionTower,
        weights: &Tensors<'_>,
    ) -> Result<Option<Tensor>, Error> {
        if self.family.row_end() != RowEnd::Newline {
            return Ok(None);
        }
        let info = tower.info();
        if info.keeps_class() || info.drops_a_patch() {
            return Err(Error::Config(format!(
                "vision_feature_select_strategy: {} takes the patches alone",
                self.family.model_type()
            )));
        }
        if self.config.mm_patch_merge_type != Merge::SpatialUnpad {
            weights.ignore("image_newline");
            return Ok(None);
        }
        let width = self.config.text_config.hidden_size;
        Ok(Some(weights.get("image_newline", &[width])?.unsqueeze(0)?))
    }

    /// Fails on an adapter of a head that is tied: PEFT would add to the one tensor that head and
    /// table are.
    fn check_adapted_head(&self) -> Result<(), Error> {
        let adapted = self.checkpoint.is_adapted("lm_head.weight")
            || self
                .checkpoint
                .is_replaced("language_model.embed_tokens.weight");
        if self.config.tied() && adapted {
            let message = "tie_word_embeddings: an adapter of a tied lm_head, \
                           or an embed_tokens of its own, is not supported";
            return Err(Error::Config(message.into()));
        }
        Ok(())
    }

    /// Digests weights, configuration and what of generation_config.json changes answers.
    fn digest(&self, parts: PartDigests, generation: &GenerationConfig) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.json.to_string().as_bytes());
        hasher.update(parts.tower.as_bytes());
        hasher.update(parts.decoder.as_bytes());
        hasher.update(self.checkpoint.digest(&BETWEEN).as_bytes());
        if let Some(acts) = generation.acts(self.config.text_config.max_position_embeddings) {
            hasher.update(acts.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Returns the ids that end an answer: generation_config.json's, else config.json's, else
    /// `</s>`.
    fn eos(&self, answers: &Value) -> Vec<u32> {
        let mut eos = config::token_ids(&answers["eos_token_id"]);
        if eos.is_empty() {
            let own = self.config.text_config.eos_token_id.as_ref();
            eos = own.map(config::token_ids).unwrap_or_default();
        }
        eos.extend(self.text.token_id("</s>").filter(|_| eos.is_empty()));
        eos
    }
}

fn ignore(weights: &Tensors<'_>, prefixes: &[&str]) {
    for prefix in prefixes {
        weights.ignore_all(prefix);
    }
}

/// Reads the words that stand around every picture: by the fields of the tokenizer's configuration,
/// else as the family has them.
fn around_images(
    source: &Source,
    words: [(&str, &str); 2],
    text: &Text,
) -> Result<[String; 2], Error> {
    let tokenizer: Value = source.json("tokenizer_config.json")?.unwrap_or_default();
    let named = |(field, default): (&str, &str)| {
        let named = [&tokenizer["extra_special_tokens"][field], &tokenizer[field]];
        let named = named.into_iter().find_map(Value::as_str);
        named.unwrap_or(default).to_owned()
    };
    let around = words.map(named);
    match around.iter().find(|word| text.token_id(word).is_none()) {
        Some(word) => Err(Error::Text(format!("tokenizer: no {word}"))),
        None => Ok(around),
    }
}

/// Fails where config.json names another token for a picture than the tokenizer has.
fn check_image_token(config: &Config, text: &Text) -> Result<(), Error> {
    let known = text.token_id(text.image_marker());
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

/// Finds the tower: a folder, one within the model's, or an id of the hub. Its weights are
/// fetched where `weights` says.
fn original_tower(config: &Value, source: &Source, weights: bool) -> Result<Source, Error> {
    let place = config["mm_vision_tower"].as_str().unwrap_or_default();
    let within = source.within(place);
    if within.is_folder() {
        return Ok(within);
    }
    let origin: Origin = place
        .parse()
        .map_err(|e| Error::Config(format!("mm_vision_tower: {e}")))?;
    if weights {
        origin.fetch(Purpose::Part, &mut |_, _, _| {})
    } else {
        origin.fetch_text(&mut |_, _, _| {})
    }
}

/// Content of a model's files, whoever wrote them.
struct Gathered {
    /// config.json as Hugging Face writes it.
    config: Value,
    processor: Value,
    text: Text,
    checkpoint: Checkpoint,
}

impl Gathered {
    fn from(source: &Source) -> Result<Self, Error> {
        let config = unsupported::config(source)?;
        let (mut text, mut checkpoint) = (Text::load(source)?, source.checkpoint()?);
        if !is_original(&config) {
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
            return Ok(Self {
                config,
                processor,
                text,
                checkpoint,
            });
        }
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
        let image_token = text.image_token(config["vocab_size"].as_u64().unwrap_or(32_000) as u32);
        let config = original::translate(&config, &tower_config, image_token, &checkpoint)?;
        let side = config["vision_config"]["image_size"]
            .as_u64()
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
}
