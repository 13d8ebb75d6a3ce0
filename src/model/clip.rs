//! CLIP whole (Radford et al. 2021), its text tower included: the baseline that a LLaVA over the
//! same vision tower is compared with.

use candle_core::{D, DType, Device, IndexOp, Tensor};
use serde::Deserialize;
use tokenizers::Tokenizer;

use super::error::Error;
use super::load::source::Source;
use super::read::layer_norm;
use super::text::chat_files::image_processor;
use super::vision_tower::{SelectStrategy, ViewBatch, VisionTower, feature_entries};
use super::vit::{MAX_SIZE, Vit, VitConfig, encoder_block};
use crate::nn::{Activation, Backend, Block, Layout, Linear, NoHooks, Norm, Stack, Transformer};
use crate::vision::{MAX_PIXELS, Processor, Rgb, Tiling};
use crate::weights::Tensors;

/// Pictures, or texts, that go up together.
const BATCH: usize = 32;

/// `text_config` of config.json; absent fields have the defaults of Hugging Face's
/// `CLIPTextConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct TextConfig {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: Activation,
    layer_norm_eps: f64,
    eos_token_id: u32,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            // openai/clip-vit-base-patch32's; `transformers` leaves out of config.json what equals
            // a default.
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49_407,
        }
    }
}

impl TextConfig {
    /// Fails on shapes that no text tower can have, over a projection to `dim`.
    fn check(&self, dim: usize) -> Result<(), Error> {
        let sizes = [
            self.hidden_size,
            self.intermediate_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            dim,
        ];
        let positions = self.max_position_embeddings;
        if sizes.contains(&0)
            || sizes
                .iter()
                .chain([&positions])
                // A config.json alone must not make the process allocate: tensors of these sizes
                // are asked for before the weights contradict them.
                .any(|size| *size > MAX_SIZE)
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
            // A text has a start and an end token at least.
            || self.max_position_embeddings < 2
        {
            return Err(Error::Config(format!(
                "text_config: sizes of 1 to {MAX_SIZE}, whose heads divide hidden_size, are \
                     supported"
            )));
        }
        Ok(())
    }

    /// Reads a table of `rows` embeddings.
    fn embedding(&self, weights: &Tensors<'_>, name: &str, rows: usize) -> Result<Tensor, Error> {
        let name = format!("text_model.embeddings.{name}_embedding.weight");
        Ok(weights.get(&name, &[rows, self.hidden_size])?)
    }

    /// Reads all layers.
    fn blocks(&self, weights: &Tensors<'_>) -> Result<Vec<Block>, Error> {
        let layers = 0..self.num_hidden_layers;
        layers.map(|layer| self.block(weights, layer)).collect()
    }

    fn block(&self, weights: &Tensors<'_>, layer: usize) -> Result<Block, Error> {
        let at = format!("text_model.encoder.layers.{layer}");
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let kind = (self.layer_norm_eps, self.hidden_act);
        // Texts are read causally, which pictures are not: a text's embedding is that of its end.
        let causal = true;
        encoder_block(
            weights,
            &at,
            (width, inner, self.num_attention_heads),
            kind,
            causal,
        )
    }
}

/// `config.json`.
#[derive(Debug, Deserialize)]
struct ClipConfig {
    model_type: String,
    #[serde(default)]
    vision_config: VitConfig,
    #[serde(default)]
    text_config: TextConfig,
    #[serde(default = "projection_dim")]
    projection_dim: usize,
}

fn projection_dim() -> usize {
    512
}

/// A CLIP whose two towers are resident, in f32.
#[derive(Debug)]
pub struct Clip {
    /// BLAKE3 (hex) of its weights.
    pub digest: String,
    tower: Vit,
    post_norm: Norm,
    visual_projection: Linear,
    text: TextConfig,
    tokens: Tensor,
    positions: Tensor,
    blocks: Transformer,
    final_norm: Norm,
    text_projection: Linear,
    tokenizer: Tokenizer,
    processor: Processor,
    device: Device,
}

