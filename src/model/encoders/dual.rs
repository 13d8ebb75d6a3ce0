//! CLIP (Radford et al. 2021) or SigLIP (Zhai et al. 2023) whole: the baseline that a LLaVA over
//! the same vision tower is compared with.

use candle_core::{D, DType, Device, Tensor};

use super::image::ImageEncoder;
use super::text::{TextEncoder, TextFiles};
use super::tower::TowerFiles;
use crate::model::error::Error;
use crate::model::load::source::Source;
use crate::vision::Rgb;

/// A CLIP or SigLIP whose two towers are resident, in f32.
#[derive(Debug)]
pub struct DualEncoder {
    images: ImageEncoder,
    texts: TextEncoder,
}

impl DualEncoder {
    /// Loads Hugging Face's `CLIPModel` or `SiglipModel`: config.json, weights, tokenizer,
    /// preprocessor_config.json.
    pub fn load(source: &Source, device: &Device) -> Result<Self, Error> {
        // First, since it names what has both towers.
        let texts = TextFiles::open(source)?;
        let images = TowerFiles::open(source)?;
        let checkpoint = source.checkpoint()?;
        // Before names are those under which towers are read.
        let digest = checkpoint.digest(&[""]).to_hex().to_string();
        let checkpoint = images.kind.rename(checkpoint);
        let weights = checkpoint.tensors(DType::F32, device, &|_, _| {});
        let encoder = Self {
            images: ImageEncoder::read(images, digest.clone(), &weights)?,
            texts: TextEncoder::read(texts, digest, &weights)?,
        };
        // They scale and shift all similarities of a picture alike.
        weights.ignore("logit_scale");
        weights.ignore("logit_bias");
        weights.finish()?;
        Ok(encoder)
    }

    /// Returns `CLIP` or `SigLIP`.
    pub fn kind(&self) -> &'static str {
        self.images.kind()
    }

    /// Returns BLAKE3 (hex) of its weights.
    pub fn digest(&self) -> &str {
        self.images.digest()
    }

    /// Returns the embeddings of pictures, of length 1: `(B, P)`.
    pub fn images(&self, pictures: &[Rgb]) -> Result<Tensor, Error> {
        of_length_1(&self.images.embeddings(pictures)?)
    }

    /// Returns the embeddings of texts, of length 1, cut off after the tokens that the model has
    /// positions for: `(C, P)`.
    pub fn texts(&self, texts: &[String]) -> Result<Tensor, Error> {
        of_length_1(&self.texts.embeddings(texts)?)
    }

    /// Returns the embeddings of classes, of length 1, each the mean of its texts' (CLIP's prompt
    /// ensemble): `(C, P)`.
    pub fn classes(&self, classes: &[Vec<String>]) -> Result<Tensor, Error> {
        // (T, P) -> (1, P). The mean of rows of length 1 is shorter, and has to be stretched again.
        let mean = |texts: &Vec<String>| of_length_1(&self.texts(texts)?.mean_keepdim(0)?);
        Ok(Tensor::cat(
            &classes.iter().map(mean).collect::<Result<Vec<_>, _>>()?,
            0,
        )?)
    }

    /// Returns for each picture the cosine to each of [`Self::classes`], `(B, C)`.
    pub fn cosines(&self, pictures: &[Rgb], classes: &Tensor) -> Result<Vec<Vec<f32>>, Error> {
        // (B, P) by (P, C): of rows of length 1 the product is the cosine.
        Ok(self.images(pictures)?.matmul(&classes.t()?)?.to_vec2()?)
    }
}

fn of_length_1(x: &Tensor) -> Result<Tensor, Error> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}
