//! A vision transformer that says where to look: a ViT such as DINO's (Caron et al. 2021), or
//! DINOv2 (Oquab et al. 2024).

use std::sync::Arc;

use candle_core::{DType, Device};

use super::encoders::tower::{TowerFiles, TowerKind};
use super::error::Error;
use super::load::loader::LoadTo;
use super::load::source::Source;
use super::vision_tower::{SelectStrategy, TowerInfo, VisionTower, feature_entries};
use crate::nn::{Home, HostTensor, OnDevice};
use crate::vision::{MAX_PIXELS, Processor, Rgb};

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
    tower: OnDevice<Arc<dyn VisionTower>>,
    processor: Processor,
    opened: OnDevice<Device>,
}

impl SaliencyModel {
    /// Loads Hugging Face's `ViTModel`, `Dinov2Model` or `Dinov2WithRegistersModel` (config.json,
    /// model.safetensors, preprocessor_config.json), without a head that classifies, in f32, to a
    /// CPU that every thread may compute on.
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
        let files = TowerFiles::open(source)?;
        // A saliency model is asked for attention of its class token in the last block. SigLIP has
        // none, and CLIP's is what a LLaVA over it tells of its own tower.
        if matches!(files.kind, TowerKind::Clip | TowerKind::Siglip) {
            let message = format!(
                "model_type {}; a saliency model must be a vit (DINO's are), dinov2 or \
                 dinov2_with_registers",
                files.json["model_type"]
            );
            return Err(Error::Config(message));
        }
        let TowerFiles {
            kind,
            json,
            config,
            processor,
            ..
        } = files;
        let checkpoint = kind.rename(source.checkpoint()?);
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
        let features = feature_entries(&[-1], config.layers())?;
        let tower = config.load(features, SelectStrategy::Default, &weights)?;
        kind.ignore_head(&weights);
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
        Ok(tower
            .attention(&pixels.upload(&device)?, head)?
            .to_device(&Device::Cpu)?
            .flatten_all()?
            .to_vec1()?)
    }
}