impl ClipConfig {
    fn check(&self) -> Result<(), Error> {
        if self.model_type != "clip" {
            let message = format!(
                "model_type {:?}; a clip with both towers is needed",
                self.model_type
            );
            return Err(Error::Config(message));
        }
        self.vision_config.check()?;
        self.text_config.check(self.projection_dim)
    }
}

impl Clip {
    /// Loads Hugging Face's `CLIPModel`: config.json, weights, tokenizer.json,
    /// preprocessor_config.json.
    pub fn load(source: &Source, device: &Device) -> Result<Self, Error> {
        let config: Option<ClipConfig> = source.json("config.json")?;
        let config = config.ok_or_else(|| source.missing("config.json"))?;
        config.check()?;
        let (vision, text, dim) = (
            config.vision_config,
            config.text_config,
            config.projection_dim,
        );
        let tokenizer = Tokenizer::from_bytes(source.require("tokenizer.json")?)
            .map_err(|e| Error::Text(format!("tokenizer.json: {e}")))?;
        let processor = Processor::from_json(
            &image_processor(source)?,
            vision.image_size,
            Tiling::None,
            None,
        )?;
        let mut checkpoint = source.checkpoint()?;
        let digest = checkpoint.digest(&[""]).to_hex().to_string();
        // `Vit` reads its tensors under LLaVA's prefix. The digest above is taken of the file's own
        // names.
        checkpoint.graft(source.checkpoint()?, "vision_model.", "vision_tower.");
        let weights = checkpoint.tensors(DType::F32, device, &|_, _| {});
        // These are the names before the graft; without this line they would count as unused.
        weights.ignore_all("vision_model.");
        // It scales all similarities of a picture alike.
        weights.ignore("logit_scale");
        let post_norm = layer_norm(
            &weights,
            "vision_tower.post_layernorm",
            vision.hidden_size,
            vision.layer_norm_eps,
        )?;
        let weight = |name, width| weights.get(name, &[dim, width]);
        let projection = |name, width| Ok::<_, Error>(Linear::new(weight(name, width)?, None)?);
        let (width, eps) = (text.hidden_size, text.layer_norm_eps);
        let clip = Self {
            tokens: text.embedding(&weights, "token", text.vocab_size)?,
            positions: text.embedding(&weights, "position", text.max_position_embeddings)?,
            blocks: Transformer::new(Stack::LanguageModel, text.blocks(&weights)?, None)?,
            final_norm: layer_norm(&weights, "text_model.final_layer_norm", width, eps)?,
            text_projection: projection("text_projection.weight", width)?,
            visual_projection: projection("visual_projection.weight", vision.hidden_size)?,
            tower: Vit::load(
                &vision,
                // The last layer, with the class token: CLIP pools by taking its row.
                feature_entries(&[-1], vision.num_hidden_layers)?,
                SelectStrategy::Full,
                &weights,
            )?,
            post_norm,
            digest,
            text,
            tokenizer,
            processor,
            device: device.clone(),
        };
        weights.finish()?;
        Ok(clip)
    }

