//! Loading a model, step by step: files, configuration, digests, weights.

use std::sync::Arc;

use candle_core::{DType, Device};
use serde_json::Value;

use super::config::{self, Config, Merge};
use super::device_map::{self, Unread};
use super::embedded::SHAPES;
use super::gathered::{Gathered, around_images, check_image_token};
use super::memory_plan::MemoryPlan;
use super::source::Source;
use crate::model::by_name::ByName;
use crate::model::decoder::Decoder;
use crate::model::error::Error;
use crate::model::families::Family;
use crate::model::families::family::RowEnd;
use crate::model::generation::GenerationConfig;
use crate::model::lifetime::Lifetime;
use crate::model::llava::{Model, Packing, PartDigests};
use crate::model::projector::Projector;
use crate::model::resident::{
    DEFAULT_PROJECTOR, ResidentDecoder, ResidentProjector, ResidentTower,
};
use crate::model::text::chat::{Chat, ChatTemplate};
use crate::model::text::tokenizer::Text;
use crate::model::vision_tower::{TowerConfig, TowerInfo, feature_entries};
use crate::nn::{DeviceGroup, DeviceId, Home, HostTensor, for_host};
use crate::vision::{Processor, ProcessorBackend};
use crate::weights::{Checkpoint, Matrices, Tensors};

/// Says how a model is loaded.
#[derive(Debug)]
pub struct Load<'a> {
    /// Type of the tensors.
    pub dtype: DType,
    /// Says how matrices are kept, on a CPU.
    pub matrices: Matrices,
    /// Device of the tensors, or several over which the decoder's layers are spread.
    pub device: DeviceGroup,
    /// Bytes that they may take.
    pub budget: u64,
    /// Bytes that keys and values may take, for the plan of memory.
    pub keys_and_values: u64,
    /// Replaces the model's own chat template.
    pub chat_template: Option<&'a ChatTemplate>,
    /// Arithmetic that makes pixels of pictures; `None`: that of the class which the checkpoint
    /// names.
    pub image_processor: Option<ProcessorBackend>,
    /// Models whose parts may be shared.
    pub resident: &'a [Arc<Model>],
}

impl Load<'_> {
    /// Loads numbers of `dtype` to `device`, as the files say, within any budget.
    pub fn new(dtype: DType, device: DeviceGroup) -> Self {
        Self {
            dtype,
            matrices: Matrices::Numbers,
            device,
            budget: u64::MAX,
            keys_and_values: 0,
            chat_template: None,
            image_processor: None,
            resident: &[],
        }
    }
}

/// The devices that tensors are loaded to, on the thread that owns them.
#[expect(missing_debug_implementations, reason = "holds a closure")]
pub struct LoadTo<'a> {
    /// The devices of a model, in the order of its layers.
    pub devices: &'a [Device],
    /// The home of its tensors, which the calling thread is.
    pub home: &'a Home,
    /// Hears of bytes loaded and bytes in all, tensor by tensor.
    pub progress: &'a dyn Fn(u64, u64),
}

impl<'a> LoadTo<'a> {
    /// Returns the first device, which is the only one of what is not spread.
    pub fn device(&self) -> Result<&'a Device, Error> {
        let first = self.devices.first();
        first.ok_or_else(|| Error::Config("no device is open".into()))
    }
}

// How names begin, part by part; weights/names.rs gives every checkpoint these names.
const TOWER: [&str; 1] = ["vision_tower."];
const DECODER: [&str; 2] = ["language_model.", "lm_head."];
const BETWEEN: [&str; 2] = ["multi_modal_projector.", "image_newline"];

impl Model {
    /// Loads the model in `source` to `device` as `dtype`. A missing, misshapen or unused tensor is
    /// an error. On a CPU every thread may use it, else the calling one alone.
    pub fn load(name: &str, source: &Source, dtype: DType, device: &Device) -> Result<Self, Error> {
        let options = Load::new(dtype, DeviceId::of(device).into());
        // Memory of a CPU may be freed by any thread, memory of a card by its owner alone.
        let home = if device.is_cpu() {
            Home::host()
        } else {
            Home::here()
        };
        let to = LoadTo {
            devices: std::slice::from_ref(device),
            home: &home,
            progress: &|_, _| {},
        };
        Self::prepare(name, source, &options)?.load(&to)
    }

