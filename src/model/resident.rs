//! A resident model of any family: its parts on one device.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use candle_core::{DType, Device, Tensor};
use jiff::civil::DateTime;
use serde_json::Value;

use super::config::{self, Config, Merge};
use super::family::tiles;
use super::lifetime::Lifetime;
use super::{Chat, ChatTemplate, Message, Rendered, Source, Text};
use super::{
    Decoder, Error, Family, GenerationConfig, ImageTokens, Projector, SelectStrategy, VisionTower,
};
use super::{IMAGE_MARKER, chat, chat_files, original, unsupported};
use crate::nn::{Hooks, Layout, Point, Site, Stack};
use crate::vision::{Picture, Processor, ProcessorBackend};
use crate::weights::{Checkpoint, Tensors};

/// A resident model.
#[derive(Debug)]
pub struct Model {
    /// Its name in requests.
    pub name: String,
    /// Where its files are.
    pub source: Source,
    /// What its family adds to the parts below.
    pub family: &'static dyn Family,
    /// Words to token ids and back.
    pub text: Text,
    /// Conversations to prompts; `None` where there is no chat template.
    pub chat: Option<Chat>,
    /// Pictures to pixels.
    pub processor: Processor,
    /// The vision tower.
    pub tower: Arc<VisionTower>,
    /// By name; the model's own is "default".
    projectors: RwLock<BTreeMap<String, Arc<Projector>>>,
    /// The model's own.
    projector: Arc<Projector>,
    /// Ends the rows of a canvas, `(D)`.
    pub newline: Option<Tensor>,
    /// The limit in `vision_aspect_ratio`.
    most_tiles: Option<usize>,
    /// Says how the views of a tiled picture are put together.
    merge: Merge,
    /// The language model.
    pub decoder: Arc<Decoder>,
    /// BLAKE3 of the tower's tensors and configuration, and of the decoder's.
    parts: (blake3::Hash, blake3::Hash),
    /// The id that stands for a visual token.
    pub image_token: u32,
    /// Ids that end an answer.
    pub eos: Vec<u32>,
    /// Says how it answers where a request does not say.
    pub generation: GenerationConfig,
    /// BLAKE3 (hex) of weights and configuration.
    pub digest: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of its tensors on the device that it shares with no model loaded before it.
    pub resident_bytes: u64,
    /// What the tensors are.
    pub dtype: DType,
    /// Where the tensors are.
    pub device: Device,
    /// Ends with the last holder of the model; the last field, so that the tensors go first.
    pub lifetime: Lifetime,
}

/// Says how a model is loaded.
#[expect(missing_debug_implementations, reason = "holds a closure")]
pub struct Load<'a> {
    /// What the tensors are kept as.
    pub dtype: DType,
    /// Where they go.
    pub device: &'a Device,
    /// Bytes that they may take.
    pub budget: u64,
    /// In place of the model's own chat template.
    pub chat_template: Option<&'a ChatTemplate>,
    /// Whose arithmetic makes pixels of pictures; `None`: that of the class which the checkpoint
    /// names.
    pub image_processor: Option<ProcessorBackend>,
    /// Models whose parts may be shared.
    pub resident: &'a [Arc<Model>],
    /// Hears of bytes loaded and bytes in all.
    pub progress: &'a dyn Fn(u64, u64),
}

const TOWER: [&str; 1] = ["vision_tower."];
const DECODER: [&str; 2] = ["language_model.", "lm_head."];