    /// Returns the embeddings of pictures, of length 1: `(B, P)`.
    pub fn images(&self, pictures: &[Rgb]) -> Result<Tensor, Error> {
        let mut found = Vec::new();
        for batch in pictures.chunks(BATCH) {
            let mut pixels = Vec::new();
            let mut side = 0;
            for picture in batch {
                let base = self.processor.picture(picture, 1, MAX_PIXELS)?.base;
                // Without tiling every picture becomes a square of the tower's size.
                side = base.image.width;
                pixels.extend(self.processor.normalise(&base));
            }
            // (B, 3, S, S), a view for each picture.
            let pixels = Tensor::from_vec(pixels, (batch.len(), 3, side, side), &self.device)?;
            let tower: &dyn VisionTower = &self.tower;
            let mut views = ViewBatch::default();
            for i in 0..batch.len() {
                let info = tower.info();
                views.push(info, (i, 0, 0), info.view((side, side)), 0);
            }
            let x = tower.embed(&pixels, &views, &mut NoHooks)?;
            let (x, _) = tower.forward(x, &views, &mut NoHooks)?; // (B R, D)
            let class = x
                .reshape((batch.len(), (), self.tower.info().width))?
                // transformers norms the class token's row alone (`post_layernorm` of the pooled
                // output).
                .i((.., 0))?
                .contiguous()?; // (B, D)
            found.push(of_length_1(
                // (B, D) -> (B, P), the width that both towers project to.
                &self.visual_projection.forward(
                    &self
                        .post_norm
                        .forward(&class, Backend::of(class.device()))?,
                )?,
            )?);
        }
        Ok(Tensor::cat(&found, 0)?)
    }

    /// Returns the embeddings of texts, of length 1, cut off after the tokens that the model has
    /// positions for: `(C, P)`.
    pub fn texts(&self, texts: &[String]) -> Result<Tensor, Error> {
        let mut found = Vec::new();
        for batch in texts.chunks(BATCH) {
            let (mut ids, mut ends, mut layout) = (Vec::new(), Vec::new(), Layout::default());
            for (i, text) in batch.iter().enumerate() {
                let own = self.encode(text)?;
                // Configurations from before transformers 4.31 name 2, where the last token's id is
                // the largest of all.
                let end = match self.text.eos_token_id {
                    2 => own
                        .iter()
                        .enumerate()
                        .max_by_key(|(at, id)| (**id, std::cmp::Reverse(*at)))
                        .map(|(at, _)| at),
                    eos => own.iter().position(|id| *id == eos),
                };
                // A tokenizer that adds no end token leaves none to look for: the last row stands
                // in.
                ends.push((layout.rows() + end.unwrap_or(own.len() - 1)) as u32);
                layout.push_sequence(i, (0, 0), own.len());
                ids.extend(own);
            }
            let positions: Vec<u32> = layout.positions().collect();
            let ids = Tensor::new(ids, &self.device)?;
            let positions = Tensor::new(positions, &self.device)?;
            let x = (self.tokens.index_select(&ids, 0)?
                + self.positions.index_select(&positions, 0)?)?; // (R, D)
            // (R, D), the texts packed end to end, each of which sees its own rows.
            let (x, _) = self.blocks.forward(
                x,
                self.text.num_hidden_layers,
                &layout,
                &mut [],
                &mut NoHooks,
            )?;
            let last = x.index_select(&Tensor::new(ends, &self.device)?, 0)?; // (B, D)
            // (B, D) -> (B, P).
            found.push(of_length_1(&self.text_projection.forward(
                &self.final_norm.forward(&last, Backend::of(last.device()))?,
            )?)?);
        }
        Ok(Tensor::cat(&found, 0)?)
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

    fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoded = self
            .tokenizer
            .encode(text, true)
            .map_err(|e| Error::Text(e.to_string()))?;
        let mut ids = encoded.get_ids().to_vec();
        let most = self.text.max_position_embeddings;
        if ids.len() > most {
            // As tokenizers truncate: the end token stays, since a text's embedding is its row.
            let last = ids[ids.len() - 1];
            ids.truncate(most - 1);
            ids.push(last);
        }
        match ids.iter().find(|id| **id as usize >= self.text.vocab_size) {
            Some(id) => Err(Error::Text(format!(
                "token {id} is beyond vocab_size {}",
                self.text.vocab_size
            ))),
            None if ids.is_empty() => Err(Error::Text(format!("{text:?} has no tokens"))),
            None => Ok(ids),
        }
    }
}

fn of_length_1(x: &Tensor) -> Result<Tensor, Error> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}