    /// Reads and checks all of a model but the tensors, whose bytes are digested: the part of
    /// loading that any thread can do. The model will share the tower or the decoder with a
    /// resident one whose own is equal, and keep within a budget of bytes.
    pub fn prepare(
        name: &str,
        source: &Source,
        options: &Load<'_>,
    ) -> Result<PreparedModel, Error> {
        PreparedModel::open(name, source, options)
    }
}

/// A model whose files have been read and checked, but for its tensors.
#[derive(Debug)]
pub struct PreparedModel {
    name: String,
    source: Source,
    dtype: DType,
    matrices: Matrices,
    device: DeviceGroup,
    budget: u64,
    keys_and_values: u64,
    /// config.json as Hugging Face writes it.
    json: Value,
    config: Config,
    family: &'static dyn Family,
    tower: Box<dyn TowerConfig>,
    text: Text,
    chat: Option<Chat>,
    processor: Processor,
    checkpoint: Checkpoint,
    digests: PartDigests,
    generation: GenerationConfig,
    eos: Vec<u32>,
    shared: Shared,
}

/// Parts of a resident model that serve this one, too.
#[derive(Debug, Default)]
struct Shared {
    tower: Option<ResidentTower>,
    decoder: Option<ResidentDecoder>,
}

/// Parts read from the weights.
struct Parts {
    tower: ResidentTower,
    projector: Projector,
    row_ends: Option<HostTensor>,
    decoder: ResidentDecoder,
    /// Numbers that were drawn at random for want of files.
    drawn: u64,
}

impl PreparedModel {
    /// Reads and checks what is said of the model.
    fn open(name: &str, source: &Source, options: &Load<'_>) -> Result<Self, Error> {
        let Gathered {
            config: json,
            processor,
            mut text,
            checkpoint,
        } = Gathered::from(source)?;
        // All that can be wrong beside the weights is looked for before one of them is read.
        let parsed = Config::parse(json.clone())?;
        let (config, family, tower) = (parsed.config, parsed.family, parsed.tower);
        // Before the chat template is tried, which writes this marker.
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
        let digests = PartDigests {
            tower: digest_part(&checkpoint, &json, "vision_config", &TOWER),
            decoder: digest_part(&checkpoint, &json, "text_config", &DECODER),
        };
        let answers: Value = source.json("generation_config.json")?.unwrap_or_default();
        let generation = GenerationConfig::parse(&answers, config.text_config.vocab_size)?;
        let matrices = kept_as(options.matrices, &checkpoint);
        let prepared = Self {
            name: name.to_owned(),
            source: source.clone(),
            dtype: options.dtype,
            matrices,
            device: options.device.clone(),
            budget: options.budget,
            keys_and_values: options.keys_and_values,
            eos: eos(&config, &text, &answers),
            shared: Shared::of(options, matrices, digests),
            json,
            config,
            family,
            tower,
            text,
            chat,
            processor,
            checkpoint,
            digests,
            generation,
        };
        // Last, since shared parts are known only now, and still before a device is touched.
        prepared.check_budget(prepared.own_bytes())?;
        prepared.check_layers()?;
        Ok(prepared)
    }