/// The name of the projector that a checkpoint brings.
pub const DEFAULT_PROJECTOR: &str = "default";

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

    /// The same, sharing the tower or the decoder with a resident model whose own is equal, within
    /// a budget of bytes.
    #[expect(
        clippy::too_many_lines,
        reason = "the steps of loading, one after the other"
    )]
    pub fn load_with(name: &str, source: &Source, options: &Load<'_>) -> Result<Self, Error> {
        let Load { dtype, device, .. } = *options;
        let Gathered {
            config: json,
            processor,
            mut text,
            checkpoint,
        } = Gathered::from(source)?;
        let (config, family) = Config::parse(json.clone())?;
        check_image_token(&config, &text)?;
        text.set_rows(config.text_config.vocab_size);
        let chat = Chat::load(
            source,
            options.chat_template,
            &text,
            config.image_token_index,
        )?;
        let processor = Processor::from_json(
            &processor,
            config.vision_config.image_size,
            family.tiling(),
            options.image_processor,
        )?;
        let part = |field: &str, prefixes: &[&str]| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(checkpoint.digest(prefixes).as_bytes());
            hasher.update(json[field].to_string().as_bytes());
            // What else shapes the parts.
            for field in [
                "vision_feature_layer",
                "vision_feature_select_strategy",
                "tie_word_embeddings",
            ] {
                hasher.update(json[field].to_string().as_bytes());
            }
            if let Some(layers) = json.get("vision_feature_layers") {
                hasher.update(layers.to_string().as_bytes());
            }
            hasher.finalize()
        };
        let parts = (part("vision_config", &TOWER), part("text_config", &DECODER));
        let like = |m: &&Arc<Self>| m.dtype == dtype && m.device.same_device(device);
        let tower = options
            .resident
            .iter()
            .filter(like)
            .find(|m| m.parts.0 == parts.0)
            .map(|m| m.tower.clone());
        let decoder = options
            .resident
            .iter()
            .filter(like)
            .find(|m| m.parts.1 == parts.1)
            .map(|m| m.decoder.clone());
        let shared = |prefixes: &[&str], found: bool| {
            if found {
                checkpoint.parameters(prefixes)
            } else {
                0
            }
        };
        let mut parameters = checkpoint.parameters(&[""]);
        let own =
            parameters - shared(&TOWER, tower.is_some()) - shared(&DECODER, decoder.is_some());
        let mut resident_bytes = own * dtype.size_in_bytes() as u64;
        if resident_bytes > options.budget {
            return Err(Error::Budget {
                needed: resident_bytes,
                left: options.budget,
            });
        }
        let weights = checkpoint.tensors(dtype, device, options.progress);
        let strategy = config.vision_feature_select_strategy;
        let tower = if let Some(tower) = tower {
            for prefix in TOWER {
                weights.ignore_all(prefix);
            }
            tower
        } else {
            Arc::new(VisionTower::load(
                config.vision_config.clone(),
                &config.feature_layers()?,
                strategy,
                &weights,
            )?)
        };
        let projector = Arc::new(Projector::load(
            (tower.feature_width(), config.text_config.hidden_size),
            config.projector_layers.unwrap_or(2),
            config.projector_hidden_act,
            config.multimodal_projector_bias,
            config
                .projector_layernorm_eps
                .filter(|_| family.has_projector_norm()),
            &weights,
        )?);
        if family.has_newline() && tower.tokens() != tower.config().grid().pow(2) {
            let message = format!(
                "vision_feature_select_strategy: {} takes the patches alone",
                family.model_type()
            );
            return Err(Error::Config(message));
        }
        let newline = newline(family, &config, &weights)?;
        let decoder = if let Some(decoder) = decoder {
            for prefix in DECODER {
                weights.ignore_all(prefix);
            }
            decoder
        } else {
            Arc::new(Decoder::load(
                config.text_config.clone(),
                config.tied(),
                &weights,
            )?)
        };
        check_adapted_head(&config, &checkpoint)?;
        let drawn = weights.drawn();
        weights.finish()?;
        if drawn > 0 {
            (parameters, resident_bytes) = (drawn, drawn * dtype.size_in_bytes() as u64);
            if resident_bytes > options.budget {
                return Err(Error::Budget {
                    needed: resident_bytes,
                    left: options.budget,
                });
            }
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(json.to_string().as_bytes());
        hasher.update(parts.0.as_bytes()).update(parts.1.as_bytes());
        hasher.update(
            checkpoint
                .digest(&["multi_modal_projector.", "image_newline"])
                .as_bytes(),
        );
        let answers: serde_json::Value = source.json("generation_config.json")?.unwrap_or_default();
        let generation = GenerationConfig::parse(&answers, config.text_config.vocab_size)?;
        if let Some(acts) = generation.acts(config.text_config.max_position_embeddings) {
            hasher.update(acts.as_bytes());
        }
        let mut eos = config::token_ids(&answers["eos_token_id"]);
        if eos.is_empty() {
            eos = config
                .text_config
                .eos_token_id
                .as_ref()
                .map(config::token_ids)
                .unwrap_or_default();
        }
        eos.extend(text.token_id("</s>").filter(|_| eos.is_empty()));
        Ok(Self {
            name: name.to_owned(),
            source: source.clone(),
            family,
            text,
            chat,
            processor,
            tower,
            projectors: RwLock::new(BTreeMap::from([(
                DEFAULT_PROJECTOR.to_owned(),
                projector.clone(),
            )])),
            projector,
            newline,
            most_tiles: config.most_tiles()?,
            merge: config.mm_patch_merge_type,
            decoder,
            image_token: config.image_token_index,
            eos,
            generation,
            digest: hasher.finalize().to_hex().to_string(),
            parameters,
            resident_bytes,
            parts,
            dtype,
            device: device.clone(),
            lifetime: Lifetime::default(),
        })
    }

    /// Makes the projector in a file (safetensors, or PyTorch's) resident under `name`; it must
    /// have the shapes of the model's own. One of that name is replaced.
    pub fn add_projector(&self, name: &str, path: &Path) -> Result<(), Error> {
        let checkpoint = Checkpoint::open(&[path.to_owned()])?;
        let weights = checkpoint.tensors(self.dtype, &self.device, &|_, _| {});
        let projector = Arc::new(self.projector.reload(&weights)?);
        weights.finish()?;
        self.projectors
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), projector);
        Ok(())
    }

    /// The projector that the checkpoint brings.
    pub fn own_projector(&self) -> &Arc<Projector> {
        &self.projector
    }

    /// A resident projector.
    pub fn projector(&self, name: &str) -> Option<Arc<Projector>> {
        self.projectors
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// Names of the resident projectors.
    pub fn projector_names(&self) -> Vec<String> {
        self.projectors
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }

    /// The views of a picture as the tower takes them: `(V, 3, S, S)`.
    pub fn pixels(&self, picture: &Picture) -> Result<Tensor, Error> {
        let views = picture.views();
        let values: Vec<f32> = views
            .iter()
            .flat_map(|v| self.processor.normalise(v))
            .collect();
        let shape = (views.len(), 3, picture.side(), picture.side());
        Ok(Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype)?)
    }

    /// The visual tokens of a picture.
    pub fn tokens(&self, picture: &Picture) -> ImageTokens {
        let class = self.tower.has_class() && self.tower.strategy() == SelectStrategy::Full;
        let side = self.tower.config().grid();
        match (self.merge, tiles(picture)) {
            _ if self.tower.drops_a_patch() => ImageTokens::of_view_without_first(side),
            (Merge::SpatialUnpad, _) => self.family.tokens(picture, side, class, self.most_tiles),
            (merge, Some(tiles)) => ImageTokens::of_padded_tiles(side, tiles, merge == Merge::Flat),
            (_, None) => ImageTokens::of_view(side, class),
        }
    }

    /// The projector's output for all views of `pictures` (with the sequence that each belongs to,
    /// and its place there), `(V N, D)`, as visual tokens end to end, `(N, D)`.
    pub fn pack<'a>(
        &self,
        projected: &Tensor,
        pictures: impl Iterator<Item = (usize, usize, &'a ImageTokens)>,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        let (mut layout, mut parts) = (Layout::default(), Vec::new());
        let mut first = 0;
        for (sequence, image, tokens) in pictures {
            let rows = tokens.views * self.tower.tokens();
            let packed = tokens.pack(&projected.narrow(0, first, rows)?, self.newline.as_ref())?;
            layout.push_sequence(sequence, (image, 0), packed.dim(0)?);
            parts.push(packed);
            first += rows;
        }
        Ok(hooks.on(
            Point::of(Stack::Projector, Site::Tokens),
            &layout.spans,
            Tensor::cat(&parts, 0)?,
        )?)
    }

    /// The prompt that a conversation makes, by the chat template. `time` is what a template says
    /// that names it; unsaid: now.
    pub fn render(&self, messages: &[Message], time: Option<DateTime>) -> Result<Rendered, Error> {
        match &self.chat {
            Some(chat) => chat.render(messages, time),
            None => Err(Error::NoChatTemplate {
                model: self.name.clone(),
                mend: chat::what_to_pass(),
            }),
        }
    }

    /// Token ids with one image token for each picture, spread out over the visual tokens of
    /// `images`, with rotary positions.
    pub fn expand(&self, ids: &[u32], images: &[ImageTokens]) -> Prompt {
        let mut prompt = Prompt::default();
        let mut images = images.iter();
        for &id in ids {
            let image = if id == self.image_token {
                images.next()
            } else {
                None
            };
            let (offsets, extent) = image.map_or((&[0][..], 1), |i| (&i.offsets, i.extent));
            prompt.ids.extend(std::iter::repeat_n(id, offsets.len()));
            prompt
                .positions
                .extend(offsets.iter().map(|o| prompt.next + o));
            prompt.next += extent as u32;
        }
        prompt
    }
}

