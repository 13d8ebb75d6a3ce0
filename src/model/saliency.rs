//! A vision transformer that says where to look: a ViT such as DINO's (Caron et al. 2021), CLIP's
//! or SigLIP's tower.

use candle_core::{DType, Device};
use serde::Deserialize;

use super::error::Error;
use super::load::loader::LoadTo;
use super::load::source::Source;
use super::text::chat_files::image_processor;
use super::vision_tower::{SelectStrategy, TowerInfo, VisionTower, feature_entries};
use super::vit::{Vit, VitConfig};
use crate::nn::{Home, HostTensor, OnDevice};
use crate::vision::{MAX_PIXELS, Processor, Rgb, Tiling};

/// A resident saliency model; it computes on the thread of its device.
#[derive(Debug)]
pub struct SaliencyModel {
    /// Name in requests.
    pub name: String,
    /// BLAKE3 (hex) of weights and configuration.
    pub digest: String,
    /// Place of its files.
    pub source: Source,
    /// Sizes of its tower.
    info: TowerInfo,
    tower: OnDevice<Vit>,
    processor: Processor,
    opened: OnDevice<Device>,
}

impl SaliencyModel {
    /// Loads Hugging Face's `ViTModel` (config.json, model.safetensors, preprocessor_config.json)
    /// in f32, to a CPU that every thread may compute on.
    pub fn load(name: &str, source: &Source) -> Result<Self, Error> {
        let to = LoadTo {
            devices: &[Device::Cpu],
            home: &Home::host(),
            progress: &|_, _| {},
        };
        Self::load_to(name, source, &to)
    }

    /// Loads it to a device, on the thread that owns it.
    pub fn load_to(name: &str, source: &Source, to: &LoadTo<'_>) -> Result<Self, Error> {
        let json: serde_json::Value = source
            .json("config.json")?
            .ok_or_else(|| source.missing("config.json"))?;
        // A saliency model is asked for attention of its class token in the last block; ResNets and
        // ConvNets have none.
        if json["model_type"] != "vit" {
            let message = format!(
                "model_type {}; a saliency model must be a vit (DINO's are)",
                json["model_type"]
            );
            return Err(Error::Config(message));
        }
        let mut fields = json.clone();
        if let serde_json::Value::Object(fields) = &mut fields {
            // `ViTConfig`'s defaults; what the struct fills in are `CLIPVisionConfig`'s.
            for (key, value) in [("image_size", 224.0), ("patch_size", 16.0)] {
                fields.entry(key).or_insert((value as usize).into());
            }
            fields.entry("hidden_act").or_insert("gelu".into());
            fields.entry("layer_norm_eps").or_insert(1e-12.into());
        }
        let config = VitConfig::deserialize(fields).map_err(|e| Error::Config(e.to_string()))?;
        config.check()?;
        // ViT names its tensors otherwise than CLIP; `into_tower` renames them to `vision_tower.*`.
        let checkpoint = source.checkpoint()?.into_tower();
        let processor = Processor::from_json(
            &image_processor(source)?,
            config.image_size,
            Tiling::None,
            None,
        )?;
        let digest = {
            let mut hasher = blake3::Hasher::new();
            hasher.update(checkpoint.digest(&[""]).as_bytes());
            hasher.update(json.to_string().as_bytes());
            hasher.update(
                serde_json::to_value(&processor)
                    .map(|v| v.to_string())
                    .unwrap_or_default()
                    .as_bytes(),
            );
            hasher.finalize().to_hex().to_string()
        };
        // f32 whatever the models' dtype: choices of patches go into records, and must not flip
        // with --dtype.
        let weights = checkpoint.tensors(DType::F32, to.device()?, to.progress);
        let features = feature_entries(&[-1], config.num_hidden_layers)?;
        let tower = Vit::load(&config, features, SelectStrategy::Default, &weights)?;
        weights.finish()?;
        Ok(Self {
            name: name.to_owned(),
            source: source.clone(),
            digest,
            info: tower.info().clone(),
            tower: to.home.keep(tower)?,
            processor,
            opened: to.home.keep(to.device()?.clone())?,
        })
    }

    /// Returns whether its device still has it: not once it was restarted.
    pub fn is_live(&self) -> bool {
        self.tower.is_live()
    }

    /// Returns the heads of the last block.
    pub fn heads(&self) -> usize {
        self.info.heads
    }

    /// Returns the pixels of a picture as it sees them: `(1, 3, H, W)`.
    pub fn pixels(&self, picture: &Rgb) -> Result<HostTensor, Error> {
        let picture = self.processor.picture(picture, 1, MAX_PIXELS)?;
        let (height, width) = picture.view_size();
        let values = self.processor.normalise(&picture.base);
        Ok(HostTensor::from_vec(values, (1, 3, height, width))?)
    }

    /// Returns the (row, layer) pairs of looking at one picture.
    pub fn cells(&self) -> u64 {
        let side = self.info.image_size;
        (self.info.view((side, side)).rows * self.info.layers) as u64
    }

    /// Returns what it looks at in `pixels`: the share of CLS attention of each patch, row by row;
    /// of one head, or the mean over heads.
    pub fn attention(&self, pixels: &HostTensor, head: Option<usize>) -> Result<Vec<f32>, Error> {
        let (tower, device) = (self.tower.get()?, self.opened.get()?);
        let tower: &dyn VisionTower = &*tower;
        Ok(tower
            .attention(&pixels.upload(&device)?, head)?
            .to_device(&Device::Cpu)?
            .flatten_all()?
            .to_vec1()?)
    }
}