    /// Loads the tensors and puts the model together, on the thread that owns the device.
    pub fn load(self, to: &LoadTo<'_>) -> Result<Model, Error> {
        let mut parameters = self.checkpoint.parameters(&[""]);
        let mut resident_bytes = self.own_bytes();
        let parts = self.read(to)?;
        if parts.drawn > 0 {
            // Until now it was known about, by the configuration alone.
            parameters = parts.drawn;
            resident_bytes = self.bytes(parts.drawn) + self.copied_table();
            self.check_budget(resident_bytes)?;
        }
        let own_projector = Arc::new(ResidentProjector::new(parts.projector));
        let projectors = ByName::default();
        projectors.insert(DEFAULT_PROJECTOR, own_projector.clone());
        let model = Model {
            digest: self.digest(),
            name: self.name,
            source: self.source,
            family: self.family,
            eos: self.eos,
            text: self.text,
            chat: self.chat,
            processor: self.processor,
            tower: parts.tower,
            own_projector,
            projectors,
            saes: ByName::default(),
            lenses: ByName::default(),
            packing: Packing {
                row_ends: parts.row_ends,
                most_tiles: self.config.most_tiles()?,
                merge: self.config.mm_patch_merge_type,
            },
            decoder: parts.decoder,
            parts: self.digests,
            image_token: self.config.image_token_index,
            generation: self.generation,
            parameters,
            resident_bytes,
            dtype: self.dtype,
            matrices: self.matrices,
            device: self.device,
            opened: to.home.keep(to.device()?.clone())?,
            lifetime: Lifetime::default(),
        };
        // Of the model in the binary; no other source has embedded weights there.
        model.add_embedded_sae(SHAPES, &model.source.within("sae"))?;
        if !model.device.first().is_cpu()
            && let Err(error) = model.warm_up()
        {
            // A request will say it again, to whoever asks.
            tracing::warn!(%error, model = model.name, "the first pass failed");
        }
        Ok(model)
    }

    /// Returns the bytes that it shares with nobody, as far as files tell, or where they are to be
    /// drawn the configuration.
    fn own_bytes(&self) -> u64 {
        let unread = self.unread();
        if self.checkpoint.is_random() {
            return unread.drawn_bytes(self.shared.decoder.is_some());
        }
        // A projector is a model's own: two over one tower are seldom alike, and small.
        let mut own = unread.file_bytes(&[""]);
        if self.shared.tower.is_some() {
            own -= unread.file_bytes(&TOWER);
        }
        if self.shared.decoder.is_some() {
            own -= unread.file_bytes(&DECODER);
        }
        own + self.copied_table()
    }

    /// Returns the bytes of an embedding table that is on the last device, too, as the head.
    fn copied_table(&self) -> u64 {
        if self.shared.decoder.is_some() {
            return 0;
        }
        self.unread().copied_table()
    }

    fn bytes(&self, parameters: u64) -> u64 {
        parameters * self.dtype.size_in_bytes() as u64
    }

    fn check_budget(&self, needed: u64) -> Result<(), Error> {
        let left = self.budget;
        if needed > left {
            return Err(Error::Budget { needed, left });
        }
        Ok(())
    }

    /// Fails where there are fewer layers than devices.
    fn check_layers(&self) -> Result<(), Error> {
        let layers = self.config.text_config.num_hidden_layers;
        let devices = self.device.ids().len();
        if devices > layers {
            return Err(Error::Devices { devices, layers });
        }
        Ok(())
    }

