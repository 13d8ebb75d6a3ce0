//! LLaVA-1.5 (Liu et al. 2023): CLIP tower, MLP projector, Llama decoder; the visual tokens stand where the prompt says.
//!
//! The reference is Hugging Face's `LlavaForConditionalGeneration`.

mod config;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

pub use config::Config;

use super::{Decoder, Error, Projector, Source, Text, VisionTower};
use crate::vision::{Processor, Rgb};
use crate::weights::Checkpoint;

/// A resident model.
#[derive(Debug)]
pub struct Model {
    /// Its name in requests.
    pub name: String,
    /// Words to token ids and back.
    pub text: Text,
    /// Pictures to pixels.
    pub processor: Processor,
    /// The vision tower.
    pub tower: VisionTower,
    /// By name; the model's own is "default".
    pub projectors: BTreeMap<String, Arc<Projector>>,
    /// The language model.
    pub decoder: Decoder,
    /// The id that stands for a visual token.
    pub image_token: u32,
    /// Ids that end an answer.
    pub eos: Vec<u32>,
    /// BLAKE3 (hex) of weights and configuration.
    pub digest: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of its tensors on the device.
    pub resident_bytes: u64,
    /// What the tensors are.
    pub dtype: DType,
    /// Where the tensors are.
    pub device: Device,
}

/// The name of the projector that a checkpoint brings.
pub const DEFAULT_PROJECTOR: &str = "default";

impl Model {
    /// Loads the model in `source` to `device` as `dtype`. A missing, misshapen or unused tensor is an error.
    pub fn load(name: &str, source: &Source, dtype: DType, device: &Device) -> Result<Self, Error> {
        let raw = source.require("config.json")?;
        let config = Config::parse(&raw)?;
        let processor_config: Option<serde_json::Value> = match source.json("preprocessor_config.json")? {
            Some(json) => Some(json),
            None => source.json("processor_config.json")?,
        };
        let processor_config = processor_config.ok_or_else(|| source.missing("preprocessor_config.json"))?;
        let processor = Processor::from_json(&processor_config, config.vision_config.image_size)?;
        let text = Text::load(source)?;
        let checkpoint = source.checkpoint()?;
        let weights = checkpoint.tensors(dtype, device);
        let strategy = config.vision_feature_select_strategy;
        let tower = VisionTower::load(config.vision_config.clone(), config.feature_layer()?, strategy, &weights)?;
        let projector = Projector::load(
            config.vision_config.hidden_size,
            config.text_config.hidden_size,
            config.projector_hidden_act,
            config.multimodal_projector_bias,
            &weights,
        )?;
        let decoder = Decoder::load(config.text_config.clone(), config.tied(), &weights)?;
        weights.finish()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&raw);
        checkpoint.hash_into(&mut hasher);
        let parameters = checkpoint.parameters();
        let generation: serde_json::Value = source.json("generation_config.json")?.unwrap_or_default();
        let mut eos = config::token_ids(&generation["eos_token_id"]);
        if eos.is_empty() {
            eos = config.text_config.eos_token_id.as_ref().map(config::token_ids).unwrap_or_default();
        }
        eos.extend(text.token_id("</s>").filter(|_| eos.is_empty()));
        Ok(Self {
            name: name.to_owned(),
            text,
            processor,
            tower,
            projectors: BTreeMap::from([(DEFAULT_PROJECTOR.to_owned(), Arc::new(projector))]),
            decoder,
            image_token: config.image_token(),
            eos,
            digest: hasher.finalize().to_hex().to_string(),
            parameters,
            resident_bytes: parameters * dtype.size_in_bytes() as u64,
            dtype,
            device: device.clone(),
        })
    }

    /// Makes the projector in a safetensors file resident under `name`; it must have the shapes of the model's own.
    pub fn add_projector(&mut self, name: &str, path: &Path) -> Result<(), Error> {
        let checkpoint = Checkpoint::open(&[path.to_owned()])?;
        let weights = checkpoint.tensors(self.dtype, &self.device);
        let own = self.projectors.get(DEFAULT_PROJECTOR).ok_or_else(|| Error::Config("no projector".into()))?;
        let projector = own.reload(&weights)?;
        weights.finish()?;
        self.projectors.insert(name.to_owned(), Arc::new(projector));
        Ok(())
    }

    /// Hugging Face's `model_type`.
    pub fn family(&self) -> &'static str {
        "llava"
    }

    /// A view (see [`Processor::view`]) as the tower takes it: `(3, S, S)`.
    pub fn pixels(&self, view: &Rgb) -> Result<Tensor, Error> {
        let shape = (3, view.height, view.width);
        Ok(Tensor::from_vec(self.processor.normalise(view), shape, &self.device)?.to_dtype(self.dtype)?)
    }

    /// Token ids with one image token for each picture, replaced by as many as the picture has visual tokens.
    pub fn expand(&self, ids: &[u32]) -> Vec<u32> {
        let times = |id: u32| if id == self.image_token { self.tower.tokens() } else { 1 };
        ids.iter().flat_map(|&id| std::iter::repeat_n(id, times(id))).collect()
    }
}
