//! An encoder of pictures: CLIP's or SigLIP's tower, ViT, DINOv2.

use std::sync::Arc;

use candle_core::{DType, Device, Result as TensorResult, Tensor};

use super::pooling::{Pooling, projection};
use super::tower::{TowerFiles, TowerKind};
use super::{BATCH, EncoderFeatures};
use crate::model::error::Error;
use crate::model::load::source::Source;
use crate::model::vision_tower::{SelectStrategy, ViewBatch, VisionTower, feature_entries};
use crate::nn::{Hooks, NoHooks, Point, Site, Span, Stack};
use crate::vision::{MAX_PIXELS, Processor, Rgb};
use crate::weights::Tensors;

/// An encoder of pictures whose tower is resident, in f32.
#[derive(Debug)]
pub struct ImageEncoder {
    kind: TowerKind,
    /// BLAKE3 (hex) of its weights.
    digest: String,
    tower: Arc<dyn VisionTower>,
    pooling: Option<Pooling>,
    processor: Processor,
    device: Device,
}

impl ImageEncoder {
    /// Loads Hugging Face's `CLIPModel`, `CLIPVisionModel` (with a projection or without),
    /// `SiglipModel`, `SiglipVisionModel`, `ViTModel`, `Dinov2Model` or `Dinov2WithRegistersModel`:
    /// config.json, weights, preprocessor_config.json. A text tower and a head that classifies are
    /// left out.
    pub fn load(source: &Source, device: &Device) -> Result<Self, Error> {
        let files = TowerFiles::open(source)?;
        let checkpoint = source.checkpoint()?;
        let digest = checkpoint.digest(&[""]).to_hex().to_string();
        let checkpoint = files.kind.rename(checkpoint);
        let weights = checkpoint.tensors(DType::F32, device, &|_, _| {});
        let encoder = Self::read(files, digest, &weights)?;
        for prefix in ["text_model.", "text_projection.", "logit_"] {
            weights.ignore_all(prefix);
        }
        weights.finish()?;
        Ok(encoder)
    }

    /// Fails on files that are no encoder of pictures, as far as configurations tell.
    pub fn check(source: &Source) -> Result<(), Error> {
        TowerFiles::open(source).map(|_| ())
    }

    /// Reads the tower from `vision_tower.*`, and what pools its rows.
    pub(super) fn read(
        files: TowerFiles,
        digest: String,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        // The last layer, with the class token, which is what is pooled.
        let features = feature_entries(&[-1], files.config.layers())?;
        let tower = files.config.load(features, SelectStrategy::Full, weights)?;
        let dim = projection(&files, weights);
        let pooling = Pooling::load(&files, dim, weights)?;
        files.kind.ignore_head(weights);
        // Read above where it is used.
        weights.ignore_all("vision_tower.pooler.");
        Ok(Self {
            kind: files.kind,
            digest,
            tower,
            pooling,
            processor: files.processor,
            device: weights.device_of("vision_tower.").clone(),
        })
    }

    /// Returns the kind of its tower, such as `SigLIP`.
    pub fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// Returns BLAKE3 (hex) of its weights.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the side of the pictures that it sees, in pixels.
    pub fn side(&self) -> usize {
        self.processor.side
    }

    /// Returns the pooled embeddings of pictures, of any length: `(B, P)`.
    ///
    /// # Errors
    ///
    /// A SigLIP without its head.
    pub fn embeddings(&self, pictures: &[Rgb]) -> Result<Tensor, Error> {
        let missing = || {
            let message = "vision_use_head false: a SigLIP without its head has no embeddings";
            Error::Config(message.into())
        };
        let pooling = self.pooling.as_ref().ok_or_else(missing)?;
        let batches = pictures.chunks(BATCH);
        let found = batches.map(|batch| pooling.forward(&self.rows(batch, &mut NoHooks)?));
        Ok(Tensor::cat(&found.collect::<Result<Vec<_>, _>>()?, 0)?)
    }

    /// Returns what each layer puts out for pictures, and the pooled embeddings where there are
    /// some: the row of the class token where there is one (`blocks.0.hook_resid_post@class`), the
    /// mean over patches (`blocks.0.hook_resid_post@patches`), `embedding`.
    pub fn features(&self, pictures: &[Rgb]) -> Result<EncoderFeatures, Error> {
        let mut all = EncoderFeatures::new();
        for batch in pictures.chunks(BATCH) {
            let mut layers = LayerRows {
                views: batch.len(),
                has_class: self.tower.info().has_class,
                before: self.tower.info().before_patches(),
                found: Vec::new(),
            };
            let rows = self.rows(batch, &mut layers)?;
            if let Some(pooling) = &self.pooling {
                let embedding = pooling.forward(&rows)?;
                layers.found.push(("embedding".into(), embedding));
            }
            for (i, (name, tensor)) in layers.found.into_iter().enumerate() {
                let rows: Vec<Vec<f32>> = tensor.to_vec2()?;
                match all.get_mut(i) {
                    Some((_, known)) => known.extend(rows),
                    None => all.push((name, rows)),
                }
            }
        }
        Ok(all)
    }

    /// Runs pictures up all layers: `(B, R, D)`.
    fn rows(&self, pictures: &[Rgb], hooks: &mut dyn Hooks) -> Result<Tensor, Error> {
        let mut pixels = Vec::new();
        for picture in pictures {
            let base = self.processor.picture(picture, 1, MAX_PIXELS)?.base;
            pixels.extend(self.processor.normalise(&base));
        }
        // Without tiling every picture becomes a square of this size.
        let side = self.processor.side;
        let pixels = Tensor::from_vec(pixels, (pictures.len(), 3, side, side), &self.device)?;
        let tower = &*self.tower;
        let info = tower.info();
        let mut views = ViewBatch::default();
        for i in 0..pictures.len() {
            views.push(info, (i, 0, 0), info.view((side, side)), 0);
        }
        let x = tower.embed(&pixels, &views, hooks)?;
        let (x, _) = tower.forward(x, &views, hooks)?; // (B R, D)
        Ok(x.reshape((pictures.len(), (), info.width))?)
    }
}

/// Keeps what the layers of a tower put out: the class token's row, and the mean over patches.
struct LayerRows {
    views: usize,
    has_class: bool,
    /// Rows before the patches.
    before: usize,
    found: Vec<(String, Tensor)>,
}

impl Hooks for LayerRows {
    fn on(&mut self, point: Point, _: &[Span], value: Tensor) -> TensorResult<Tensor> {
        let (Some(layer), true) = (point.layer, self.wants(point, 0)) else {
            return Ok(value);
        };
        // Views of one size, packed end to end.
        let rows = value.reshape((self.views, (), value.dim(1)?))?; // (B, R, D)
        let name = format!("blocks.{layer}.hook_resid_post");
        if self.has_class {
            let class = rows.narrow(1, 0, 1)?.squeeze(1)?;
            self.found.push((format!("{name}@class"), class));
        }
        let patches = rows.narrow(1, self.before, rows.dim(1)? - self.before)?;
        self.found
            .push((format!("{name}@patches"), patches.mean(1)?));
        Ok(value)
    }

    fn wants(&self, point: Point, _: usize) -> bool {
        (point.stack, point.site) == (Stack::VisionTower, Site::ResidPost)
    }
}