/// Fails where config.json names another token for a picture than the tokenizer has.
fn check_image_token(config: &Config, text: &Text) -> Result<(), Error> {
    let known = text.token_id(IMAGE_MARKER);
    if text.places_images() && known.is_none_or(|id| id == config.image_token_index) {
        return Ok(());
    }
    let known = known.map_or_else(|| "not there".into(), |id| format!("token {id}"));
    let index = config.image_token_index;
    Err(Error::Config(format!(
        "image_token_index {index}; the tokenizer's {IMAGE_MARKER} is {known}"
    )))
}

/// The vector that ends a row of a canvas, where the model puts one there.
fn newline(
    family: &dyn Family,
    config: &Config,
    weights: &Tensors<'_>,
) -> Result<Option<Tensor>, Error> {
    if !family.has_newline() {
        return Ok(None);
    }
    if config.mm_patch_merge_type != Merge::SpatialUnpad {
        weights.ignore("image_newline");
        return Ok(None);
    }
    Ok(Some(
        weights.get("image_newline", &[config.text_config.hidden_size])?,
    ))
}

/// Fails on an adapter of a head that is tied: PEFT would add to the one tensor that head and table
/// are.
fn check_adapted_head(config: &Config, checkpoint: &Checkpoint) -> Result<(), Error> {
    let adapted = checkpoint.is_adapted("lm_head.weight")
        || checkpoint.is_replaced("language_model.embed_tokens.weight");
    let message = "tie_word_embeddings: an adapter of a tied lm_head, or an embed_tokens of its own, is not supported";
    if config.tied() && adapted {
        Err(Error::Config(message.into()))
    } else {
        Ok(())
    }
}

/// A prompt as the language model reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// One image token for each visual token.
    pub ids: Vec<u32>,
    /// The rotary position of each.
    pub positions: Vec<u32>,
    /// The rotary position of what comes next.
    pub next: u32,
}

/// What a model's files say, whoever wrote them.
struct Gathered {
    /// As Hugging Face writes it.
    config: Value,
    processor: Value,
    text: Text,
    checkpoint: Checkpoint,
}

impl Gathered {
    fn from(source: &Source) -> Result<Self, Error> {
        let config = unsupported::config(source)?;
        let (mut text, mut checkpoint) = (Text::load(source)?, source.checkpoint()?);
        if !original::is_original(&config) {
            let processor = chat_files::image_processor(source)?;
            // transformers cuts by the processor's and packs by config.json's.
            let (cut, packed) = (
                &processor["image_grid_pinpoints"],
                &config["image_grid_pinpoints"],
            );
            if cut.is_array() && packed.is_array() && cut != packed {
                let message = "image_grid_pinpoints differ from those of preprocessor_config.json; they must be the same";
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
        let tower = original::tower(&config, source, !within)?;
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
