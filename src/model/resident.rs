//! A resident model of any family: its parts on one device.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::config::{self, Config};
use super::{Decoder, Error, Family, ImageTokens, Projector, SelectStrategy, Source, Text, VisionTower};
use crate::nn::{Hooks, Layout, Point, Site, Stack};
use crate::vision::{Picture, Processor};
use crate::weights::Checkpoint;

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
    /// Pictures to pixels.
    pub processor: Processor,
    /// The vision tower.
    pub tower: VisionTower,
    /// By name; the model's own is "default".
    pub projectors: BTreeMap<String, Arc<Projector>>,
    /// Ends the rows of a canvas, `(D)`.
    pub newline: Option<Tensor>,
    /// The limit in `vision_aspect_ratio`.
    most_tiles: Option<usize>,
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
        let (config, family) = Config::parse(&raw)?;
        let processor_config: Option<serde_json::Value> = match source.json("preprocessor_config.json")? {
            Some(json) => Some(json),
            None => source.json("processor_config.json")?,
        };
        let processor_config = processor_config.ok_or_else(|| source.missing("preprocessor_config.json"))?;
        let processor = Processor::from_json(&processor_config, config.vision_config.image_size, family.tiling())?;
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
        if family.has_newline() && tower.tokens() != tower.config().grid().pow(2) {
            let message = format!("vision_feature_select_strategy: {} takes the patches alone", family.model_type());
            return Err(Error::Config(message));
        }
        let newline = || weights.get("image_newline", &[config.text_config.hidden_size]);
        let newline = family.has_newline().then(newline).transpose()?;
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
            source: source.clone(),
            family,
            text,
            processor,
            tower,
            projectors: BTreeMap::from([(DEFAULT_PROJECTOR.to_owned(), Arc::new(projector))]),
            newline,
            most_tiles: config.most_tiles()?,
            decoder,
            image_token: config.image_token_index,
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

    /// The views of a picture as the tower takes them: `(V, 3, S, S)`.
    pub fn pixels(&self, picture: &Picture) -> Result<Tensor, Error> {
        let views = picture.views();
        let values: Vec<f32> = views.iter().flat_map(|v| self.processor.normalise(v)).collect();
        let shape = (views.len(), 3, picture.base.height, picture.base.width);
        Ok(Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype)?)
    }

    /// The visual tokens of a picture.
    pub fn tokens(&self, picture: &Picture) -> ImageTokens {
        let class = self.tower.has_class() && self.tower.strategy() == SelectStrategy::Full;
        self.family.tokens(picture, self.tower.config().grid(), class, self.most_tiles)
    }

    /// The projector's output for all views of `pictures` (with the sequence that each belongs to), `(V N, D)`, as visual
    /// tokens end to end, `(N, D)`.
    pub fn pack<'a>(
        &self,
        projected: &Tensor,
        pictures: impl Iterator<Item = (usize, &'a ImageTokens)>,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        let (mut layout, mut parts) = (Layout::default(), Vec::new());
        let (mut first, mut image) = (0, 0);
        for (sequence, tokens) in pictures {
            image = if layout.spans.last().is_some_and(|s| s.sequence == sequence) { image + 1 } else { 0 };
            let rows = tokens.views * self.tower.tokens();
            parts.push(tokens.pack(&projected.narrow(0, first, rows)?, self.newline.as_ref())?);
            layout.prefill(sequence, image, tokens.len(), 0);
            first += rows;
        }
        Ok(hooks.on(Point::of(Stack::Projector, Site::Tokens), &layout.spans, Tensor::cat(&parts, 0)?)?)
    }

    /// Token ids with one image token for each picture, replaced by as many as the picture has visual tokens. As many
    /// image tokens as `counts` are needed.
    pub fn expand(&self, ids: &[u32], counts: &[usize]) -> Vec<u32> {
        let mut counts = counts.iter();
        let mut times = |id: u32| if id == self.image_token { counts.next().copied().unwrap_or(1) } else { 1 };
        ids.iter().flat_map(|&id| std::iter::repeat_n(id, times(id))).collect()
    }
}