    fn unread(&self) -> Unread<'_> {
        Unread {
            checkpoint: &self.checkpoint,
            config: &self.config,
            tower: &*self.tower,
            dtype: self.dtype,
            matrices: self.matrices,
            devices: &self.device,
            shares_tower: self.shared.tower.is_some(),
            keys_and_values: self.keys_and_values,
        }
    }

    /// Plans the memory of the devices, and says it; `None` where a resident decoder, whose layers
    /// have their places, is shared.
    fn plan(&self, devices: &[Device]) -> Result<Option<MemoryPlan>, Error> {
        if self.shared.decoder.is_some() {
            return Ok(None);
        }
        let plan = self.unread().plan(devices);
        if !plan.fits() {
            let plan = plan.to_string();
            return Err(Error::DeviceMemory { plan });
        }
        let model = &self.name;
        tracing::info!(model, %plan, "memory");
        if let Some(bytes) = plan.scarce_keys_and_values() {
            let mib = bytes >> 20;
            tracing::warn!(
                model,
                mib,
                "keys and values have less room than they may take"
            );
        }
        Ok(Some(plan))
    }

    /// Reads the weights of all parts that are not shared; a tensor that nobody reads is an error.
    fn read(&self, to: &LoadTo<'_>) -> Result<Parts, Error> {
        let plan = self.plan(to.devices)?;
        let mut weights = self
            .checkpoint
            .tensors(self.dtype, to.device()?, to.progress);
        weights.keep(self.matrices);
        if let Some(plan) = &plan {
            device_map::spread(&mut weights, plan, to.devices);
        }
        // What stands between tower and decoder is read on other threads, too, and copied to the
        // device when it first runs there.
        for prefix in BETWEEN {
            weights.place(prefix.to_owned(), &Device::Cpu);
        }
        let config = &self.config;
        let tower = if let Some(tower) = &self.shared.tower {
            ignore(&weights, &TOWER);
            tower.clone()
        } else {
            let features = feature_entries(&config.feature_layers()?, self.tower.layers())?;
            let strategy = config.vision_feature_select_strategy;
            let tower = self.tower.load(features, strategy, &weights)?;
            ResidentTower::new(tower, to.home)?
        };
        let width = tower.info().feature_width;
        // Made for the process: any thread may be the last to hold a projector.
        let projector = for_host(|| self.projector(width, &weights))?;
        let newline = self.newline(tower.info(), &weights)?;
        let decoder = if let Some(decoder) = &self.shared.decoder {
            ignore(&weights, &DECODER);
            decoder.clone()
        } else {
            let text = config.text_config.clone();
            let shares = plan.as_ref().map_or(&[][..], MemoryPlan::shares);
            let stages = shares.iter().map(|share| share.layers.clone()).collect();
            let decoder = Decoder::load(text, config.tied(), stages, &weights)?;
            ResidentDecoder::new(decoder, to.home)?
        };
        // Pixtral's are words of the decoder, which stand in the prompt between visual tokens.
        let row_ends = match self.family.row_end() {
            RowEnd::Tokens(tokens) => {
                let rows = decoder.embed(&self.row_ends(tokens)?)?; // (2, D)
                Some(HostTensor::download(&rows)?)
            }
            RowEnd::Newline | RowEnd::None => newline,
        };
        self.check_adapted_head()?;
        let drawn = weights.drawn();
        // Last: what nobody has asked for by now, nobody reads.
        weights.finish()?;
        Ok(Parts {
            tower,
            projector,
            row_ends,
            decoder,
            drawn,
        })
    }

    /// Reads the projector of features that are `width` wide.
    fn projector(&self, width: usize, weights: &Tensors<'_>) -> Result<Projector, Error> {
        let config = &self.config;
        // The families with a norm have a default for its epsilon, so that the zip loses none.
        let norm = self.family.projector_norm();
        Projector::load(
            (width, config.text_config.hidden_size),
            config.projector_layers(),
            config.projector_hidden_act,
            config.multimodal_projector_bias,
            norm.zip(config.projector_layernorm_eps),
            weights,
        )
    }

    /// Returns the ids of the tokens that end rows.
    fn row_ends(&self, tokens: &[(&str, &str)]) -> Result<Vec<u32>, Error> {
        let json: Option<Value> = self.source.json("processor_config.json")?;
        let json = json.unwrap_or_default();
        let ids = tokens.iter().map(|(field, name)| {
            let name = json[*field].as_str().unwrap_or(name);
            let missing = || Error::Config(format!("{field}: the tokenizer has no {name}"));
            self.text.token_id(name).ok_or_else(missing)
        });
        ids.collect()
    }

    /// Reads the vector that ends a row of a canvas, `(1, D)`, where the checkpoint has one.
    fn newline(
        &self,
        tower: &TowerInfo,
        weights: &Tensors<'_>,
    ) -> Result<Option<HostTensor>, Error> {
        if self.family.row_end() != RowEnd::Newline {
            return Ok(None);
        }
        // The newline goes behind rows of a whole grid, which either would break.
        if tower.keeps_class() || tower.drops_a_patch() {
            return Err(Error::Config(format!(
                "vision_feature_select_strategy: {} takes the patches alone",
                self.family.model_type()
            )));
        }
        if self.config.mm_patch_merge_type != Merge::SpatialUnpad {
            // Checkpoints keep the vector although this way of packing never reads it.
            weights.ignore("image_newline");
            return Ok(None);
        }
        let width = self.config.text_config.hidden_size;
        let newline = weights.get("image_newline", &[width])?;
        Ok(Some(HostTensor::download(&newline.unsqueeze(0)?)?))
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
    fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // As JSON with sorted keys: the order in the file, and its spaces, say nothing.
        hasher.update(self.json.to_string().as_bytes());
        hasher.update(self.digests.tower.as_bytes());
        hasher.update(self.digests.decoder.as_bytes());
        hasher.update(self.checkpoint.digest(&BETWEEN).as_bytes());
        if let Some(acts) = self
            .generation
            .acts(self.config.text_config.max_position_embeddings)
        {
            hasher.update(acts.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Digests the tensors under `prefixes` with all of config.json that shapes them.
fn digest_part(
    checkpoint: &Checkpoint,
    json: &Value,
    field: &str,
    prefixes: &[&str],
) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(checkpoint.digest(prefixes).as_bytes());
    // The tower's fields are in the decoder's digest, too. That costs a little sharing; leaving
    // them out would change the digest of every model in every record.
    for field in [
        field,
        "vision_feature_layer",
        "vision_feature_select_strategy",
        "tie_word_embeddings",
    ] {
        hasher.update(json[field].to_string().as_bytes());
    }
    // Older digests know nothing of these, so that each counts only where it is.
    for field in ["vision_feature_layers", "downsample_ratio"] {
        if let Some(value) = json.get(field) {
            hasher.update(value.to_string().as_bytes());
        }
    }
    hasher.finalize()
}

/// Returns how the matrices of a checkpoint are kept, where it is loaded as `asked`.
fn kept_as(asked: Matrices, checkpoint: &Checkpoint) -> Matrices {
    match asked {
        // Of files without blocks it says nothing, and must not keep equal parts apart.
        Matrices::Blocks if !checkpoint.has_blocks() => Matrices::Numbers,
        asked => asked,
    }
}

/// Returns the ids that end an answer: generation_config.json's, else config.json's, else `</s>`.
fn eos(config: &Config, text: &Text, answers: &Value) -> Vec<u32> {
    let mut eos = config::token_ids(&answers["eos_token_id"]);
    if eos.is_empty() {
        let own = config.text_config.eos_token_id.as_ref();
        eos = own.map(config::token_ids).unwrap_or_default();
    }
    // `LlamaConfig`'s default is 2, which is this token in the tokenizers of Llama and Vicuna.
    eos.extend(text.token_id("</s>").filter(|_| eos.is_empty()));
    eos
}

impl Shared {
    /// Finds resident parts with these digests, alike in their matrices, and of the dtype and the
    /// device of `options`.
    fn of(options: &Load<'_>, matrices: Matrices, digests: PartDigests) -> Self {
        // A part is on one device in one dtype, and gone with that device.
        let mut alike: Vec<&Arc<Model>> = options.resident.iter().collect();
        alike.retain(|m| (m.dtype, m.matrices) == (options.dtype, matrices));
        alike.retain(|m| m.device == options.device && m.is_live());
        let tower = alike.iter().find(|m| m.parts.tower == digests.tower);
        let decoder = alike.iter().find(|m| m.parts.decoder == digests.decoder);
        Self {
            tower: tower.map(|m| m.tower.clone()),
            decoder: decoder.map(|m| m.decoder.clone()),
        }
    }
}

fn ignore(weights: &Tensors<'_>, prefixes: &[&str]) {
    for prefix in prefixes {
        weights.ignore_all(prefix);
    }
}
