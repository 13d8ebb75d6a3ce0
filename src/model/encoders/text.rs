//! An encoder of texts: CLIP's or SigLIP's text tower.

use std::ops::Range;

use candle_core::{DType, Device, Result as TensorResult, Tensor};
use serde_json::Value;

use super::text_config::TextConfig;
use super::tokenizer::EncoderTokenizer;
use super::{BATCH, EncoderFeatures};
use crate::model::error::Error;
use crate::model::load::source::Source;
use crate::model::read::{layer_norm, linear};
use crate::nn::{
    Backend, Hooks, Layout, Linear, NoHooks, Norm, Point, Site, Span, Stack, Transformer,
};
use crate::weights::Tensors;

/// The files of an encoder of texts, read and checked, but for its tensors.
#[derive(Debug)]
pub(super) struct TextFiles {
    config: TextConfig,
    tokenizer: EncoderTokenizer,
}

impl TextFiles {
    /// Reads config.json and the tokenizer.
    pub(super) fn open(source: &Source) -> Result<Self, Error> {
        let json: Option<Value> = source.json("config.json")?;
        let json = json.ok_or_else(|| source.missing("config.json"))?;
        let config = TextConfig::parse(&json)?;
        let positions = config.max_position_embeddings;
        let tokenizer = if config.is_siglip {
            EncoderTokenizer::of_siglip(source, positions)?
        } else {
            EncoderTokenizer::of_clip(source, positions)?
        };
        Ok(Self { config, tokenizer })
    }
}

/// A text tower that is resident, in f32.
#[derive(Debug)]
pub struct TextEncoder {
    /// BLAKE3 (hex) of its weights.
    digest: String,
    config: TextConfig,
    tokenizer: EncoderTokenizer,
    tokens: Tensor,
    positions: Tensor,
    blocks: Transformer,
    final_norm: Norm,
    /// Maps a row to an embedding.
    head: Linear,
    device: Device,
}

/// Tokens of a text, with those that pad it.
struct Tokens {
    ids: Vec<u32>,
    /// The places of the text's own tokens.
    own: Range<usize>,
    /// The place of the row that is the text's.
    pooled: usize,
}

impl TextEncoder {
    /// Loads the text tower of Hugging Face's `CLIPModel` or `SiglipModel`: config.json, weights,
    /// tokenizer. The vision tower is left out.
    pub fn load(source: &Source, device: &Device) -> Result<Self, Error> {
        let files = TextFiles::open(source)?;
        let checkpoint = source.checkpoint()?;
        let digest = checkpoint.digest(&[""]).to_hex().to_string();
        let weights = checkpoint.tensors(DType::F32, device, &|_, _| {});
        let encoder = Self::read(files, digest, &weights)?;
        for prefix in ["vision_model.", "visual_projection.", "logit_"] {
            weights.ignore_all(prefix);
        }
        weights.finish()?;
        Ok(encoder)
    }

    /// Fails on files that are no encoder of texts, as far as configurations and tokenizer tell.
    pub fn check(source: &Source) -> Result<(), Error> {
        TextFiles::open(source).map(|_| ())
    }

    /// Reads the tower from `text_model.*`.
    pub(super) fn read(
        files: TextFiles,
        digest: String,
        weights: &Tensors<'_>,
    ) -> Result<Self, Error> {
        let TextFiles { config, tokenizer } = files;
        let (width, eps, dim) = (config.hidden_size, config.layer_norm_eps, config.dim);
        let head = if config.is_siglip {
            linear(weights, "text_model.head", dim, width, true)?
        } else {
            linear(weights, "text_projection", dim, width, false)?
        };
        Ok(Self {
            digest,
            tokens: config.embedding(weights, "token", config.vocab_size)?,
            positions: config.embedding(weights, "position", config.max_position_embeddings)?,
            blocks: Transformer::new(Stack::LanguageModel, config.blocks(weights)?, None)?,
            final_norm: layer_norm(weights, "text_model.final_layer_norm", width, eps)?,
            head,
            config,
            tokenizer,
            device: weights.device_of("text_model.").clone(),
        })
    }

    /// Returns `CLIP` or `SigLIP`.
    pub fn kind(&self) -> &'static str {
        if self.config.is_siglip {
            "SigLIP"
        } else {
            "CLIP"
        }
    }

    /// Returns BLAKE3 (hex) of its weights.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the ids of a text's tokens, with those that pad it, cut off after as many as the
    /// model has positions for.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        Ok(self.encode(text)?.ids)
    }

    /// Returns the embeddings of texts, of any length: `(C, P)`.
    pub fn embeddings(&self, texts: &[String]) -> Result<Tensor, Error> {
        let mut found = Vec::new();
        for batch in texts.chunks(BATCH) {
            let batch = batch.iter().map(|text| self.encode(text));
            let batch: Vec<Tokens> = batch.collect::<Result<_, _>>()?;
            let (rows, layout) = self.rows(&batch, &mut NoHooks)?;
            found.push(self.pooled(&rows, &layout, &batch)?);
        }
        Ok(Tensor::cat(&found, 0)?)
    }

    /// Returns what each layer makes of a text, the mean over its own tokens
    /// (`blocks.0.hook_resid_post`), and its `embedding`.
    pub fn features(&self, text: &str) -> Result<EncoderFeatures, Error> {
        let batch = [self.encode(text)?];
        let mut means = LayerMeans {
            own: batch[0].own.clone(),
            found: EncoderFeatures::new(),
        };
        let (rows, layout) = self.rows(&batch, &mut means)?;
        let embedding = self.pooled(&rows, &layout, &batch)?.to_vec2()?;
        means.found.push(("embedding".into(), embedding));
        Ok(means.found)
    }

    /// Runs texts up all layers: `(R, D)`.
    fn rows(&self, batch: &[Tokens], hooks: &mut dyn Hooks) -> Result<(Tensor, Layout), Error> {
        let (mut ids, mut layout) = (Vec::<u32>::new(), Layout::default());
        for (i, tokens) in batch.iter().enumerate() {
            layout.push_sequence(i, (0, 0), tokens.ids.len());
            ids.extend(&tokens.ids);
        }
        let positions: Vec<u32> = layout.positions().collect();
        let ids = Tensor::new(ids, &self.device)?;
        let positions = Tensor::new(positions, &self.device)?;
        let x =
            (self.tokens.index_select(&ids, 0)? + self.positions.index_select(&positions, 0)?)?; // (R, D)
        let layers = self.config.num_hidden_layers;
        Ok(self.blocks.forward(x, layers, &layout, &mut [], hooks)?)
    }

    /// Returns the embeddings of texts of which these are the rows: `(C, P)`.
    fn pooled(&self, rows: &Tensor, layout: &Layout, batch: &[Tokens]) -> Result<Tensor, Error> {
        let spans = layout.spans.iter().zip(batch);
        let places = spans.map(|(span, tokens)| (span.rows.start + tokens.pooled) as u32);
        let places: Vec<u32> = places.collect();
        let last = rows.index_select(&Tensor::new(places, &self.device)?, 0)?; // (C, D)
        let normed = self.final_norm.forward(&last, Backend::of(last.device()))?;
        Ok(self.head.forward(&normed)?)
    }

    fn encode(&self, text: &str) -> Result<Tokens, Error> {
        let (ids, own) = self.tokenizer.encode(text)?;
        let rows = self.config.vocab_size;
        match ids.iter().find(|id| **id as usize >= rows) {
            Some(id) => Err(Error::Text(format!(
                "token {id} is beyond vocab_size {rows}"
            ))),
            None if ids.is_empty() => Err(Error::Text(format!("{text:?} has no tokens"))),
            None => Ok(Tokens {
                pooled: self.end(&ids).unwrap_or(ids.len() - 1),
                ids,
                own,
            }),
        }
    }

    /// Returns the place of the token that ends a text.
    fn end(&self, ids: &[u32]) -> Option<usize> {
        // SigLIP takes the last row, padding or not. A tokenizer that adds no end token leaves none
        // to look for: the last row stands in.
        if self.config.is_siglip {
            return None;
        }
        match self.config.eos_token_id.as_u64() {
            // Configurations from before transformers 4.31 name 2, where the last token's id is
            // the largest of all.
            Some(2) => ids
                .iter()
                .enumerate()
                .max_by_key(|(at, id)| (**id, std::cmp::Reverse(*at)))
                .map(|(at, _)| at),
            eos => ids.iter().position(|id| Some(u64::from(*id)) == eos),
        }
    }
}

/// Keeps the means over a text's own tokens of what layers put out.
struct LayerMeans {
    own: Range<usize>,
    found: EncoderFeatures,
}

impl Hooks for LayerMeans {
    fn on(&mut self, point: Point, _: &[Span], value: Tensor) -> TensorResult<Tensor> {
        let (Some(layer), true) = (point.layer, self.wants(point, 0)) else {
            return Ok(value);
        };
        let own = value.narrow(0, self.own.start, self.own.len())?;
        let mean = own.mean(0)?.to_vec1()?;
        let name = format!("blocks.{layer}.hook_resid_post");
        self.found.push((name, vec![mean]));
        Ok(value)
    }

    fn wants(&self, point: Point, _: usize) -> bool {
        (point.stack, point.site) == (Stack::LanguageModel, Site::ResidPost)
    }
}
